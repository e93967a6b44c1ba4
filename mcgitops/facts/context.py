"""Which files of a build context reach the builder: `.dockerignore`, by the SDK's own matcher."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from mcgitops.facts.files import Skip, keep_all


def ignore_file(context: Path, dockerfile: str) -> Path | None:
    """The ignore file that BuildKit takes: the Dockerfile's own one comes first."""
    own = context / (dockerfile + ".dockerignore")
    if own.is_file():
        return own
    common = context / ".dockerignore"
    return common if common.is_file() else None


def skip_ignored(context: Path, dockerfile: str = "Dockerfile") -> Skip:
    """A `Skip` for what `.dockerignore` excludes; also git's folder and our own.

    The Dockerfile and the ignore file themselves always reach the builder, but they can't be
    copied into the image when they are excluded.
    """
    file = ignore_file(context, dockerfile)
    if file is None:
        return keep_all
    lines = file.read_text("utf-8", "replace").splitlines()
    patterns = [p.strip() for p in lines if p.strip() and not p.lstrip().startswith("#")]
    if not patterns:
        return keep_all
    from docker.utils.build import PatternMatcher

    matcher = PatternMatcher(patterns)
    exceptions = [p[1:].strip("/").split("/") for p in patterns if p.startswith("!")]

    def skip(path: str, is_folder: bool) -> bool:
        if keep_all(path, is_folder):
            return True
        if not matcher.matches(path):  # type: ignore[arg-type]  # the stubs want a PathLike
            return False
        # an exception may bring back something below an excluded folder
        return not (is_folder and any(_reaches(e, path.split("/")) for e in exceptions))

    return skip


def _reaches(exception: list[str], folder: list[str]) -> bool:
    """Whether an exception, by its segments, can match something below `folder`."""
    for pattern, segment in zip(exception, folder, strict=False):
        if pattern == "**":
            return True
        if not fnmatchcase(segment, pattern):
            return False
    return len(exception) > len(folder)
