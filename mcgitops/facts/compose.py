"""Asks `docker compose config` what the compose file says: the only parser of compose files.

What types the answer takes as long to import as Compose takes to give it, so it is imported
meanwhile, and not above.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcgitops.errors import Problem, ProjectError, UsageError
from mcgitops.facts.program import in_background, output
from mcgitops.facts.resolved import resolved

if TYPE_CHECKING:
    from mcgitops.project.model import Project
    from mcgitops.project.source import SourceFile, Sources

# the names that Compose looks for, in its order of preference
_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_OVERRIDES = (
    "compose.override.yml", "compose.override.yaml",
    "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip


def find_files(
    folder: Path, files: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> tuple[Path, ...]:
    """The compose files, as Compose finds them: named, `COMPOSE_FILE`, or upwards from `folder`.

    Raises `UsageError` where there is none.
    """
    named = list(files)
    environ = {**_dotenv(folder), **environ}
    if not named and environ.get("COMPOSE_FILE"):
        separator = environ.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        named = [name for name in environ["COMPOSE_FILE"].split(separator) if name]
    if named:
        paths = tuple((folder / name).resolve() for name in named)
        for path in paths:
            if not path.is_file():
                raise UsageError(f"{path}: no such file.", "Name an existing compose file with -f.")
        return paths
    for candidate in (folder, *folder.parents):
        for name in _NAMES:
            if (candidate / name).is_file():
                extra = [candidate / o for o in _OVERRIDES if (candidate / o).is_file()]
                return (candidate / name, *extra[:1])
    raise UsageError(
        f"{folder} and the folders above it have no compose file.",
        "Run mcgitops init to make one, or name one with -f.",
    )


def has_files(folder: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a compose file to be found."""
    try:
        return bool(find_files(folder, (), environ))
    except UsageError:
        return False


def _dotenv(folder: Path) -> dict[str, str]:
    """What the folder's `.env` says of where the compose files are, as Compose reads it."""
    try:
        text = (folder / ".env").read_text("utf-8", "replace")
    except OSError:
        return {}
    lines = re.finditer(
        r"^\s*(?:export\s+)?(COMPOSE_FILE|COMPOSE_PATH_SEPARATOR)=(.*)$", text, flags=re.MULTILINE
    )
    return {line[1]: line[2].split(" #")[0].strip().strip("\"'") for line in lines}


def config(project_folder: Path, files: Sequence[Path], *options: str) -> str:
    """What `docker compose config` prints, all profiles on. Raises `UsageError` if it refuses."""
    argv = ["docker", "compose", "--profile", "*"]
    for file in files:
        argv += ["--file", str(file)]
    argv += ["config", *options]
    done = output(argv, project_folder, check=False)
    if done.code == 0:
        return done.stdout
    raise _refused(done.stderr, files)


def _refused(stderr: str, files: Sequence[Path]) -> UsageError:
    text = stderr.strip()
    if re.search(r"unknown (command|flag|shorthand)|is not a docker command", text):
        return UsageError(
            "docker has no compose plugin.",
            "Install it (Debian: docker-compose or docker-compose-plugin), version 2.31 or newer.",
        )
    lines = [
        line
        for line in text.splitlines()
        if line.strip() and "level=warning" not in line and not line.startswith("WARN")
    ]
    said = lines[-1].strip() if lines else "it gave no reason"
    hint = "Correct the compose file; docker compose config shows the same."
    if cycle := re.search(r"dependency cycle detected: (.*)", said):
        first = cycle[1].split(" -> ")[0]
        file, line = read_sources(files[0].parent, files).place("services", first, "depends_on")
        message = f"services wait for each other: {cycle[1]}."
        hint = "Remove one of these depends_on."
        return ProjectError([Problem(message, hint, file, line, first, "depends_on")])
    if place := re.match(r"(?:validating|failed to parse) (.+?\.(?:ya?ml|json)): (.+)", said):
        return _placed(Path(place[1]), place[2], hint, files)
    name = files[0].name if files else "compose file"
    # Compose names the file itself in some messages
    prefix = "" if name in said else f"{name}: "
    return UsageError(f"{prefix}{said.rstrip('.')}.", hint)


def _placed(file: Path, said: str, hint: str, files: Sequence[Path]) -> ProjectError:
    """What Compose said of one file, with the line where it is known."""
    home = files[0].parent
    shown, line = os.path.relpath(file, home), None
    if numbered := re.match(r"line (\d+): (.+)", said):
        line, said = int(numbered[1]), numbered[2]
    elif service := re.match(r"services\.([^\s.]+)", said):
        key = re.search(r"additional properties? '([^']+)'", said)
        keys = ("services", service[1], *((key[1],) if key else ()))
        found, at = read_sources(home, files).place(*keys)
        line = at if found == shown else None
    return ProjectError([Problem(f"{said.rstrip('.')}.", hint, shown, line)])


def load_project(folder: Path, files: Sequence[str] = ()) -> Project:
    """Find, resolve and type the project. Raises `UsageError` or `ProjectError`."""
    found = find_files(folder, files)
    home = found[0].parent
    text = resolved(home, found, lambda: in_background(lambda: config(home, found)))
    from mcgitops.project.load import load

    sources = read_sources(home, found)
    return load(text(), sources, home, found)


def read_sources(home: Path, files: Sequence[Path]) -> Sources:
    """The files as written, with those that they include or extend, each once."""
    from mcgitops.project.source import Sources, parse, referenced

    sources: list[SourceFile] = []
    queue = [(path, home, "file") for path in files]
    seen: set[Path] = set()
    while queue:
        path, base, role = queue.pop(0)
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        shown = os.path.relpath(path, home)
        source = parse(path.read_text("utf-8", "replace"), path, base, role, shown)
        sources.append(source)
        for kind, name, directory in referenced(source):
            if "://" in name or name.startswith("git@"):
                continue  # a remote include: Compose fetched it; it has no place of ours
            target = (base / name).resolve()
            queue.append((target, (base / directory) if directory else target.parent, kind))
    return Sources(tuple(sources))
