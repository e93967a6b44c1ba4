"""Finds the pins of data: in the folder, in a commit, in all that git has. Changes nothing."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from mcgitops.errors import McgitopsError, UsageError
from mcgitops.project.model import STATE_FOLDER
from mcgitops.project.pin import SUFFIX, Pin, parse

_LARGEST = 64 * 1024
DVC = ".dvc"


def names(folder: Path) -> tuple[str, ...]:
    """The pins' files (ours and DVC's) below a folder, relative to it, sorted.

    Git is asked, which knows them without walking through data; outside git all folders are looked
    through.
    """
    said = _git(
        folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
        f"*{SUFFIX}", f"*{DVC}",
    )  # fmt: skip
    found = set(said.split("\0")) - {""} if said is not None else set(_walked(folder))
    return tuple(sorted(name for name in found if _is_pin(name)))


def _is_pin(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last not in (SUFFIX, DVC) and last.endswith((SUFFIX, DVC))


def _walked(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in (STATE_FOLDER, ".git", DVC)]
        for name in files:
            if name.endswith((SUFFIX, DVC)):
                yield Path(parent, name).relative_to(folder).as_posix()


def read(folder: Path, found: Iterable[str]) -> tuple[Pin, ...]:
    """Those of our pins among `found` that are there. Raises `UsageError` for a damaged one."""
    result = []
    for name in found:
        if name.endswith(SUFFIX) and (text := _text(folder / name)) is not None:
            result.append(parse(text, name))
    return refuse_nested(result)


def refuse_nested(pins: Iterable[Pin]) -> tuple[Pin, ...]:
    """The pins, sorted; an error where one stands for a part of what another one stands for."""
    ordered = tuple(sorted(pins, key=lambda pin: pin.path.split("/")))
    for outer, inner in itertools.pairwise(ordered):
        if inner.path.startswith(outer.path + "/"):
            raise UsageError(
                f"{inner.file} pins a part of what {outer.file} pins.", "Remove one of them."
            )
    return ordered


def _text(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None  # git knows it, and it was removed here
    except OSError as error:
        raise McgitopsError(f"{file} can't be read: {error.strerror or error}.") from None


def at(folder: Path, commit: str) -> tuple[Pin, ...]:
    """Our pins in a commit, below the folder."""
    said = _git(folder, "ls-tree", "-r", "-z", commit, "--", ".") or ""
    blobs: dict[str, str] = {}
    for line in said.split("\0"):
        about, _, name = line.partition("\t")
        fields = about.split(" ")
        if name.endswith(SUFFIX) and _is_pin(name) and fields[1:2] == ["blob"]:
            blobs[name] = fields[2]
    texts = _contents(folder, blobs.values())
    return refuse_nested(parse(texts[blob], name) for name, blob in blobs.items())


def everywhere(folder: Path, *, history: bool = True) -> frozenset[Pin]:
    """Our pins in all branches, tags and stashes; with their whole history, or as they are now.

    Those of all projects of the repository, as they may share a store.

    In a shallow clone only in what was fetched. Damaged ones are left out: nobody can use them.
    """
    blobs: set[str] = set()
    if history:
        # -m and --full-history: also what only one side of a merge had
        said = _git(
            folder, "log", "--all", "HEAD", "-m", "--full-history", "--format=", "--raw",
            "--no-abbrev", "--no-renames", "--", f":(top)*{SUFFIX}",
        )  # fmt: skip
        for line in (said or "").splitlines():
            blobs.update(line.split(" ")[2:4] if line.startswith(":") else ())
    else:
        refs = (_git(folder, "for-each-ref", "--format=%(objectname)") or "").split()
        for commit in {*refs, "HEAD"}:
            listed = _git(folder, "ls-tree", "-r", "-z", "--full-tree", commit) or ""
            for line in listed.split("\0"):
                about, _, name = line.partition("\t")
                if name.endswith(SUFFIX):
                    blobs.add(about.split(" ")[-1])
    found = set()
    for text in _contents(folder, blobs).values():
        try:
            found.add(parse(text, f"data{SUFFIX}"))
        except UsageError:
            continue
    return frozenset(found)


def is_ignored(folder: Path, path: str) -> bool | None:
    """Whether git ignores a path; None outside git."""
    code = _run(folder, ("check-ignore", "--quiet", "--", path)).returncode
    return None if code > 1 else code == 0


def tracked(folder: Path, path: str) -> tuple[str, ...]:
    """What git tracks at or below a path."""
    said = _git(folder, "ls-files", "-z", "--cached", "--", f":(literal){path}") or ""
    return tuple(name for name in said.split("\0") if name)


def _contents(folder: Path, blobs: Iterable[str]) -> dict[str, str]:
    """The text of blobs, by name; other objects, and large ones, are left out."""
    wanted = sorted(set(blobs))
    if not wanted:
        return {}
    done = _run(folder, ("cat-file", "--batch"), "".join(f"{name}\n" for name in wanted).encode())
    result: dict[str, str] = {}
    data, at_ = done.stdout, 0
    while at_ < len(data):
        end = data.index(b"\n", at_)
        fields = data[at_:end].split(b" ")
        at_ = end + 1
        if len(fields) != 3 or not fields[2].isdigit():
            continue  # missing
        size = int(fields[2])
        if fields[1] == b"blob" and size <= _LARGEST:
            result[fields[0].decode()] = data[at_ : at_ + size].decode("utf-8", "replace")
        at_ += size + 1
    return result


def _git(folder: Path, *arguments: str) -> str | None:
    """Git's output with the bytes of names kept, or None where it says no."""
    done = _run(folder, arguments)
    return None if done.returncode else os.fsdecode(done.stdout)


def _run(
    folder: Path, arguments: tuple[str, ...], given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ("git", *arguments), cwd=folder, input=given or b"", capture_output=True, check=False
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess((), 128, b"", b"")
