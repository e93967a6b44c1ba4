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
from mcgitops.project import KEY

if TYPE_CHECKING:
    from mcgitops.project.model import Project


def _unread_files(project: Project) -> Iterator[str]:
    """Warnings for metric and plot files of a kind that no reader knows."""
    from mcgitops.metrics import detect
    from mcgitops.metrics.readers import ENDINGS

    known = ", ".join(ENDINGS)
    for stage in project.stages:
        for key in ("metrics", "plots", "params"):
            for path in getattr(stage.spec, key):
                ending = PurePosixPath(path).suffix.lower()
                if not ending:  # it may be a folder
                    continue
                if key == "params":
                    is_known = ending in ENDINGS
                else:
                    is_known = (
                        detect.is_known(path)
                        or path in stage.spec.readers
                        or (project.folder / path).is_dir()
                    )
                if not is_known:
                    yield f"service {stage.name}: {key}: {path} is of no known kind ({known})."


def _unknown_readers(project: Project) -> Iterator[Problem]:
    """Names under `readers` that are no reader's."""
    from mcgitops.facts.compose import read_sources

    declaring = [stage for stage in project.stages if stage.spec.readers]
    if not declaring:
        return
    from mcgitops.metrics import detect

    known = detect.known()
    sources = read_sources(project.folder, project.files)
    for stage in declaring:
        for path, name in stage.spec.readers.items():
            if name not in known:
                file, line = sources.place("services", stage.name, KEY, "readers", path)
                yield Problem(
                    f"{path}: there is no reader {name}.",
                    f"Known: {', '.join(known)}.",
                    file,
                    line,
                    stage.name,
                    "readers",
                )


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
        problems = (*build_context_problems(project), *_unknown_readers(project))
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
