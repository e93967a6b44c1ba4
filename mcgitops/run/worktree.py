"""Works on another revision without touching the checked-out one: a git worktree of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mcgitops.errors import UsageError
from mcgitops.facts import git
from mcgitops.facts.compose import load_project
from mcgitops.facts.program import output
from mcgitops.run.workspace import Workspace


@contextmanager
def at_revision(workspace: Workspace, revision: str | None) -> Iterator[Workspace]:
    """The workspace at `revision`, with the same stores; the worktree is removed afterwards."""
    if revision is None:
        yield workspace
        return
    folder = workspace.folder
    top = git.root(folder)
    if top is None:
        raise UsageError(f"{folder} is not in a git repository.", "Leave --rev out.")
    commit = git.resolve(folder, revision)
    target = workspace.state / "worktrees" / commit
    if target.exists():
        output(("git", "worktree", "remove", "--force", str(target)), folder, check=False)
    output(("git", "worktree", "add", "--detach", "--force", str(target), commit), folder)
    try:
        place = target / folder.relative_to(top)
        files = [str(_moved(path, folder, place)) for path in workspace.project.files]
        yield replace(workspace, project=load_project(place, files))
    finally:
        output(("git", "worktree", "remove", "--force", str(target)), folder, check=False)


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path
