"""Writes what `init` decided: new files only, and lines inserted into the compose file.

Nothing is ever overwritten. Before the compose file is replaced, Compose itself is asked whether
the new text means the same as the old one, our own keys aside.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mcgitops.adopt.lines import only_inserts
from mcgitops.errors import McgitopsError, ProjectError, UsageError
from mcgitops.facts.compose import config, read_sources
from mcgitops.facts.program import output
from mcgitops.project.load import load
from mcgitops.project.model import Project
from mcgitops.project.source import KEY

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def create(path: Path, text: str) -> bool:
    """Write a new file whole; False, and nothing done, where there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path, text.encode(), 0o644)
    try:
        os.link(temporary, path)  # unlike a rename, it refuses to replace
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def uncommitted(path: Path) -> str:
    """Why git couldn't bring this file back: "changed" or "new"; "" where it could.

    Outside a repository there is nothing to compare with: "".
    """
    done = output(("git", "status", "--porcelain", "--", path.name), path.parent, check=False)
    if done.code != 0 or not done.stdout.strip():
        return ""
    return "new" if done.stdout.startswith("??") else "changed"


def refuse_uncommitted(path: Path) -> None:
    """Raise `UsageError` where the file has changes that git doesn't have."""
    if state := uncommitted(path):
        what = "isn't in git yet" if state == "new" else "has uncommitted changes"
        raise UsageError(
            f"{path.name} {what}: nothing was written.",
            "Commit it first: git then shows what was inserted. Or paste what mcgitops init shows.",
        )


def replace(project: Project, path: Path, before: str, after: str) -> None:
    """Put the text with the inserted lines in the file's place, once it is proven equivalent.

    Raises `McgitopsError` where it isn't, or where the file was changed meanwhile.
    """
    if not only_inserts(before, after):
        raise _unfit(path, "a line of it would change")
    temporary = _temporary(path, after.encode(), path.stat().st_mode & 0o777)
    try:
        files = tuple(temporary if file == path else file for file in project.files)
        old, new = meaning(project.folder, project.files), meaning(project.folder, files)
        if old != new:
            raise _unfit(path, "docker compose config would print something else")
        try:
            load(config(project.folder, files), read_sources(project.folder, files),
                 project.folder, files)  # fmt: skip
        except ProjectError as error:
            raise _unfit(path, str(error.problems[0])) from None
        if path.read_bytes() != before.encode():
            raise _unfit(path, "it was changed meanwhile")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def meaning(folder: Path, files: Sequence[Path]) -> Any:
    """What Compose makes of the files, without our keys."""
    return without_ours(yaml.load(config(folder, files), Loader=_Loader))  # noqa: S506  (safe)


def without_ours(value: Any) -> Any:
    """A document without any `x-mcgitops`."""
    if isinstance(value, Mapping):
        return {key: without_ours(item) for key, item in value.items() if key != KEY}
    if isinstance(value, list):
        return [without_ours(item) for item in value]
    return value


def _unfit(path: Path, why: str) -> McgitopsError:
    return McgitopsError(
        f"{path.name}: the lines can't be inserted safely: {why}. Nothing was written.",
        "Paste what mcgitops init shows; mcgitops check says whether it is right.",
    )


def _temporary(path: Path, data: bytes, mode: int) -> Path:
    """A file beside `path`, with its suffix, so that it can be read as the file itself."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".mcgitops-", suffix=path.suffix)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    Path(name).chmod(mode)
    return Path(name)
