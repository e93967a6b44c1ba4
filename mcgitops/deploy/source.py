"""A commit as a folder of its own, with what its runs produced: what a release is made of.

Nothing of the checked-out folder gets in, and nothing of git's own state changes: the files come
through a private index.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mcgitops.errors import McgitopsError, UsageError
from mcgitops.facts import git
from mcgitops.facts.program import output
from mcgitops.store.records import FileRef
from mcgitops.store.store import Store


@contextmanager
def checkout(folder: Path, commit: str) -> Iterator[Path]:
    """The project folder as it is in `commit`, in a private place that is removed afterwards."""
    top = git.root(folder)
    if top is None:
        raise UsageError(
            f"{folder} is not in a git repository.", "A release is made of a commit: git init."
        )
    private = Path(tempfile.mkdtemp(prefix="mcgitops-release-"))
    try:
        tree = private / "tree"
        tree.mkdir()
        done = output(
            ("git", "-c", "core.hooksPath=/dev/null", f"--work-tree={tree}", "checkout", "--force",
             commit, "--", "."),
            top, env={"GIT_INDEX_FILE": str(private / "index")}, check=False,
        )  # fmt: skip
        if done.code != 0:
            raise McgitopsError(f"git could not check out {commit[:12]}: {done.stderr.strip()}")
        place = tree / folder.resolve().relative_to(top.resolve())
        if not place.is_dir():
            raise UsageError(f"Commit {commit[:12]} has no folder {folder.name}.")
        yield place
    finally:
        shutil.rmtree(private, ignore_errors=True)


def moved(files: Sequence[Path], folder: Path, place: Path) -> tuple[Path, ...]:
    """The compose files in the checkout; one outside the repository stays where it is."""
    top = git.root(folder)
    depth = len(folder.resolve().relative_to(top.resolve()).parts) if top else 0
    tree = place.parents[depth - 1] if depth else place
    result = []
    for path in files:
        if top is None or not path.resolve().is_relative_to(top.resolve()):
            result.append(path)
            continue
        target = tree / path.resolve().relative_to(top.resolve())
        if not target.is_file():
            raise UsageError(
                f"{path.name} is not in the commit.", "Commit the compose file, then tag again."
            )
        result.append(target)
    return tuple(result)


def materialise(store: Store, files: Sequence[FileRef], place: Path) -> None:
    """Write what runs produced into the checkout, at the paths where the stages wrote it."""
    for file in files:
        target = place / file.path
        if not Path(os.path.normpath(target)).is_relative_to(place):
            raise McgitopsError(f"A run's output {file.path} leaves the project folder.")
        store.fetch(file.digest, target, executable=file.executable)


def contents(
    store: Store, place: Path, sources: Sequence[str], known: Mapping[str, FileRef]
) -> tuple[tuple[FileRef, ...], tuple[str, ...]]:
    """Every file below the sources as an object of the store, and the sources that have none.

    known: files whose objects are there already, by path.
    """
    found: dict[str, FileRef] = {}
    empty: list[str] = []
    tree = _tree(place)
    for source in sources:
        paths = list(_walk(place, source, tree))
        if not paths:
            empty.append(source)
        for path, real in paths:
            if path not in found:
                found[path] = known.get(path) or _stored(store, path, real)
    return tuple(found[path] for path in sorted(found)), tuple(empty)


def _tree(place: Path) -> Path:
    """The checkout's top: what a symlink may point into."""
    for parent in (place, *place.parents):
        if parent.name == "tree" and parent.parent.name.startswith("mcgitops-release-"):
            return parent.resolve()
    return place.resolve()


def _walk(place: Path, source: str, tree: Path) -> Iterator[tuple[str, Path]]:
    start = place / source
    real = start.resolve()
    if not real.is_relative_to(tree):
        raise UsageError(
            f"{source} leaves the repository, so it can't be part of a release.",
            "Mount a path inside the repository, or an absolute path of the host.",
        )
    if real.is_file():
        yield source, real
        return
    for folder, names, files in os.walk(start, followlinks=False):
        names.sort()
        for name in sorted(files):
            path = Path(folder) / name
            target = path.resolve()
            if not target.is_relative_to(tree) or not target.is_file():
                raise UsageError(
                    f"{path.relative_to(place)} points outside the repository.",
                    "Put the file itself there.",
                )
            yield os.path.normpath(os.path.relpath(path, place)), target


def _stored(store: Store, path: str, real: Path) -> FileRef:
    digest, size = store.put_file(real)
    executable = bool(real.stat().st_mode & 0o100)
    return FileRef(path=path, digest=digest, size=size, executable=executable)
