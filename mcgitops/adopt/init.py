"""What `mcgitops init` does in a folder: adopt the compose file that is there, or scaffold one."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal

from mcgitops.adopt import scaffold, workflow, write
from mcgitops.adopt.ignore import Exclusion, exclusions, with_stages
from mcgitops.adopt.lines import insert, insertions, stage_lines
from mcgitops.adopt.look import look
from mcgitops.adopt.model import Proposal, Stage, relative_to
from mcgitops.adopt.propose import propose
from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.facts import git
from mcgitops.facts.compose import find_files, load_project, read_sources
from mcgitops.project.model import Project

Done = Literal["created", "there", "would create", "inserted", "would insert"]


@dataclass(frozen=True)
class FileDone:
    """What happened to one file; the path is relative to the project folder."""

    path: str
    done: Done


@dataclass(frozen=True)
class Paste:
    """Lines that a person has to paste, and where."""

    service: str
    lines: tuple[str, ...]
    file: str


@dataclass(frozen=True)
class Outcome:
    """What `init` found and did."""

    mode: Literal["adopt", "scaffold"]
    folder: Path
    name: str
    files: tuple[FileDone, ...]
    proposal: Proposal = field(default_factory=Proposal)
    compose_file: str = ""
    diff: str = ""
    paste: tuple[Paste, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    action: workflow.Action | None = None
    written: bool = False  # whether the compose file has the proposed lines now


@dataclass(frozen=True)
class Choices:
    """What the user asked for."""

    write: bool = False
    dry_run: bool = False
    with_workflow: bool = True
    action: str = ""
    forks: bool = False  # the workflow that comments for forks, too
    waivers: bool = False  # the one that has waived gates judged again


def init(folder: Path, files: Sequence[str], choices: Choices) -> Outcome:
    """Adopt or scaffold. Raises `UsageError` and `ProjectError`."""
    action = workflow.action(choices.action)
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder.", "Make it first, or name another with -C.")
    if not files and _is_empty(folder):
        return _scaffold(folder, choices, action)
    try:
        find_files(folder, files)
    except UsageError:
        if files:
            raise
        return _scaffold(folder, choices, action)
    return _adopt(load_project(folder, files), choices, action)


def _is_empty(folder: Path) -> bool:
    """Whether nothing is in the folder, hidden things such as `.git` aside."""
    return all(path.name.startswith(".") for path in folder.iterdir())


def _scaffold(folder: Path, choices: Choices, action: workflow.Action) -> Outcome:
    name = scaffold.project_name(folder.name)
    files = [_create(folder, path, text, choices) for path, text in scaffold.render(name).items()]
    files += _workflow(folder, choices, action)
    return Outcome("scaffold", folder, name, tuple(files), action=action)


def _create(folder: Path, path: str, text: str, choices: Choices) -> FileDone:
    target = folder / path
    if target.exists() or target.is_symlink():
        return FileDone(path, "there")
    if choices.dry_run:
        return FileDone(path, "would create")
    return FileDone(path, "created" if write.create(target, text) else "there")


def _workflow(folder: Path, choices: Choices, action: workflow.Action) -> list[FileDone]:
    """The workflows stand at the repository's top, wherever in it the project is."""
    if not choices.with_workflow:
        if choices.forks or choices.waivers:
            raise UsageError(
                "--ci none writes no workflow, so none for forks or waivers either.",
                "Leave out one of them; mcgitops hand-over --workflow and mcgitops rerun "
                "--workflow print those two.",
            )
        return []
    top = git.root(folder) or folder
    below = folder.resolve().relative_to(top.resolve()).as_posix()
    directory = "" if below == "." else below
    texts = {"": workflow.render(action.reference, directory, forks=choices.forks)}
    if choices.forks:
        texts["forks"] = workflow.render_forks(action.reference, directory)
    if choices.waivers:
        texts["waivers"] = workflow.render_waivers(action.reference, directory)
    up = "../" * (directory.count("/") + 1 if directory else 0)
    return [
        FileDone(up + done.path, done.done)
        for kind, text in texts.items()
        for done in [_create(top, workflow.path(directory, kind), text, choices)]
    ]


def _adopt(project: Project, choices: Choices, action: workflow.Action) -> Outcome:
    proposal = propose(look(project))
    texts = {path: _read(path) for path in project.files}
    changed, homeless = _changed(project, proposal, texts)
    diff = "".join(_diff(project, path, texts[path], text) for path, text in changed.items())
    if choices.write and not choices.dry_run:
        for path in changed:  # refuse before anything is written
            write.refuse_uncommitted(path)
        for path, text in changed.items():
            write.replace(project, path, texts[path], text)
    lacking = exclusions(with_stages(project, proposal))
    done: Done = "inserted" if choices.write and not choices.dry_run else "would insert"
    files = [FileDone(_shown(project, path), done) for path in changed]
    files += _ignore_files(project, lacking, choices)
    files += _workflow(project.folder, choices, action)
    by_name = {stage.service: stage for stage in proposal.stages}
    return Outcome(
        mode="adopt",
        folder=project.folder,
        name=project.name,
        files=tuple(files),
        proposal=proposal,
        compose_file=_shown(project, project.files[0]),
        diff=diff,
        paste=tuple(_paste(project, by_name[name]) for name in homeless),
        exclusions=lacking,
        action=action,
        written=done == "inserted" and bool(changed),
    )


def _changed(
    project: Project, proposal: Proposal, texts: dict[Path, str]
) -> tuple[dict[Path, str], list[str]]:
    """The new text of each file that gets lines, and the services that none has a place for.

    A service goes where it is declared first: lists under our key would add up over files.
    """
    changed: dict[Path, str] = {}
    pending = list(proposal.stages)
    for path, text in texts.items():
        additions, homeless = insertions(
            text, Proposal(stages=tuple(pending), metrics=proposal.metrics), project.name
        )
        if additions and not proposal.already and not changed:
            changed[path] = insert(text, additions)
        elif additions:
            changed[path] = insert(text, [a for a in additions if a.lines[0]])
        pending = [stage for stage in pending if stage.service in homeless]
    return changed, [stage.service for stage in pending]


def _ignore_files(
    project: Project, lacking: tuple[Exclusion, ...], choices: Choices
) -> list[FileDone]:
    """New ignore files, where no image but the stages' own reads them. Others are left alone."""
    return [
        _create(project.folder, one.file, "".join(f"{line}\n" for line in one.lines), choices)
        for one in lacking
        if not one.exists and not one.shared and choices.write
    ]


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")  # newlines as they are
    except UnicodeDecodeError:
        raise UsageError(f"{path.name} is not UTF-8.", "Save it as UTF-8.") from None


def _diff(project: Project, path: Path, before: str, after: str) -> str:
    shown = _shown(project, path)
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), shown, f"{shown} (proposed)", lineterm="", n=2
    )
    return "".join(f"{line}\n" for line in lines)


def _shown(project: Project, path: Path) -> str:
    return (
        path.relative_to(project.folder).as_posix()
        if (path.is_relative_to(project.folder))
        else str(path)
    )


def _paste(project: Project, stage: Stage) -> Paste:
    """The lines for the file that declares the service, with paths relative to its folder."""
    for source in read_sources(project.folder, project.files).files:
        if source.has("services", stage.service):
            moved = relative_to(stage, os.path.relpath(source.folder, project.folder))
            return Paste(stage.service, stage_lines(moved), source.shown)
    return Paste(stage.service, stage_lines(stage), _shown(project, project.files[0]))
