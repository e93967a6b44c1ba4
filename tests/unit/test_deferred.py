"""A deferred dataclass is a dataclass: the same methods, errors and facts, whoever asks first."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from mcgitops.deferred import dataclass as deferred

Decorator = Callable[..., Any]


@deferred(frozen=True)
class Point:
    """At module level, as pickle needs it."""

    x: int
    y: int = 2
    tags: tuple[str, ...] = dataclasses.field(default=(), compare=False, repr=False)
    seen: list[int] = dataclasses.field(default_factory=list, compare=False)


def _family(decorate: Decorator) -> tuple[type, ...]:
    @decorate(frozen=True)
    class Parent:
        a: int
        b: str = "b"

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError("negative")

    @decorate(frozen=True)
    class Child(Parent):
        c: tuple[int, ...] = dataclasses.field(default_factory=tuple)

        def __repr__(self) -> str:
            return f"Child {self.a}"

    class Plain(Child):
        """No dataclass itself."""

    @decorate(frozen=True)
    class Made:
        a: int
        b: str = dataclasses.field(default="b", repr=False)
        c: list[int] = dataclasses.field(default_factory=list, compare=False)

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError("negative")

    @decorate
    class Open:
        a: int
        b: str = "b"
        c: int = dataclasses.field(init=False, default=3)

    return Parent, Child, Plain, Made, Open


def _told(of: Callable[[], object]) -> tuple[str, str]:
    try:
        return "value", repr(of()).replace("_family.<locals>.", "")
    except (TypeError, ValueError, AttributeError) as error:
        # __init__() names its class or not, by Python's version and not by ours
        return type(error).__name__, str(error).rsplit(".", 1)[-1]


ASKED: dict[str, Callable[[type], object]] = {
    "made": lambda kind: kind(1),
    "named": lambda kind: kind(a=1, b="x"),
    "equal": lambda kind: (kind(1) == kind(1), kind(1) == kind(2), kind(1) != "1"),
    "hashed": lambda kind: hash(kind(1)) == hash(kind(1)) and len({kind(1), kind(1), kind(2)}),
    "too many": lambda kind: kind(1, 2, 3, 4, 5),
    "too few": lambda kind: kind(),
    "refused": lambda kind: kind(-1),
    "fields": lambda kind: [(f.name, f.type, f.init) for f in dataclasses.fields(kind)],
    "is one": lambda kind: dataclasses.is_dataclass(kind),
    "params": lambda kind: kind.__dataclass_params__,  # type: ignore[attr-defined]
    "matched": lambda kind: kind.__match_args__,  # type: ignore[attr-defined]
    "replaced": lambda kind: dataclasses.replace(kind(1), a=3),
    "as dict": lambda kind: dataclasses.asdict(kind(1)),
    "copied": lambda kind: copy.deepcopy(kind(1)) == kind(1),
    "default": lambda kind: (kind.b, hasattr(kind, "a"), hasattr(kind, "c")),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("first", ASKED)
@pytest.mark.parametrize("which", range(5))
def test_it_answers_as_dataclasses_does_whatever_is_asked_first(first: str, which: int) -> None:
    ours, theirs = _family(deferred)[which], _family(dataclasses.dataclass)[which]
    for question in (first, *ASKED):
        if question == "default" and question == first:
            continue  # `field(…)` itself stands at the class until the first use
        assert _told(lambda: ASKED[question](ours)) == _told(  # noqa: B023
            lambda: ASKED[question](theirs)  # noqa: B023
        ), question


def test_only_the_first_method_that_is_needed_is_made() -> None:
    made = _family(deferred)[3]
    first, second = made(1), made(1)
    assert (first.b, first.c) == ("b", [])
    assert first.c is not second.c
    assert made.__dict__["__eq__"].stands_in
    with pytest.raises(dataclasses.FrozenInstanceError, match="'a'"):
        first.a = 2
    assert first == second
    assert not hasattr(made.__dict__["__eq__"], "stands_in")
    assert made(1, c=[1]) == made(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'a'"):
        del first.a


def test_nothing_can_be_set_or_deleted() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="'y'"):
        del point.y  # type: ignore[misc]
    assert (point.x, point.y) == (1, 2)


def test_one_that_is_mutable_can_be_and_has_no_hash() -> None:
    @deferred
    class Tally:
        count: int = 0

    tally = Tally()
    tally.count += 1
    assert tally == Tally(1)
    with pytest.raises(TypeError):
        hash(tally)


def test_what_was_pickled_elsewhere_is_equal_before_anything_was_made_here() -> None:
    text = pickle.dumps(Point(3, tags=("a",)))
    fresh = deferred(frozen=True)(
        type("Point", (), {"__annotations__": {"x": int}, "__module__": __name__})
    )
    one, other = object.__new__(fresh), object.__new__(fresh)
    for made in (one, other):
        made.__dict__["x"] = 1
    assert one == other and hash(one) == hash(other)
    match one:
        case fresh(x):  # type: ignore[misc]
            assert x == 1
    loaded = pickle.loads(text)
    assert loaded == Point(3) and loaded.tags == ("a",)


def test_threads_that_come_at_once_all_get_the_real_thing() -> None:
    for _ in range(50):
        kinds = _family(deferred)
        start, made = threading.Barrier(8), []

        def work(kinds: tuple[type, ...] = kinds, start: Any = start, made: Any = made) -> None:
            start.wait()
            made.append(kinds[1](1, c=(2,)))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [kinds[1](1, c=(2,))] * 8


def test_other_options_are_dataclasses_own() -> None:
    @deferred(frozen=True, order=True)
    class Version:
        number: int

    assert Version(1) < Version(2)
    assert Version.__init__.__qualname__.endswith("Version.__init__")


def test_nothing_is_made_before_it_is_used() -> None:
    parent, child, *_ = _family(deferred)
    assert getattr(parent.__dict__["__init__"], "stands_in", False)
    child(1)
    assert not getattr(child.__dict__["__init__"], "stands_in", False)
