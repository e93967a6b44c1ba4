"""What verbs about one environment have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mcgitops.cli.app import App

F = TypeVar("F", bound=Callable[..., Any])

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


def rollout_options(command: F) -> F:
    """`--wait`, `--dry-run`, `--shell` and `--json`, as all verbs have them that change hosts."""
    options = (
        click.option(
            "--wait", callback=as_seconds, default=WAIT, metavar="DURATION", show_default=True,
            help="How long to wait for a rollout that is at work; 0s refuses at once.",
        ),
        click.option(
            "--dry-run", is_flag=True, help="Look at the hosts and print the commands only."
        ),
        click.option(
            "--shell", "as_shell", is_flag=True,
            help="Only look, and print a bash script that does the same.",
        ),
        click.option(
            "--json", "as_json", is_flag=True, help="Print the result, or the plan, as JSON."
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def failure_as_json(wanted: bool) -> Iterator[None]:
    """What became of the hosts is printed where the rollout fails, too; the error goes on."""
    from mcgitops.deploy.outcome import NeedsAttention, RolledBack

    try:
        yield
    except (RolledBack, NeedsAttention) as error:
        if wanted:
            click.echo(json.dumps(error.report.to_json(), indent=2))
        raise
