"""Text that remembers where it comes from, so that each view can make it harmless in its own way.

A plain `str` is our own; `Name` is text of a file, `Sentence` one of ours that may hold such text.
"""

from __future__ import annotations


class Name(str):
    """A name or value out of a file: anything may be in it."""

    __slots__ = ()


class Sentence(str):
    """A sentence of ours with names in it."""

    __slots__ = ()


Text = tuple[str, ...]
"""Pieces that belong together, in the order of reading; between them is no blank."""
