"""What the project's `dvc.yaml` says of its files: metrics, plots, params and outputs.

A team that has one has said already what a run makes; nothing is guessed of those files.
Format: DVC 3, "dvc.yaml files" in its reference.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import yaml

from mcgitops.deferred import dataclass

Kind = Literal["metrics", "plots", "params", "outputs"]

_KEYS: tuple[tuple[str, Kind], ...] = (
    ("metrics", "metrics"), ("plots", "plots"), ("params", "params"), ("outs", "outputs"),
)  # fmt: skip
_LIMIT = 1_000_000
_READABLE = (".json", ".yaml", ".yml", ".toml", ".csv", ".tsv")


@dataclass(frozen=True)
class Declared:
    """What a path is; `stage` is DVC's name of the stage that says so, "" where none does."""

    kind: Kind
    stage: str = ""


def declared(folder: Path) -> dict[str, Declared]:
    """By path, relative to the project folder. Nothing where there is no readable `dvc.yaml`.

    Paths with variables are left out, and so are pictures among the plots: no chart is made of
    them.
    """
    path = folder / "dvc.yaml"
    try:
        if path.stat().st_size > _LIMIT:
            return {}
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    if not isinstance(data, Mapping):
        return {}
    found: dict[str, Declared] = {}
    stages = data.get("stages")
    for name, stage in stages.items() if isinstance(stages, Mapping) else ():
        if isinstance(stage, Mapping) and "do" not in stage and "matrix" not in stage:
            for place, kind in _paths(stage, str(stage.get("wdir") or "."), in_stage=True):
                found.setdefault(place, Declared(kind, str(name)))
    for place, kind in _paths(data, ".", in_stage=False):
        found.setdefault(place, Declared(kind))
    return found


def params(folder: Path, declared: Mapping[str, Declared]) -> Iterator[str]:
    """The parameter files that are there."""
    for path, said in declared.items():
        with suppress(OSError):  # a name too long for a file
            if said.kind == "params" and (folder / path).is_file():
                yield path


def _paths(section: Mapping[Any, Any], home: str, *, in_stage: bool) -> Iterator[tuple[str, Kind]]:
    for key, kind in _KEYS:
        for name, options in _entries(section.get(key)):
            paths = [name]
            if kind == "params" and in_stage and not options:
                paths = ["params.yaml"]  # a stage's bare entries are names in it
            elif kind == "plots" and isinstance(y := options.get("y"), Mapping):
                paths = [str(file) for file in y]
            for path in paths:
                place = posixpath.normpath(posixpath.join(home, path))
                if "${" in place or place.startswith(("/", "..")) or place == ".":
                    continue
                suffix = posixpath.splitext(place)[1].lower()
                if kind == "plots" and suffix and suffix not in _READABLE:
                    continue
                yield place, kind


def _entries(section: Any) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Names with their options, of a list of names and mappings, or of a mapping."""
    for entry in section if isinstance(section, list) else [section]:
        if isinstance(entry, str):
            yield entry, {}
        elif isinstance(entry, Mapping):
            for name, options in entry.items():
                if isinstance(options, list):  # of params: the names in the file
                    yield str(name), {"names": options}
                else:
                    yield str(name), options if isinstance(options, Mapping) else {"all": True}
