"""`mcgitops plan`: what would be executed, and why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.facts.ahead import Ahead

if TYPE_CHECKING:
    from mcgitops.plan.model import Plan


@dataclass(frozen=True)
class SavedPlan:
    """What a verb needs of a plan file."""

    stages: tuple[str, ...]
    facts: dict[str, str]


def saved_plan(file: str, project: str) -> SavedPlan:
    """Read what `mcgitops plan --out` wrote. Raises `UsageError` for anything else."""
    try:
        data = json.loads(Path(file).read_text())
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}.", "Make one: mcgitops plan --out.") from None
    except ValueError:
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("facts"), dict):
        raise UsageError(f"{file} is not a plan.", "Make one: mcgitops plan --out FILE.")
    if data.get("format") != 1:
        raise UsageError(f"{file} has the format {data.get('format')}.", "Plan again.")
    if data.get("project") != project:
        raise UsageError(
            f"{file} is a plan of {data.get('project')}, and this is {project}.", "Plan again."
        )
    stages = tuple(str(stage["name"]) for stage in data.get("stages", ()))
    return SavedPlan(stages, {str(k): str(v) for k, v in data["facts"].items()})


@click.command(name="plan")
@click.argument("stages", nargs=-1, metavar="[STAGE]...")
@click.option(
    "--event",
    type=click.Choice(["push", "pull_request", "tag"]),
    help="Also what CI would do for this event.",
)
@click.option("--tag", metavar="NAME", help="With --event tag: the tag. Default: HEAD's.")
@click.option("--force", is_flag=True, help="As if the store had no run of the named stages.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--shell", "as_shell", is_flag=True, help="Print a bash script that does the same.")
@click.option("--out", metavar="FILE", help="Save the plan for a verb's --plan.")
@click.pass_obj
def command(
    app: App,
    stages: tuple[str, ...],
    event: str | None,
    tag: str | None,
    force: bool,
    as_json: bool,
    as_shell: bool,
    out: str | None,
) -> int:
    """Show the exact commands that the verbs would execute, and why.

    Nothing is executed. The same project and the same facts always give the same plan.
    """
    if as_json and as_shell:
        raise UsageError("--json and --shell exclude each other.", "Give one of them.")
    plan = make(app, stages, event, tag, force=force)
    from mcgitops.plan.views import to_json, to_shell, to_text

    if out is not None:
        from mcgitops.run.output import write_atomically

        write_atomically(Path(out), json.dumps(to_json(plan), indent=2).encode() + b"\n")
    if as_json:
        click.echo(json.dumps(to_json(plan), indent=2))
    elif as_shell:
        files = tuple(str(path) for path in app.project.files)
        click.echo(to_shell(plan, files=files, folder=str(app.project.folder)), nl=False)
    else:
        click.echo(to_text(plan))
        if out is not None:
            click.echo(f"Saved to {out}.")
    return 0


def make(
    app: App, stages: tuple[str, ...], event: str | None, tag: str | None, *, force: bool = False
) -> Plan:
    """The plan of the stages, and of what follows them for an event."""
    ahead = Ahead(app.folder)
    try:
        workspace = app.workspace  # first: while Compose reads the file, what is needed is imported
        from mcgitops.run.gather import make_plan

        workspace.index.ahead = ahead
        plan = make_plan(workspace, stages, force=force)
    finally:
        ahead.end()
    if event is None:
        return plan
    from mcgitops.cli.events import sections

    more = sections(app, plan, event, tag)
    if event == "tag":
        plan = untrained(plan, to_release=any(section.name == "release" for section in more))
    return replace(plan, sections=(*plan.sections, *more))


def untrained(plan: Plan, *, to_release: bool) -> Plan:
    """The plan without its training: a tag is released from the runs that its commit has.

    Stages without a run stay as a warning where the release is yet to be made: it will be refused.
    """
    lacking = [stage.name for stage in plan.stages if stage.state != "cached"]
    warnings = plan.warnings
    if lacking and to_release:
        have = "has no run" if len(lacking) == 1 else "have no runs"
        names = " and ".join(lacking)
        warnings = (*warnings, f"{names} {have} here, and a release needs them: mcgitops train.")
    cached = tuple(stage for stage in plan.stages if stage.state == "cached")
    return replace(plan, stages=cached, sections=(), warnings=warnings)
