"""Makes text of others harmless on a terminal: names, reasons and what hosts have written down."""

from __future__ import annotations


def visible(text: str, limit: int = 200) -> str:
    """One line of visible characters: control, bidirectional and zero-width ones become �."""
    cut = text[: limit + 1]
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in cut).split())
    return line[: limit - 1] + "…" if len(line) > limit else line
