"""`mcgitops init`: adopt a compose file, or start a small project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from mcgitops.cli.app import App

if TYPE_CHECKING:
    from mcgitops.adopt.init import Outcome


@click.command(name="init")
@click.option(
    "--write", is_flag=True,
    help="Insert the proposed lines into the compose file; nothing else in it changes.",
)  # fmt: skip
@click.option(
    "--ci", type=click.Choice(("github", "none")), default="github", show_default=True,
    help="Which CI to write a workflow for.",
)  # fmt: skip
@click.option(
    "--action", default="", metavar="OWNER/REPO@SHA",
    help="The action that the workflow calls. Default: where mcgitops was installed from.",
)  # fmt: skip
@click.option(
    "--forks", is_flag=True,
    help="Write the workflow that comments on forks' pull requests, too.",
)  # fmt: skip
@click.option(
    "--waivers", is_flag=True,
    help="Write the workflow that has a pull request judged again once a gate is waived, too.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Write nothing, only say what would be written.")
@click.option("--json", "as_json", is_flag=True, help="Print the proposal as JSON.")
@click.pass_obj
def command(
    app: App, write: bool, ci: str, action: str, forks: bool, waivers: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Propose the x-mcgitops keys and write a workflow, or scaffold a project.

    With a compose file: looks at its services and at what lies in their folders, and shows the
    lines to add. Without one: writes a small project that trains at once. No file is overwritten.
    """
    from mcgitops.adopt.init import Choices, init

    choices = Choices(write, dry_run, ci == "github", action, forks, waivers)
    outcome = init(app.folder, app.files, choices)
    if as_json:
        click.echo(json.dumps(_data(outcome), indent=2))
        return
    if outcome.folder != app.folder:
        click.echo(f"The compose file is in {outcome.folder}.", err=True)
    for line in _adopted(outcome) if outcome.mode == "adopt" else _scaffolded(outcome):
        click.echo(line)
    if forks:
        for line in _hand_over(outcome):
            click.echo(line)


def _data(outcome: Outcome) -> dict[str, Any]:
    proposal = outcome.proposal
    return {
        "mode": outcome.mode,
        "project": outcome.name,
        "folder": str(outcome.folder),
        "files": [{"path": file.path, "done": file.done} for file in outcome.files],
        "stages": {
            stage.service: {
                "x-mcgitops": stage.spec.model_dump(mode="json", exclude_defaults=True),
                "why": stage.why,
                "reasons": dict(stage.reasons),
            }
            for stage in proposal.stages
        },
        "metrics": {
            name: spec.model_dump(mode="json", exclude_defaults=True)
            for name, spec in proposal.metrics.items()
        },
        "already": list(proposal.already),
        "deployed": list(proposal.ordinary),
        "paste": [{"service": p.service, "file": p.file, "lines": p.lines} for p in outcome.paste],
        "ignore": [
            {"file": one.file, "lines": one.lines, "shared_with": one.shared}
            for one in outcome.exclusions
        ],
        "notes": list(proposal.notes),
        "diff": outcome.diff,
        "written": outcome.written,
    }


def _scaffolded(outcome: Outcome) -> list[str]:
    made = [file for file in outcome.files if file.done != "there"]
    lines = [f"{outcome.name}: a small project that trains at once" if made else outcome.name]
    lines += _files(outcome)
    if not made:
        return [*lines, "Everything is there already; nothing was written."]
    if any(file.done == "there" and file.path == "train.py" for file in outcome.files):
        lines.append("train.py is yours: let it write out/metrics.json, or correct compose.yml.")
    first = "" if (outcome.folder / ".git").exists() else "git init && "
    lines += [
        "",
        f"Next: {first}git add . && git commit -m Start",
        "      mcgitops train",
    ]
    return [*lines, *_placeholder(outcome)]


def _adopted(outcome: Outcome) -> list[str]:
    proposal = outcome.proposal
    lines = [f"{outcome.name}: {outcome.compose_file}"]
    if proposal.already:
        lines.append(f"  stages already: {', '.join(proposal.already)}")
    for stage in proposal.stages:
        lines.append(f"  {stage.service} looks like a stage: {stage.why}")
    if proposal.ordinary:
        lines.append(f"  deployed as they are: {', '.join(proposal.ordinary)}")
    lines += _files(outcome)
    if outcome.diff:
        lines += ["", outcome.diff.rstrip("\n")]
    for paste in outcome.paste:
        lines += ["", f"Paste into service {paste.service} of {paste.file}, indented as its keys:"]
        lines += [f"  {line}" for line in paste.lines]
    lines += _ignoring(outcome)
    if proposal.notes:
        lines += ["", *(f"- {note}" for note in proposal.notes)]
    return [*lines, "", *_next(outcome), *_placeholder(outcome)]


def _ignoring(outcome: Outcome) -> list[str]:
    lines: list[str] = []
    written = {file.path for file in outcome.files if file.done == "created"}
    for one in outcome.exclusions:
        if one.file in written:
            continue
        lines += ["", f"Add to {one.file}, or a stage's own outputs become part of its image:"]
        lines += [f"  {line}" for line in one.lines]
        if one.shared:
            lines.append(
                f"  {' and '.join(one.shared)} build with it, too. What they copy from there can "
                "come through additional_contexts: docs/how-to/adopt.md."
            )
    return lines


def _next(outcome: Outcome) -> list[str]:
    if not outcome.proposal.stages:
        if outcome.proposal.already:
            return ["Nothing to propose. Next: mcgitops check"]
        return ["No service looks like a stage. docs/how-to/adopt.md says how to write the keys."]
    if outcome.written:
        return ["docker compose config prints the same as before, x-mcgitops aside.",
                "Next: mcgitops check && mcgitops train"]  # fmt: skip
    if not outcome.diff:
        return ["Next: paste the lines, then mcgitops check"]
    return ["The compose file was not touched. Next: mcgitops init --write, or paste the lines."]


def _files(outcome: Outcome) -> list[str]:
    return [f"  {file.done:<12}  {file.path}" for file in outcome.files]


def _hand_over(outcome: Outcome) -> list[str]:
    """What the workflow lacks that was there already, so that the other gets forks' reports."""
    first = next((file for file in outcome.files if "workflows/mcgitops" in file.path), None)
    if first is None or first.done != "there":
        return []
    text = (outcome.folder / first.path).read_text(encoding="utf-8", errors="replace")
    if "outputs.hand-over" in text:
        return []
    return [
        "",
        f"{first.path} was there already. Let it upload what a fork's job hands over:",
        "the step is in docs/how-to/github-actions.md, under Forks and Dependabot.",
    ]


def _placeholder(outcome: Outcome) -> list[str]:
    made = any(f.done != "there" and "workflows/mcgitops" in f.path for f in outcome.files)
    if outcome.action is None or outcome.action.known or not made:
        return []
    return [
        "",
        "Before you push: the workflow names no commit of the action yet, since this installation",
        "doesn't know its own. Replace the zeros, or write it with --action OWNER/REPO@SHA.",
    ]
