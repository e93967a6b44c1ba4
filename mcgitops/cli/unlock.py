"""`mcgitops unlock`."""

from __future__ import annotations

import json
import sys

import click

from mcgitops.cli.app import App
from mcgitops.cli.environment import chosen


@click.command(name="unlock")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option("--host", "urls", multiple=True, metavar="URL", help="Only there; may be repeated.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--force", is_flag=True, help="Even where its owner is at work.")
@click.option("--json", "as_json", is_flag=True, help="Print the locks as JSON; implies --yes.")
@click.pass_obj
def command(
    app: App, environment: str | None, urls: tuple[str, ...], yes: bool, force: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Show the locks of an environment and take them away.

    Refused (exit 1) while the owner's heartbeat is fresh, unless --force. A lock whose owner died
    needs none of this: it ends by itself within 90 seconds.
    """
    from mcgitops.deploy.freeze import held, unlock
    from mcgitops.errors import UsageError
    from mcgitops.forge.event import refuse_privileged

    refuse_privileged(app.environ)
    name = chosen(app, environment)
    locks = held(app.project, name, app.environ, urls)
    if as_json:
        click.echo(json.dumps([one.to_json() for one in locks], indent=2))
    else:
        for one in locks:
            click.echo(str(one))
    if not locks:
        if not as_json:
            click.echo(f"{name} is not locked.")
        return
    busy = any(one.state == "at work" for one in locks)
    if not yes and not as_json and not (busy and not force):
        if not sys.stdin.isatty():
            raise UsageError("Nobody is there to answer.", "Add --yes to take them away.")
        if not click.confirm("Take them away?"):
            return
    unlock(app.project, name, app.environ, locks, force=force)
    if not as_json:
        click.echo(f"{name} is not locked any more.")
