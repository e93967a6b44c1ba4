"""`mcgitops status`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.errors import UsageError

if TYPE_CHECKING:
    from mcgitops.deploy.status import HostStatus, Look

    Show = Callable[[list[HostStatus]], None]

INTERVAL = 2.0
SHORTEST = 0.5


@click.command(name="status")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option(
    "--watch", is_flag=False, flag_value=INTERVAL, type=click.FloatRange(min=SHORTEST),
    metavar="[SECONDS]",
    help="Look again every few seconds, 2 without a number, until Ctrl-C.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(app: App, environment: str | None, watch: float | None, as_json: bool) -> int:
    """Say what runs where.

    Asks every host and holds what it runs against its release: containers, images, configuration,
    the release folder, the proxy. Exit 1 where a host can't be asked or anything isn't as it
    should be. With --watch the exit code is that of the last look; where the output isn't a
    terminal, changes are printed as lines, or as JSON, one array a line.
    """
    from mcgitops.deploy.status import Look
    from mcgitops.deploy.target import environment_of

    if environment is not None:
        environment_of(app.project, environment)
    names = [environment] if environment else list(app.project.spec.environments)
    if not names:
        raise UsageError(
            "The compose file names no environment.",
            "Add x-mcgitops.environments with hosts, such as ssh://deploy@example.com.",
        )
    with Look(app.project, names, app.environ) as look:
        if watch is not None:
            return _watch(look, watch, as_json=as_json)
        found = look()
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=2))
    else:
        from mcgitops.deploy.views import status_text

        click.echo(status_text(found))
    return _code(found)


def _code(found: list[HostStatus]) -> int:
    return 0 if all(one.is_well for one in found) else 1


def _watch(look: Look, seconds: float, *, as_json: bool) -> int:
    """Look until Ctrl-C. The pause comes after the answer, so that a slow host is asked less."""
    found: list[HostStatus] = []
    with ExitStack() as opened:
        if sys.stdout.isatty() and not as_json:
            show = opened.enter_context(_live())
        else:
            show = _changes(as_json=as_json)
        try:
            while True:
                found = look()
                show(found)
                time.sleep(seconds)
        except KeyboardInterrupt:
            return _code(found) if found else 130


@contextmanager
def _live() -> Iterator[Show]:
    """The table, redrawn in place."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from mcgitops.deploy.views import status_text

    with Live(console=Console(), auto_refresh=False) as live:

        def show(found: list[HostStatus]) -> None:
            at = datetime.now().astimezone().strftime("%H:%M:%S")
            text = f"{status_text(found)}\n\n{at}, Ctrl-C ends it"
            live.update(Text(text, overflow="fold"), refresh=True)

        yield show


def _changes(*, as_json: bool) -> Show:
    """A line for each host that isn't as it was, with the time; as JSON all hosts, one line."""
    from mcgitops.deploy.views import status_line

    known: dict[tuple[str, str], object] = {}

    def show(found: list[HostStatus]) -> None:
        fresh = [one for one in found if known.get((one.environment, one.host.url)) != one.identity]
        known.update({(one.environment, one.host.url): one.identity for one in fresh})
        if fresh and as_json:
            click.echo(json.dumps([one.to_json() for one in found]))
        elif fresh:
            at = datetime.now().astimezone().isoformat(timespec="seconds")
            for one in fresh:
                click.echo(f"{at} {status_line(one)}")
        sys.stdout.flush()

    return show
