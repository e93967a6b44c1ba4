"""What is wrong with data from outside: every mistake, with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Place = tuple[str | int, ...]
"""The keys and positions that lead to a value."""


class Mistake(NamedTuple):
    """One mistake: its kind, what is said, where it is, what is there, and what was expected."""

    kind: str
    text: str
    place: Place
    value: Any
    about: Mapping[str, Any] = {}


class ValidationError(ValueError):
    """Data that doesn't fit a type, with all that is wrong with it."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        """One line a mistake."""
        return "\n".join(
            f"{'.'.join(map(str, one.place)) or 'value'}: {one.text}" for one in self.mistakes
        )

    def below(self, *place: str | int) -> Iterator[Mistake]:
        """The mistakes as seen from further out."""
        return (one._replace(place=(*place, *one.place)) for one in self.mistakes)


def mistake(kind: str, text: str, value: Any, **about: Any) -> ValidationError:
    """A mistake of the value itself."""
    return ValidationError((Mistake(kind, text, (), value, about),))
