"""`mcgitops heal`."""

from __future__ import annotations

import json

import click

from mcgitops.cli.app import App
from mcgitops.cli.environment import chosen, failure_as_json, rollout_options


@click.command(name="heal")
@click.argument("environment", required=False, metavar="[ENV]")
@rollout_options
@click.pass_obj
def command(
    app: App, environment: str | None, wait: int, dry_run: bool, as_shell: bool, as_json: bool
) -> None:
    """Finish what was interrupted: bring all hosts to one release.

    A release that a host has committed goes on to the others, any other goes back to what was
    committed; containers that stopped or changed are put right. A host that can't be reached is
    named (exit 6), and the others are healed.
    """
    from mcgitops.cli.announce import webhooks
    from mcgitops.cli.interrupt import ended_politely
    from mcgitops.deploy.heal import Job, heal, plan_heal
    from mcgitops.forge.event import refuse_privileged

    refuse_privileged(app.environ)
    name = chosen(app, environment)
    job = Job(app.project, app.store, name, app.environ)
    if dry_run or as_shell:
        from mcgitops.cli.dry_run import show

        rollout = plan_heal(job)
        show(app, rollout, as_json=as_json, as_shell=as_shell)
        return
    with (
        failure_as_json(as_json),
        ended_politely(),
        webhooks(app, name, "what it should run") as told,
    ):
        report = told.of(heal(job, say=lambda line: click.echo(line, err=True), wait=wait))
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
        return
    hosts = ", ".join(one.host for one in report.hosts.values())
    outcomes = {one.outcome for one in report.hosts.values()}
    if not report.release:
        click.echo(f"Nothing to do: nothing is deployed in {name}.")
    elif outcomes == {"nothing to do"}:
        click.echo(f"Nothing to do: {name} runs {report.release} on {hosts}, healthy.")
    elif "taken down" in outcomes:
        click.echo(f"The first rollout to {name}, of {report.release}, was taken down.")
    else:
        click.echo(f"{name} runs {report.release} on {hosts}.")
