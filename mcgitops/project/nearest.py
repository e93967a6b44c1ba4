"""The name that somebody may have meant. What finds it is imported when somebody erred."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """The most similar of `names`; "" where none is similar."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(names), n=1)), "")
