"""`mcgitops lock`."""

from __future__ import annotations

import click

from mcgitops.cli.app import App
from mcgitops.cli.environment import as_seconds, chosen


@click.command(name="lock")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option("--reason", required=True, metavar="TEXT", help="Why; shown to whoever is refused.")
@click.option(
    "--for", "seconds", callback=as_seconds, default="2h", metavar="DURATION", show_default=True,
    help="When it ends by itself.",
)  # fmt: skip
@click.pass_obj
def command(app: App, environment: str | None, reason: str, seconds: int) -> None:
    """Freeze an environment: rollouts are refused until it ends.

    Refused at once (exit 1) with who froze it, why and until when; so are rollback and heal.
    `mcgitops unlock` ends it. Where a rollout is at work, nothing is frozen.
    """
    from mcgitops.deploy.freeze import freeze
    from mcgitops.deploy.lock import clock
    from mcgitops.deploy.visible import visible
    from mcgitops.errors import UsageError
    from mcgitops.forge.event import refuse_privileged

    refuse_privileged(app.environ)
    name = chosen(app, environment)
    if not reason.strip():
        raise UsageError("--reason is empty.", "Say why: others will read it.")
    if not seconds:
        raise UsageError("--for 0s freezes nothing.", "Write a duration such as 2h.")
    facts = freeze(app.project, name, app.environ, visible(reason), seconds)
    hosts = ", ".join(one.host.label for one in facts)
    end = clock(facts[0].now + seconds)
    click.echo(f"{name} is frozen on {hosts} until {end}. mcgitops unlock {name} ends it.")
