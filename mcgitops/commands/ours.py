"""Our own idempotent verbs as commands: what isn't somebody else's program in a plan."""

from __future__ import annotations

from mcgitops.commands.command import Command


def verb(name: str, *arguments: str, reason: str = "") -> Command:
    """`mcgitops NAME ARGUMENT…`."""
    return Command(("mcgitops", name, *arguments), reason=reason)
