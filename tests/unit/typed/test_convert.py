"""From data to values: what is let through, and what is said of the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.typed.convert import Before, Limits, convert
from mcgitops.typed.mistakes import ValidationError

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["1", " 1 ", "1.0", "yes", "off", "nan", "1e3", "2026-01-01T00:00:00Z"])
)  # fmt: skip
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
                                                                max_size=3),
    max_leaves=8,
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    left: int
    right: str = ""


HINTS: tuple[Any, ...] = (
    str, int, float, bool, datetime, Any, int | None, Literal["a", "b"], Literal[1],
    bool | int | float | str, str | tuple[str, ...], dict[str, tuple[int, ...]], tuple[int, str],
    Pair, tuple[Pair, ...], Annotated[str, Limits(pattern=r"^a+$")],
)  # fmt: skip


@pytest.mark.parametrize(
    ("hint", "given_value", "value"),
    [
        (int, "12", 12), (int, " 1_000 ", 1000), (int, "2.0", 2), (int, 3.0, 3), (int, True, 1),
        (float, 1, 1.0), (float, "0.5", 0.5), (float, True, 1.0), (float, "-inf", -math.inf),
        (bool, "Yes", True), (bool, "off", False), (bool, 0, False), (bool, 1.0, True),
        (tuple[str, ...], ["a"], ("a",)), (tuple[int, str], ["1", "x"], (1, "x")),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (bool | int | float | str, True, True), (bool | int | float | str, 1, 1),
        (bool | int | float | str, 1.0, 1.0), (bool | int | float | str, "1", "1"),
        (int | Literal["all"], "all", "all"), (int | Literal["all"], "2", 2),
        (str | int | bool, 1.0, 1), (str | tuple[str, ...], ["a"], ("a",)),
        (Pair, {"left": "1", "later": 2}, Pair(1)), (int | None, None, None), (Literal[1], 1.0, 1),
        (datetime, "2026-01-01T00:00:00.123456789Z",
         datetime(2026, 1, 1, microsecond=123456, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_what_can_mean_one_thing_only_is_taken_for_it(hint, given_value, value):
    found = convert(given_value, hint)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("hint", "value", "kind"),
    [
        (str, 1, "string_type"), (int, 1.5, "int_from_float"), (int, "1.5", "int_parsing"),
        (int, [], "int_type"), (int, math.nan, "finite_number"), (float, "x", "float_parsing"),
        (float, None, "float_type"), (float, 10**400, "float_type"), (bool, 2, "bool_parsing"),
        (bool, None, "bool_type"), (tuple[str, ...], "abc", "tuple_type"),
        (tuple[int, str], [1], "missing"), (dict[str, int], [], "dict_type"),
        (Literal["a", "b"], "c", "literal_error"), (Literal["a"], ["a"], "literal_error"),
        (datetime, "soon", "datetime_parsing"), (datetime, 0, "datetime_type"),
        (Pair, {}, "missing"), (Pair, 1, "dataclass_type"),
        (Annotated[int, Limits(ge=1)], 0, "greater_than_equal"),
        (Annotated[float, Limits(gt=0)], math.nan, "greater_than"),
        (Annotated[int, Limits(le=1)], 2, "less_than_equal"),
        (Annotated[str, Limits(pattern=r"^a+$")], "aa\n", "string_pattern_mismatch"),
        (Annotated[str, Limits(min_length=1)], "", "string_too_short"),
        (Annotated[tuple[str, ...], Limits(min_length=1)], [], "too_short"),
        (Annotated[int, Before(math.sqrt)], -1, "value_error"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_kind(hint, value, kind):
    with pytest.raises(ValidationError) as caught:
        convert(value, hint)
    assert [(one.kind, one.place) for one in caught.value.mistakes] == [
        (kind, ("left",) if hint is Pair and kind == "missing" else ())
    ]


def test_all_mistakes_are_named_with_their_places():
    with pytest.raises(ValidationError) as caught:
        convert({"a": [1, "x", None], "b": 3, 4: [5]}, dict[str, tuple[int, ...]])
    assert [(one.kind, one.place) for one in caught.value.mistakes] == [
        ("int_parsing", ("a", 1)),
        ("int_type", ("a", 2)),
        ("tuple_type", ("b",)),
        ("string_type", (4, "[key]")),
    ]
    assert str(caught.value).splitlines()[0].startswith("a.1: Input should be a valid integer")


def test_each_branch_of_a_union_says_what_it_misses():
    with pytest.raises(ValidationError) as caught:
        convert({}, str | tuple[str, ...])
    assert [one.place for one in caught.value.mistakes] == [("str",), ("tuple[str, ...]",)]


@given(DATA, st.sampled_from(HINTS))
def test_any_data_is_taken_or_refused_and_what_was_taken_stays(data, hint):
    try:
        found = convert(data, hint)
    except ValidationError as error:
        assert error.mistakes
        return
    assert repr(convert(found, hint)) == repr(found)
