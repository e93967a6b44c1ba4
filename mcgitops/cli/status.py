"""`mcgitops status`."""

from __future__ import annotations

import json

import click

from mcgitops.cli.app import App


@click.command(name="status")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(app: App, environment: str | None, as_json: bool) -> int:
    """Say what runs where.

    Asks every host and holds what it runs against its release. Exit 1 where a host can't be asked
    or doesn't run what it should.
    """
    from mcgitops.deploy.status import status
    from mcgitops.deploy.target import environment_of
    from mcgitops.errors import UsageError

    if environment is not None:
        environment_of(app.project, environment)
    names = [environment] if environment else list(app.project.spec.environments)
    if not names:
        raise UsageError(
            "The compose file names no environment.",
            "Add x-mcgitops.environments with hosts, such as ssh://deploy@example.com.",
        )
    found = status(app.project, names, app.environ)
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=2))
    else:
        from mcgitops.deploy.views import status_text

        click.echo(status_text(found))
    return 0 if all(one.is_well for one in found) else 1
