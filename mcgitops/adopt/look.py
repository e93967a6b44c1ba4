"""Looks at a project that is to be adopted: what its services run, and what lies in their folders.

Changes nothing, decides nothing. Reads at most a few thousand names and a few small files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import Any

from mcgitops.adopt import dvc, names
from mcgitops.adopt.dvc import Declared
from mcgitops.deferred import dataclass
from mcgitops.facts.files import keep_all, walk
from mcgitops.facts.program import output
from mcgitops.project.model import Mount, Project, Service

_MOST_FILES = 2000
_MOST_BYTES = 1_000_000
_SCRIPT = re.compile(r"[\w./-]+\.(?:py|R|r|jl|sh|ipynb)$")


@dataclass(frozen=True)
class SeenFile:
    """A file in a folder that a service can write. `numbers` are the metrics that it holds."""

    path: str  # relative to the project folder
    size: int
    numbers: tuple[str, ...] = ()
    ignored: bool = False


@dataclass(frozen=True)
class Named:
    """A path that a service's script, command or environment names."""

    path: str  # relative to the project folder
    where: str  # "train.py", "command", "environment"


@dataclass(frozen=True)
class Seen:
    """What there is: by service the names in its scripts; the files of all writable folders."""

    project: Project
    files: Mapping[str, SeenFile] = field(default_factory=dict)
    named: Mapping[str, tuple[Named, ...]] = field(default_factory=dict)
    params: tuple[str, ...] = ()
    crowded: tuple[str, ...] = ()  # folders with more files than were looked at
    dvc: Mapping[str, Declared] = field(default_factory=dict)  # path → what dvc.yaml says of it


def look(project: Project) -> Seen:
    """Gather what `propose` decides on."""
    folders = dict.fromkeys(
        source
        for service in project.services.values()
        if not serves(service)  # a database's files are none of our business
        for source in writable(project, service)
    )
    files: dict[str, SeenFile] = {}
    crowded: list[str] = []
    for folder in folders:
        found = list(_few(project.folder, folder))
        if len(found) > _MOST_FILES:
            crowded.append(folder)
        files.update((file.path, file) for file in found[:_MOST_FILES])
    ignored = _ignored(project.folder, files)
    declared = dvc.declared(project.folder)
    return Seen(
        project,
        {
            path: SeenFile(path, file.size, file.numbers, path in ignored)
            for path, file in sorted(files.items())
        },
        {name: tuple(_named(project, service)) for name, service in project.services.items()},
        tuple(sorted({*_params(project), *dvc.params(project.folder, declared)})),
        tuple(crowded),
        declared,
    )


def serves(service: Service) -> bool:
    """Whether a service is meant to stay: it publishes ports, is watched, or is restarted."""
    definition = service.definition
    restart = str(definition.get("restart") or "no")
    watched = definition.get("ports") or definition.get("healthcheck")
    return bool(watched) or restart in ("always", "unless-stopped")


def writable(project: Project, service: Service) -> dict[str, Mount]:
    """The folders of the project that a service can write, relative to the project folder."""
    found: dict[str, Mount] = {}
    for mount in service.mounts:
        if mount.kind != "bind" or mount.read_only:
            continue
        source = project.relative(mount.source)
        if source is not None and not Path(mount.source).is_file():
            found[source] = mount
    return found


def _few(home: Path, folder: str) -> Iterator[SeenFile]:
    """The files below a folder, one more than are looked at; of the project folder only the top."""
    root = home / folder
    if not root.is_dir() or not os.access(root, os.R_OK | os.X_OK):
        return
    top_only = folder == "."

    def skip(path: str, is_folder: bool) -> bool:
        if is_folder and (top_only or path.count("/") > 4 or not os.access(root / path, os.R_OK)):
            return True
        return keep_all(path, is_folder)

    for count, found in enumerate(walk(root, skip)):
        if count > _MOST_FILES:
            return
        path = found.path if top_only else f"{folder}/{found.path}"
        if not found.path.rsplit("/", 1)[-1].startswith("."):
            yield SeenFile(path, found.stat.st_size, _numbers(home / path, found.stat.st_size))


def _numbers(path: Path, size: int) -> tuple[str, ...]:
    """The dotted names of the numbers in a small JSON file."""
    if path.suffix.lower() != ".json" or size > _MOST_BYTES:
        return ()
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return ()
    found: list[str] = []

    def visit(value: Any, prefix: str, depth: int) -> None:
        if isinstance(value, Mapping) and depth < 8:
            for key, item in value.items():
                visit(item, f"{prefix}.{key}" if prefix else str(key), depth + 1)
        elif isinstance(value, int | float) and not isinstance(value, bool) and prefix:
            found.append(prefix)

    visit(data, "", 0)
    return tuple(found[:50])


def _ignored(folder: Path, paths: Iterable[str]) -> frozenset[str]:
    """Those of the paths that git ignores; none outside git."""
    wanted = list(paths)
    if not wanted:
        return frozenset()
    done = output(
        ("git", "-c", "core.quotePath=false", "check-ignore", "--", *wanted), folder, check=False
    )
    return frozenset(done.stdout.splitlines())


def _params(project: Project) -> Iterator[str]:
    """Parameter files at the top of the project and of its build contexts, and mounted ones."""
    folders = [project.folder]
    for service in project.services.values():
        context = Path(str((service.build or {}).get("context") or ""))
        if context.is_absolute() and context.is_dir() and context.is_relative_to(project.folder):
            folders.append(context)
        for mount in service.mounts:
            path = project.relative(mount.source)
            is_file = mount.kind == "bind" and Path(mount.source).is_file()
            if path is not None and is_file and names.is_params(path, mounted=True):
                yield path
    for folder in dict.fromkeys(folders):
        for item in folder.iterdir():
            if item.is_file() and names.is_params(item.name):
                yield item.relative_to(project.folder).as_posix()


def _named(project: Project, service: Service) -> Iterator[Named]:
    """Paths in writable folders that the service's command, environment and scripts name."""
    command = [*_argv(service, "entrypoint"), *_argv(service, "command")]
    literals = [(token.rpartition("=")[2], "its command") for token in command]
    literals += [(str(value or ""), "its environment") for value in service.environment.values()]
    for script in _scripts(project, service, command):
        shown = script.relative_to(project.folder).as_posix()
        literals += [(text, shown) for text in _strings(script)]
    seen: set[str] = set()
    for text, where in literals:
        for path in _places(project, service, text):
            if path not in seen:
                seen.add(path)
                yield Named(path, where)


def _argv(service: Service, key: str) -> list[str]:
    value = service.definition.get(key)
    return [part for item in value for part in str(item).split()] if value else []


def _scripts(project: Project, service: Service, command: list[str]) -> Iterator[Path]:
    """The scripts that a service starts, as far as they are in the project folder."""
    tokens = list(command)
    for module in re.findall(r"-m ([\w.]+)", " ".join(command)):
        tokens.append(module.replace(".", "/") + ".py")
    homes = [project.folder]
    build = service.build or {}
    context = Path(str(build.get("context") or ""))
    if build and context.is_absolute() and context.is_relative_to(project.folder):
        homes.insert(0, context)
        if not command:
            tokens += _dockerfile_command(context / str(build.get("dockerfile") or "Dockerfile"))
    seen: set[Path] = set()
    for token in tokens:
        if not _SCRIPT.match(token):
            continue
        for candidate in _candidates(homes, token):
            if candidate.is_file() and candidate not in seen:
                seen.add(candidate)
                yield candidate
                break


def _candidates(homes: list[Path], token: str) -> Iterator[Path]:
    """Where `/app/src/train.py` of a container may be in the folder: its endings, longest first."""
    parts = PurePosixPath(token.lstrip("/")).parts
    if ".." in parts:
        return
    for start in range(len(parts)):
        for home in homes:
            yield home.joinpath(*parts[start:])


def _dockerfile_command(dockerfile: Path) -> list[str]:
    try:
        text = dockerfile.read_text("utf-8", "replace")
    except OSError:
        return []
    lines = re.findall(r"^\s*(?:CMD|ENTRYPOINT)\s+(.*)$", text, flags=re.MULTILINE | re.I)
    return [token for line in lines for token in re.split(r"[\s\[\]\",']+", line) if token]


def _strings(script: Path) -> list[str]:
    """The quoted texts of a script that end like the name of a file."""
    try:
        if script.stat().st_size > _MOST_BYTES:
            return []
        text = script.read_text("utf-8", "replace")
    except OSError:
        return []
    return re.findall(r"""["']([^"'\n{}:*]{1,120}\.[A-Za-z0-9]{2,12})["']""", text)


def _places(project: Project, service: Service, text: str) -> Iterator[str]:
    """Where in a writable folder of the project a path of the container is.

    An absolute path goes by the mounts; a relative one names the folder, or only the file.
    """
    if not text.lower().endswith(names.SUFFIXES) or ".." in text.split("/"):
        return
    path = PurePosixPath(text)
    folders = writable(project, service)
    if path.is_absolute():
        for source, mount in folders.items():
            if path.is_relative_to(mount.target):
                yield (PurePosixPath(source) / path.relative_to(mount.target)).as_posix()
                return
        return
    for source, mount in folders.items():
        last = PurePosixPath(mount.target).name
        if path.parts[0] == last and len(path.parts) > 1:
            yield PurePosixPath(source, *path.parts[1:]).as_posix()
            return
    if len(path.parts) == 1:
        there = [s for s in folders if (project.folder / s / path).is_file()]
        only = there or (list(folders) if len(folders) == 1 else [])
        if only and only[0] != ".":
            yield PurePosixPath(only[0], path).as_posix()
