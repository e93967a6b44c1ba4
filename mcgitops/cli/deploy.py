"""`mcgitops deploy`."""

from __future__ import annotations

import json

import click

from mcgitops.cli.app import App
from mcgitops.cli.environment import chosen, failure_as_json, rollout_options
from mcgitops.cli.interrupt import ended_politely
from mcgitops.errors import UsageError


@click.command(name="deploy")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option(
    "--release", "release", metavar="NAME",
    help="The release. Default: the one of HEAD that the environment's trigger names.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Also a release that was rolled back before.")
@rollout_options
@click.pass_obj
def command(
    app: App, environment: str | None, release: str | None, force: bool, wait: int,
    dry_run: bool, as_shell: bool, as_json: bool,
) -> None:  # fmt: skip
    """Take a release to the hosts of an environment.

    All hosts run the release and are healthy afterwards (exit 0), or all run what they ran before
    (exit 5). A host that can't be reached or brought back is named (exit 6); the next deploy
    finishes the job. ENV can be left out where the file names only one.
    """
    from mcgitops.cli.announce import Announcement
    from mcgitops.deploy.rollout import deploy, plan_rollouts
    from mcgitops.forge.event import refuse_privileged

    refuse_privileged(app.environ)
    name = chosen(app, environment)
    wanted = release or default_release(app, name)
    if dry_run or as_shell:
        from mcgitops.cli.dry_run import show

        rollout = plan_rollouts(app.project, app.store, name, wanted, app.environ)
        show(app, rollout, as_json=as_json, as_shell=as_shell)
        return
    with failure_as_json(as_json), ended_politely(), Announcement(app, name, wanted) as told:
        report = told.of(deploy(
            app.project, app.store, name, wanted, app.environ,
            say=lambda line: click.echo(line, err=True), force=force, wait=wait,
        ))  # fmt: skip
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
        return
    hosts = ", ".join(one.host for one in report.hosts.values())
    if all(one.outcome == "nothing to do" for one in report.hosts.values()):
        click.echo(f"Nothing to do: {name} runs {wanted} on {hosts}, healthy.")
    else:
        click.echo(f"{name} runs {wanted} on {hosts}.")


def default_release(app: App, environment: str) -> str:
    """The release of HEAD that the environment's trigger names. Raises where that isn't one."""
    import fnmatch

    from mcgitops.deploy.names import branch_release
    from mcgitops.facts import git

    trigger = app.project.spec.environments[environment].trigger
    hint = f"Name a release: mcgitops deploy {environment} --release NAME."
    if trigger is None:
        raise UsageError(f"{environment} has no trigger to take a release from.", hint)
    head = git.head(app.folder)
    if trigger.branch is not None:
        if not head.branch or not fnmatch.fnmatchcase(head.branch, trigger.branch):
            raise UsageError(
                f"{environment} takes releases of {trigger.branch}, and this is "
                f"{head.branch or 'no branch'}.",
                hint,
            )
        return branch_release(head.branch, head.commit)
    found = [tag for tag in git.tags_at_head(app.folder)
             if fnmatch.fnmatchcase(tag, trigger.tag or "")]  # fmt: skip
    if len(found) != 1:
        said = f"has {' and '.join(found)}" if found else f"has no tag like {trigger.tag}"
        raise UsageError(f"HEAD {said}.", hint)
    return found[0]
