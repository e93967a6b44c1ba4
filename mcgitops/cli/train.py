"""`mcgitops train`: plan, run, publish."""

from __future__ import annotations

import json
import sys

import click

from mcgitops.cli.app import App
from mcgitops.errors import UsageError


@click.command(name="train")
@click.argument("stages", nargs=-1, metavar="[STAGE]...")
@click.option(
    "--jobs", "-j", type=click.IntRange(min=1), help="Runs at a time. Default: one a core."
)
@click.option(
    "--force",
    is_flag=True,
    help="Run the named stages even if the store has their runs, which stay: shows whether "
    "the training is reproducible.",
)
@click.option("--keep-going", "-k", is_flag=True, help="After a failure, run what doesn't need it.")
@click.option("--plan", "plan_file", metavar="FILE", help="Execute exactly this saved plan.")
@click.option("--rev", metavar="REV", help="Train this revision, in a folder of its own.")
@click.option("--no-push", is_flag=True, help="Keep the runs in the local store for now.")
@click.option("--quiet", "-q", is_flag=True, help="Don't show the logs of runs that succeed.")
@click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON.")
@click.pass_obj
def command(
    app: App,
    stages: tuple[str, ...],
    jobs: int | None,
    force: bool,
    keep_going: bool,
    plan_file: str | None,
    rev: str | None,
    no_push: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Build and run the stages whose inputs changed; publish their runs.

    A stage whose fingerprint the store has is not run: its outputs come back. Without STAGE: all.
    """
    from mcgitops.forge.event import refuse_privileged

    refuse_privileged(app.environ)
    workspace = app.workspace  # first: while Compose reads the file, what is needed is imported
    from mcgitops.run.train import train
    from mcgitops.run.worktree import at_revision

    if not workspace.project.stages:
        raise UsageError(
            f"{workspace.project.name} has no stages: no service has x-mcgitops.",
            "Run mcgitops init; it proposes the keys.",
        )
    expected = None
    if plan_file is not None:
        from mcgitops.cli.plan import saved_plan

        saved = saved_plan(plan_file, workspace.project.name)
        expected = saved.facts
        stages = stages or saved.stages
    reporter = app.reporter(quiet=quiet)
    try:
        with at_revision(workspace, rev) as place:
            result = train(
                place,
                reporter,
                stages,
                jobs=jobs or 0,
                force=force,
                keep_going=keep_going,
                expected_facts=expected,
                push=not no_push,
            )
    finally:
        reporter.close()
    for path in result.aside:
        click.echo(f"{path} was not in the store; it is kept in .mcgitops/replaced/.", err=True)
    if as_json:
        json.dump(
            {
                "project": workspace.project.name,
                "trained": [record.fingerprint for record in result.trained],
                "runs": {
                    stage: [json.loads(record.model_dump_json()) for record in records]
                    for stage, records in result.runs.items()
                },
            },
            sys.stdout,
            indent=2,
        )
        click.echo()
    elif not result.plan.commands:
        click.echo("Nothing to do: the store has all runs, and the folder their outputs.")
    else:
        trained = len(result.trained)
        total = sum(len(records) for records in result.runs.values())
        pushed = f", pushed to {workspace.remote.url}" if result.pushed and workspace.remote else ""
        click.echo(f"{trained} trained, {max(0, total - trained)} from the store{pushed}.")
    return 0
