"""From a type hint to the function that makes such a value of data, or says what is wrong with it.

Lax where a file's author can't mean anything else: `"1"` is a number, `1` is one with a fraction.
In a union a value keeps its own type if the union has it. The kinds and words of mistakes are those
of pydantic, which was here before; messages for people are made in `mcgitops.project.load`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from mcgitops.typed.mistakes import Mistake, ValidationError, mistake

Convert = Callable[[Any], Any]
"""Gives the value; raises `ValidationError`."""

_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE = frozenset({"0", "off", "f", "false", "n", "no"})
_WHOLE = r"[+-]?\d+(?:_\d+)*(?:\.0+)?"


class Before:
    """In `Annotated`: makes something else of the value before it is looked at."""

    def __init__(self, function: Convert) -> None:
        self.function = function


class Limits:
    """In `Annotated`: bounds of a number, the least length of text or a list, a pattern of text.

    shown: a pattern for the JSON Schema alone, where code checks the text.
    """

    __slots__ = ("ge", "gt", "le", "min_length", "pattern", "shown")

    def __init__(
        self,
        *,
        gt: float | None = None,
        ge: float | None = None,
        le: float | None = None,
        min_length: int | None = None,
        pattern: str | None = None,
        shown: str | None = None,
    ) -> None:
        self.gt = gt
        self.ge = ge
        self.le = le
        self.min_length = min_length
        self.pattern = pattern
        self.shown = shown


def convert(value: Any, hint: Any) -> Any:
    """The value as the type; raises `ValidationError`."""
    return converter(hint)(value)


def converter(hint: Any, *, strip: bool = False, limits: Limits | None = None) -> Convert:
    """The function for a type. strip: text loses the blanks around it. limits: of what isn't None.

    Raises `TypeError` for types that none of our classes has.
    """
    if hint is Any:
        return _anything
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(inner[0], inner[1:], strip, limits)
    if origin is Union or origin is UnionType:
        return _union(inner, strip, limits)
    made = _plain(hint, origin, inner, strip)
    return made if limits is None else _limited(made, limits)


def called(function: Convert, value: Any) -> Any:
    """What a check gives: it says what is wrong with a `ValueError`."""
    try:
        return function(value)
    except ValidationError:
        raise
    except ValueError as error:
        raise mistake("value_error", f"Value error, {error}", value, error=error) from None


def _plain(hint: Any, origin: Any, inner: tuple[Any, ...], strip: bool) -> Convert:
    if hint is str:
        return _stripped if strip else _text
    if hint in _SINGLE:
        return _SINGLE[hint]
    if origin is Literal:
        return _literal(inner)
    if origin is tuple:
        items = tuple(converter(one, strip=strip) for one in inner if one is not Ellipsis)
        return _list_of(items[0]) if inner[-1] is Ellipsis else _row_of(items)
    if origin in (dict, Mapping):
        return _mapping_of(*(converter(one, strip=strip) for one in inner))
    if hasattr(hint, "model_validate"):
        return hint.model_validate  # type: ignore[no-any-return]
    if hasattr(hint, "__dataclass_fields__"):
        return _dataclass(hint)
    raise TypeError(f"{hint!r} is not known to the converter")


def _annotated(
    hint: Any, notes: tuple[Any, ...], strip: bool, limits: Limits | None
) -> Convert:  # fmt: skip
    made = converter(hint, strip=strip, limits=limits)
    for note in notes:
        if isinstance(note, Limits):
            made = _limited(made, note)
    for note in notes:
        if isinstance(note, Before):
            made = _after(note.function, made)
    return made


def _after(function: Convert, then: Convert) -> Convert:
    return lambda value: then(called(function, value))


# single values


def _anything(value: Any) -> Any:
    return value


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    raise mistake("string_type", "Input should be a valid string", value)


def _stripped(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    raise mistake("string_type", "Input should be a valid string", value)


def _float(value: Any) -> Any:
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            raise mistake("float_type", "Input should be a valid number", value) from None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            said = "Input should be a valid number, unable to parse string as a number"
            raise mistake("float_parsing", said, value) from None
    raise mistake("float_type", "Input should be a valid number", value)


def _int(value: Any) -> Any:
    if isinstance(value, int):
        return int(value)  # of true, too
    if isinstance(value, float):
        if not math.isfinite(value):
            raise mistake("finite_number", "Input should be a finite number", value)
        if value.is_integer():
            return int(value)
        said = "Input should be a valid integer, got a number with a fractional part"
        raise mistake("int_from_float", said, value)
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(_WHOLE, text) and len(text) < 4300:
            return int(text.partition(".")[0])
        said = "Input should be a valid integer, unable to parse string as an integer"
        raise mistake("int_parsing", said, value)
    raise mistake("int_type", "Input should be a valid integer", value)


def _bool(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and (word := value.lower()) in _TRUE | _FALSE:
        return word in _TRUE
    if isinstance(value, int | str) or (isinstance(value, float) and value.is_integer()):
        said = "Input should be a valid boolean, unable to interpret input"
        raise mistake("bool_parsing", said, value)
    raise mistake("bool_type", "Input should be a valid boolean", value)


def _time(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            said = f"Input should be a valid datetime, {error}"
            raise mistake("datetime_parsing", said, value) from None
    raise mistake("datetime_type", "Input should be a valid datetime", value)


def _none(value: Any) -> Any:
    if value is None:
        return None
    raise mistake("none_required", "Input should be None", value)


_SINGLE: dict[Any, Convert] = {
    float: _float, int: _int, bool: _bool, datetime: _time, NoneType: _none,
}  # fmt: skip


def _literal(options: tuple[Any, ...]) -> Convert:
    allowed = {option: option for option in options}
    names = [repr(option) for option in options]
    expected = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

    def convert(value: Any) -> Any:
        if isinstance(value, str | int | float) and value in allowed:
            return allowed[value]  # 1 of 1.0, too
        raise mistake("literal_error", f"Input should be {expected}", value, expected=expected)

    return convert


def _limited(made: Convert, limits: Limits) -> Convert:
    checks = []
    if limits.pattern is not None:
        checks.append(_pattern(limits.pattern))
    if limits.min_length is not None:
        checks.append(_length(limits.min_length))
    for name, bound in (("ge", limits.ge), ("gt", limits.gt), ("le", limits.le)):
        if bound is not None:
            checks.append(_bound(name, bound))

    def convert(value: Any) -> Any:
        found = made(value)
        for check in checks:
            check(found, value)
        return found

    return convert if checks else made


def _pattern(pattern: str) -> Callable[[Any, Any], None]:
    # `$` of JSON Schema is the very end, Python's is also the place before a last line break
    exact = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern

    compiled: list[re.Pattern[str]] = []  # at the first use: most are never used

    def check(found: str, value: Any) -> None:
        if not compiled:
            compiled.append(re.compile(exact))
        if compiled[0].search(found) is None:
            said = f"String should match pattern '{pattern}'"
            raise mistake("string_pattern_mismatch", said, value, pattern=pattern)

    return check


def _length(least: int) -> Callable[[Any, Any], None]:
    plural = "" if least == 1 else "s"

    def check(found: Any, value: Any) -> None:
        if len(found) >= least:
            return
        if isinstance(found, str):
            said = f"String should have at least {least} character{plural}"
            raise mistake("string_too_short", said, value, min_length=least)
        said = f"Tuple should have at least {least} item{plural} after validation, not {len(found)}"
        raise mistake("too_short", said, value, min_length=least)

    return check


def _bound(name: str, bound: float) -> Callable[[Any, Any], None]:
    kind, words = {
        "ge": ("greater_than_equal", "greater than or equal to"),
        "gt": ("greater_than", "greater than"),
        "le": ("less_than_equal", "less than or equal to"),
    }[name]

    def check(found: float, value: Any) -> None:
        fits = found >= bound if name == "ge" else found > bound if name == "gt" else found <= bound
        if not fits:  # which is so for NaN as well
            raise mistake(kind, f"Input should be {words} {bound:g}", value, **{name: bound})

    return check


# several values


def _list_of(item: Convert) -> Convert:
    def convert(value: Any) -> Any:
        if not isinstance(value, list | tuple | set | frozenset):
            raise mistake("tuple_type", "Input should be a valid tuple", value)
        try:
            return tuple([item(one) for one in value])
        except ValidationError:
            raise _all_of((index, item, one) for index, one in enumerate(value)) from None

    return convert


def _row_of(items: tuple[Convert, ...]) -> Convert:
    def convert(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise mistake("tuple_type", "Input should be a valid tuple", value)
        if len(value) != len(items):
            kind = "missing" if len(value) < len(items) else "too_long"
            raise mistake(kind, f"Tuple should have {len(items)} items, not {len(value)}", value)
        try:
            return tuple([item(one) for item, one in zip(items, value, strict=True)])
        except ValidationError:
            pairs = zip(items, value, strict=True)
            raise _all_of((index, *pair) for index, pair in enumerate(pairs)) from None

    return convert


def _mapping_of(key: Convert, item: Convert) -> Convert:
    def convert(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise mistake("dict_type", "Input should be a valid dictionary", value)
        try:
            return {key(name): item(one) for name, one in value.items()}
        except ValidationError:
            pass
        mistakes: list[Mistake] = []
        for name, one in value.items():
            for function, given, place in ((key, name, (name, "[key]")), (item, one, (name,))):
                try:
                    function(given)
                except ValidationError as error:
                    mistakes.extend(error.below(*place))
        raise ValidationError(mistakes)

    return convert


def _all_of(parts: Any) -> ValidationError:
    mistakes: list[Mistake] = []
    for place, function, value in parts:
        try:
            function(value)
        except ValidationError as error:
            mistakes.extend(error.below(place))
    return ValidationError(mistakes)


def _dataclass(kind: Any) -> Convert:
    """A dataclass of the standard library; keys that it doesn't know are ignored."""

    @lru_cache(maxsize=1)  # not before it is needed: a class may hold its own kind
    def fields() -> list[tuple[str, Convert, bool]]:
        from dataclasses import MISSING, fields

        hints = get_type_hints(kind, include_extras=True)
        return [
            (
                field.name,
                converter(hints[field.name]),
                field.default is MISSING and field.default_factory is MISSING,
            )
            for field in fields(kind)
        ]

    def convert(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            said = f"Input should be a dictionary or an instance of {kind.__name__}"
            raise mistake("dataclass_type", said, value)
        found: dict[str, Any] = {}
        mistakes: list[Mistake] = []
        for name, function, required in fields():
            if name in value:
                try:
                    found[name] = function(value[name])
                except ValidationError as error:
                    mistakes.extend(error.below(name))
            elif required:
                mistakes.append(Mistake("missing", "Field required", (name,), value))
        if mistakes:
            raise ValidationError(mistakes)
        return called(lambda keys: kind(**keys), found)

    return convert


# one of several types


def _union(hints: tuple[Any, ...], strip: bool, limits: Limits | None) -> Convert:
    others = tuple(hint for hint in hints if hint is not NoneType)
    made = (
        converter(others[0], strip=strip, limits=limits)
        if len(others) == 1
        else _one_of(others, strip)
    )
    if len(others) == len(hints):
        return made
    return lambda value: None if value is None else made(value)


def _one_of(hints: tuple[Any, ...], strip: bool) -> Convert:
    functions = tuple(converter(hint, strip=strip) for hint in hints)
    own: dict[type, Convert] = {
        hint if isinstance(hint, type) else get_origin(hint): function
        for hint, function in zip(hints, functions, strict=True)
    }
    kept = frozenset(
        hint for hint in hints if hint in (bool, int, float) or (hint is str and not strip)
    )

    def convert(value: Any) -> Any:
        kind = type(value)
        if kind in kept:
            return value
        if (function := own.get(kind)) is not None:
            try:
                return function(value)
            except ValidationError:
                pass
        mistakes: list[Mistake] = []
        for hint, function in zip(hints, functions, strict=True):
            try:
                return function(value)
            except ValidationError as error:
                mistakes.extend(error.below(label(hint)))
        raise ValidationError(mistakes)

    return convert


def label(hint: Any) -> str:
    """What a branch of a union is called in the place of a mistake."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return label(inner[0])
    if origin is Literal:
        return f"literal[{','.join(map(repr, inner))}]"
    if origin is Union or origin is UnionType:
        return f"union[{','.join(map(label, inner))}]"
    if origin is tuple:
        return f"tuple[{', '.join('...' if one is Ellipsis else label(one) for one in inner)}]"
    if origin is not None:
        return f"{origin.__name__}[{','.join(map(label, inner))}]"
    return "none" if hint is NoneType else str(getattr(hint, "__name__", hint))
