"""`mcgitops rollback`."""

from __future__ import annotations

import json

import click

from mcgitops.cli.app import App
from mcgitops.cli.environment import chosen, failure_as_json, rollout_options


@click.command(name="rollback")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option(
    "--to", default="", metavar="NAME",
    help="The release. Default: the latest one before that was not rejected.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Return even to a release that was rolled back.")
@rollout_options
@click.pass_obj
def command(
    app: App, environment: str | None, to: str, force: bool, wait: int, dry_run: bool,
    as_shell: bool, as_json: bool,
) -> None:  # fmt: skip
    """Return an environment to an earlier release.

    The release lies on the hosts with its images, its configuration and its values: nothing is
    built, pulled or read from the store. It is a rollout like any other, without downtime where
    deploying has none. The release that is left is marked rejected.
    """
    from mcgitops.cli.announce import webhooks
    from mcgitops.cli.interrupt import ended_politely
    from mcgitops.deploy.rollback import plan_rollback, rollback
    from mcgitops.forge.event import refuse_privileged

    refuse_privileged(app.environ)
    name = chosen(app, environment)
    if dry_run or as_shell:
        from mcgitops.cli.dry_run import show

        rollout = plan_rollback(app.project, app.store, name, app.environ, to=to, force=force)
        show(app, rollout, as_json=as_json, as_shell=as_shell)
        return
    with (
        failure_as_json(as_json),
        ended_politely(),
        webhooks(app, name, to or "the release before") as told,
    ):
        report = told.of(rollback(
            app.project, app.store, name, app.environ, to=to, force=force, wait=wait,
            say=lambda line: click.echo(line, err=True),
        ))  # fmt: skip
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
        return
    hosts = ", ".join(one.host for one in report.hosts.values())
    if all(one.outcome == "nothing to do" for one in report.hosts.values()):
        click.echo(f"Nothing to do: {name} runs {report.release} on {hosts}, healthy.")
        return
    click.echo(f"{name} runs {report.release} again on {hosts}.")
    left = {one.before for one in report.hosts.values()} - {report.release, ""}
    if left:
        click.echo(f"{', '.join(sorted(left))} is marked rejected.")
