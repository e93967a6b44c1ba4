"""The base of classes that are made of data from outside: immutable, checked, JSON and back.

    class Gate(Model, unknown=False, strip=True):
        "What it is for."
        min: float | None = key(default=None, description="…")

        @whole
        def _says_something(self) -> None: …

Its methods are named as those of pydantic's models.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform, get_type_hints

from mcgitops.typed.convert import Convert, Limits, called, converter
from mcgitops.typed.mistakes import Mistake, ValidationError, mistake

REQUIRED: Any = object()
_T = TypeVar("_T")
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Key:
    """What is known of a key beside its type."""

    __slots__ = (
        "converted", "default", "description", "factory", "hint", "limits", "name", "written",
    )  # fmt: skip

    def __init__(
        self,
        default: Any = REQUIRED,
        factory: Callable[[], Any] | None = None,
        description: str = "",
        limits: Limits | None = None,
        written: Convert | None = None,
    ) -> None:
        self.default = default
        self.factory = factory
        self.description = description
        self.limits = limits
        self.written = written
        self.name = ""
        self.hint: Any = None
        self.converted: Convert = called  # type: ignore[assignment]  # until it is known

    @property
    def is_required(self) -> bool:
        """Whether there is no default."""
        return self.default is REQUIRED and self.factory is None

    def made_default(self) -> Any:
        """The default, and a new one each time where it could be changed."""
        if self.factory is not None:
            return self.factory()
        return copy.copy(self.default) if isinstance(self.default, dict) else self.default


def key(
    *,
    default: Any = REQUIRED,
    default_factory: Callable[[], Any] | None = None,
    description: str = "",
    gt: float | None = None,
    ge: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
    pattern: str | None = None,
    written: Convert | None = None,
) -> Any:
    """A key with a description and, maybe, limits: bounds, a least length, a regular expression.

    written: from the value to what JSON has for it, where that isn't the value itself.
    """
    limits = None
    if any(one is not None for one in (gt, ge, le, min_length, pattern)):
        limits = Limits(gt=gt, ge=ge, le=le, min_length=min_length, pattern=pattern)
    return Key(default, default_factory, description, limits, written)


def before(*names: str) -> Callable[[_Function], _Function]:
    """Marks a static method that changes what was written for these keys, before it is read."""
    return lambda function: _marked(function, "before", names)


def after(*names: str) -> Callable[[_Function], _Function]:
    """Marks a static method that is given these keys' values, and gives what they shall be."""
    return lambda function: _marked(function, "after", names)


def whole(function: _Function) -> _Function:
    """Marks a method that looks at the object when all its keys are there."""
    return _marked(function, "whole", ())


def _marked(function: _Function, when: str, names: tuple[str, ...]) -> _Function:
    function.looks_at = (when, names)  # type: ignore[attr-defined]
    return function


class Shape:
    """A class's keys and checks, found when they are first needed."""

    def __init__(self, model: type[Model]) -> None:
        self.keys: dict[str, Key] = {}
        self.unknown = model._unknown
        self.whole: list[Callable[[Any], None]] = []
        around: dict[str, tuple[list[Convert], list[Convert]]] = {}
        hints = get_type_hints(model, include_extras=True)
        for base in reversed(model.__mro__):
            for name in vars(base).get("__annotations__", ()):
                if not name.startswith("_"):
                    self.keys[name] = _key(name, hints[name], base.__dict__.get(name, REQUIRED))
            for found in base.__dict__.values():
                when, names = getattr(found, "looks_at", ("", ()))
                if when == "whole":
                    self.whole.append(found)
                for name in names:
                    around.setdefault(name, ([], []))[when == "after"].append(found.__func__)
        for name, one in self.keys.items():
            made = converter(one.hint, strip=model._strip, limits=one.limits)
            first, last = around.get(name, ((), ()))
            one.converted = _between(first, made, last) if first or last else made


def _key(name: str, hint: Any, default: Any) -> Key:
    written = default if isinstance(default, Key) else Key(default)
    found = copy.copy(written)  # a class and the one it is derived from share it
    found.name, found.hint = name, hint
    return found


def _between(first: Any, made: Convert, last: Any) -> Convert:
    def convert(value: Any) -> Any:
        given = value
        for function in first:
            value = called(function, value)
        value = made(value)
        for function in last:
            try:
                value = called(function, value)
            except ValidationError as error:  # a mistake shows what was written
                raise ValidationError(one._replace(value=given) for one in error.mistakes) from None
        return value

    return convert


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(key,))
class Model:
    """Base of them all. unknown: whether unknown keys are ignored; strip: whether text is."""

    _unknown: ClassVar[bool] = True
    _strip: ClassVar[bool] = False

    def __init_subclass__(cls, *, unknown: bool | None = None, strip: bool | None = None) -> None:
        """Options are inherited."""
        if unknown is not None:
            cls._unknown = unknown
        if strip is not None:
            cls._strip = strip

    def __init__(self, /, **keys: Any) -> None:
        self._fill(keys)

    @classmethod
    def model_shape(cls) -> Shape:
        """Its keys and checks."""
        found = cls.__dict__.get("_shape")
        if found is None:
            found = Shape(cls)
            type.__setattr__(cls, "_shape", found)
        return found

    @classmethod
    def model_keys(cls) -> Mapping[str, Key]:
        """Its keys, in order."""
        return MappingProxyType(cls.model_shape().keys)

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """The object out of a mapping; an object of the class is given as it is.

        Raises `ValidationError` with all mistakes.
        """
        if isinstance(data, cls):
            return data
        if not isinstance(data, Mapping):
            said = f"Input should be a valid dictionary or instance of {cls.__name__}"
            raise mistake("model_type", said, data)
        made = cls.__new__(cls)
        made._fill(data)
        return made

    def _fill(self, data: Mapping[Any, Any]) -> None:
        shape = self.model_shape()
        keys = shape.keys
        found = self.__dict__
        mistakes: list[Mistake] = []
        known = 0
        for name, one in keys.items():
            if name in data:
                known += 1
                try:
                    found[name] = one.converted(data[name])
                except ValidationError as error:
                    mistakes.extend(error.below(name))
            elif one.is_required:
                mistakes.append(Mistake("missing", "Field required", (name,), data))
            else:
                found[name] = one.made_default()
        if known < len(data) and not shape.unknown:
            mistakes += [_unknown(name, data[name]) for name in data if name not in keys]
        if mistakes:
            raise ValidationError(mistakes)
        for check in shape.whole:
            try:
                check(self)
            except ValidationError:
                raise
            except ValueError as error:
                said = f"Value error, {error}"
                raise mistake("value_error", said, data, error=error) from None

    def model_copy(self, update: Mapping[str, Any] | None = None) -> Self:
        """The same with other values, which are not checked."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.__dict__.update(update or {})
        return made

    def model_dump(self, *, mode: str = "json", exclude_defaults: bool = False) -> dict[str, Any]:
        """As JSON has it: mappings, lists, text and numbers."""
        from mcgitops.typed.jsontext import data_of

        return data_of(self, exclude_defaults=exclude_defaults)

    def model_dump_json(self, indent: int | None = None) -> str:
        """As JSON text."""
        from mcgitops.typed.jsontext import text_of

        return text_of(self, indent)

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        """The JSON Schema (2020-12) of the data."""
        from mcgitops.typed.schema import schema_of

        return schema_of(cls)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} of {type(self).__name__} can't be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} of {type(self).__name__} can't be removed")


def _unknown(name: Any, value: Any) -> Mistake:
    if isinstance(name, str):
        return Mistake("extra_forbidden", "Extra inputs are not permitted", (name,), value)
    place = (name if isinstance(name, int) else str(name),)
    return Mistake("invalid_key", "Keys should be strings", place, name)
