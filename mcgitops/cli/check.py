"""`mcgitops check`: every mistake in the file at once; starts nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.errors import Problem, ProjectError

if TYPE_CHECKING:
    from mcgitops.project.model import Project


def _unread_files(project: Project) -> Iterator[str]:
    """Warnings for metric and plot files of a kind that no reader knows."""
    from mcgitops.metrics.readers import ENDINGS

    known = ", ".join(ENDINGS)
    for stage in project.stages:
        for key in ("metrics", "plots", "params"):
            for path in getattr(stage.spec, key):
                ending = PurePosixPath(path).suffix.lower()
                if ending and ending not in ENDINGS:  # without one it may be a folder
                    yield f"service {stage.name}: {key}: {path} is of no known kind ({known})."


@click.command(name="check")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.pass_obj
def command(app: App, as_json: bool) -> int:
    """Check the compose file and its x-mcgitops keys; starts nothing."""
    from mcgitops.facts.lint import build_context_problems, state_in_context, unpinned_images
    from mcgitops.plan.advice import secret_arguments

    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    stages: list[str] = []
    try:
        project = app.project
    except ProjectError as error:
        problems = error.problems
    else:
        problems = build_context_problems(project)
        warnings = (
            *project.warnings,
            *state_in_context(project),
            *unpinned_images(project),
            *secret_arguments(project),
            *_unread_files(project),
        )
        stages = [stage.name for stage in project.stages]
    if as_json:
        shown = [{**asdict(problem), "text": str(problem)} for problem in problems]
        click.echo(json.dumps({"problems": shown, "warnings": list(warnings)}, indent=2))
        return 2 if problems else 0
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for problem in problems:
        click.echo(str(problem), err=True)
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        click.echo(f"{len(problems)} {noun}. Nothing was started.", err=True)
        return 2
    named = f": {', '.join(stages)}" if stages else " (no service has x-mcgitops yet)"
    noun = "stage" if len(stages) == 1 else "stages"
    click.echo(f"{project.name}: {len(stages)} {noun}{named}. No problems.")
    return 0
