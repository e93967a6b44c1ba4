"""Which files of a build context reach the builder: what `.dockerignore` leaves."""

from __future__ import annotations

from pathlib import Path

from mcgitops.facts.files import Skip, keep_all
from mcgitops.facts.ignore import matcher, patterns, reaches


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
    found = patterns(file.read_text("utf-8", "replace"))
    if not found:
        return keep_all
    matches = matcher(found)
    exceptions = [pattern[1:] for pattern in found if pattern.startswith("!")]

    def skip(path: str, is_folder: bool) -> bool:
        if keep_all(path, is_folder):
            return True
        if not matches(path):
            return False
        # an exception may bring back something below an excluded folder
        return not (is_folder and any(reaches(e, path) for e in exceptions))

    return skip
