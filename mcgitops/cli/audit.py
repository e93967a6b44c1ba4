"""`mcgitops audit`."""

from __future__ import annotations

import json

import click

from mcgitops.cli.app import App
from mcgitops.cli.environment import chosen


@click.command(name="audit")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option(
    "-n", "--number", type=click.IntRange(1), default=20, show_default=True, metavar="N",
    help="How many of the newest.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(app: App, environment: str | None, number: int, as_json: bool) -> int:
    """List who deployed what, when, and how it ended.

    From the store's records and from the journals of the hosts, and says what only one of them
    knows. Exit 1 where the store or a host could not be asked.
    """
    from mcgitops.deploy.audit import audit, table

    name = chosen(app, environment)
    found = audit(app.project, app.store, name, app.environ)
    events = found.events[:number]
    if as_json:
        shown = {"events": [one.to_json() for one in events], "problems": list(found.problems)}
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo(table(events) if events else f"Nothing was ever deployed to {name}.")
        for problem in found.problems:
            click.echo(problem, err=True)
    return 1 if found.problems else 0
