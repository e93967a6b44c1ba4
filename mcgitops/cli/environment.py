"""What verbs about one environment have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mcgitops.cli.app import App

WAIT = "10m"


def chosen(app: App, name: str | None) -> str:
    """The environment that is meant: the only one, where none is named."""
    from mcgitops.deploy.target import environment_of
    from mcgitops.errors import UsageError

    if name is not None:
        environment_of(app.project, name)
        return name
    known = sorted(app.project.spec.environments)
    if len(known) == 1:
        return known[0]
    if not known:
        raise UsageError(
            "The compose file names no environment.",
            "Add x-mcgitops.environments with hosts, such as ssh://deploy@example.com.",
        )
    raise UsageError("Which environment?", f"Name one of {', '.join(known)}.")


def as_seconds(ctx: click.Context, param: click.Parameter, value: str) -> int:
    """An option's `90s`, `10m`, `1h30m` in seconds."""
    import re

    from mcgitops.project.base import DURATION, seconds

    if not re.match(DURATION, value):
        raise click.BadParameter(f"{value!r} is no duration. Write 90s, 10m or 1h30m.", ctx, param)
    return seconds(value)
