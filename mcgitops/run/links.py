"""Symbolic links among what a run made: kept as the files that they lead to. Pure.

A record names files, and a file that is there twice takes no second place in a store. So a link
comes back as what it leads to, on every machine and at every target, and none can lead out.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from itertools import islice

from mcgitops.store.records import FileRef

MOST = 100_000
"""Files that come in through links: links to folders with links in them multiply."""
_STEPS = 40  # as Linux has it


def where(link: str, to: str, base: str, mounted: str) -> str:
    """The path in the project that a link leads to, "" where it leads out of its mounted folder.

    link: its own path in the project. to: what it says, in a container where the folder `base` of
    the project is mounted at `mounted`.
    """
    if to.startswith("/"):
        below = _below(posixpath.normpath(to), posixpath.normpath(mounted))
        return "" if below is None else _joined(base, below)
    found = posixpath.normpath(posixpath.join(posixpath.dirname(link), to))
    outside = found == ".." or found.startswith("../") or _below(found, base) is None
    return "" if outside else found


def followed(
    links: Mapping[str, str], files: Mapping[str, FileRef]
) -> tuple[dict[str, FileRef], list[str]]:
    """What links (path → the path that it leads to) stand for, and those that lead to nothing.

    A link to a folder stands for all files below it, those of links in it as well; not for itself.
    """
    folders: dict[str, dict[str, None]] = {}  # folder → what is in it, in order
    for path in (*files, *links):
        while (above := path.rpartition("/")[0]) != path:
            folders.setdefault(above or ".", {})[path] = None
            if not above:
                break
            path = above
    found: dict[str, FileRef] = {}
    nowhere: list[str] = []
    steps = iter(range(4 * MOST))
    for link in sorted(links):
        ways = _leads(link, links, files, folders, (link,), steps)
        some = list(islice(ways, MOST - len(found) + 1))
        if some and len(found) + len(some) <= MOST:
            found |= {path: file.model_copy(update={"path": path}) for path, file in some}
        else:
            nowhere.append(link)
    return found, nowhere


def _leads(
    path: str,
    links: Mapping[str, str],
    files: Mapping[str, FileRef],
    folders: Mapping[str, Mapping[str, None]],
    inside: tuple[str, ...],
    steps: Iterator[int],
) -> Iterator[tuple[str, FileRef]]:
    """The files that one finds at a path, and below it where it leads to a folder."""
    real = _real(path, links)
    if next(steps, None) is None:
        return
    if real in files:
        yield path, files[real]
    elif real in folders and not any(_below(one, real) is not None for one in inside):
        for item in folders[real]:
            name = item.rpartition("/")[2]
            for below, file in _leads(item, links, files, folders, (*inside, real), steps):
                yield f"{path}/{name}{below[len(item) :]}", file


def _real(path: str, links: Mapping[str, str]) -> str:
    """A path without links in it; "" where they go round in circles."""
    for _ in range(_STEPS):
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            start = "/".join(parts[:count])
            if start in links:
                path = _joined(links[start], "/".join(parts[count:]))
                break
        else:
            return path
    return ""


def _below(path: str, folder: str) -> str | None:
    """A path's rest below a folder, "" where it is the folder; None where it isn't within it."""
    if path == folder:
        return ""
    if folder == ".":
        return path
    return path[len(folder) + 1 :] if path.startswith(f"{folder}/") else None


def _joined(base: str, rest: str) -> str:
    return base if not rest else rest if base == "." else f"{base}/{rest}"
