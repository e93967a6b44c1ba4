"""The compose files as they were written: where each key stands, and which file declares what.

Compose itself resolves the files; its output has no line numbers and no longer says which file a
value came from. This module reads the source only for that: places for messages, the folder that a
path under `x-mcgitops` is relative to, and spellings that YAML turns into something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import yaml

from mcgitops.deferred import dataclass
from mcgitops.project import KEY as KEY

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class SourceFile:
    """One compose file. `role` says how it comes in: named, included or extended."""

    path: Path
    folder: Path  # what its relative paths are relative to
    role: str  # file | include | extends
    root: yaml.Node | None
    shown: str = ""  # the path as messages show it

    def line(self, *keys: str | int) -> int | None:
        """The line (from 1) of the deepest of `keys` that the file has; None where it has none."""
        found: int | None = None
        node = self.root
        for key in keys:
            step = _child(node, key)
            if step is None:
                return found
            mark, node = step
            found = mark + 1
        return found

    def has(self, *keys: str | int) -> bool:
        """Whether the file itself holds this key."""
        node = self.root
        for key in keys:
            step = _child(node, key)
            if step is None:
                return False
            node = step[1]
        return True

    def data(self, *keys: str | int) -> Any:
        """The value as plain data, without interpolation; None where there is none."""
        node = self.root
        for key in keys:
            step = _child(node, key)
            if step is None:
                return None
            node = step[1]
        return plain(node)

    def octals(self) -> Iterator[tuple[int, str]]:
        """Unquoted numbers with a leading zero, which YAML reads as octal: (line, text)."""
        seen: set[int] = set()

        def walk(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
            if node is None or id(node) in seen:
                return
            seen.add(id(node))
            if isinstance(node, yaml.ScalarNode):
                if not node.style and re.fullmatch(r"[-+]?0[0-7]+", node.value):
                    yield node.start_mark.line + 1, node.value
            elif isinstance(node, yaml.SequenceNode):
                for item in node.value:
                    yield from walk(item)
            elif isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    # `mode: 0440` of configs and secrets is octal and meant so
                    if not (isinstance(key, yaml.ScalarNode) and key.value in ("mode", "umask")):
                        yield from walk(value)

        yield from walk(self.root)


def _child(node: yaml.Node | None, key: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value == str(key):
                return name.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        item = node.value[key]
        return item.start_mark.line, item
    return None


def plain(node: yaml.Node | None) -> Any:
    """A node as lists, mappings and text; merge keys and tags are left alone."""
    if isinstance(node, yaml.MappingNode):
        return {
            key.value: plain(value) for key, value in node.value if isinstance(key, yaml.ScalarNode)
        }
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    return node.value if isinstance(node, yaml.ScalarNode) else None


def parse(text: str, path: Path, folder: Path, role: str, shown: str) -> SourceFile:
    """Parse one file's text. A file that isn't YAML gives an empty one: Compose says it better."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        root = None
    return SourceFile(path, folder, role, root, shown)


@dataclass(frozen=True)
class Sources:
    """All files that a project is made of, the named ones first."""

    files: tuple[SourceFile, ...] = field(default=())

    def place(self, *keys: str | int) -> tuple[str, int | None]:
        """The file and line where `keys` stand: of those that know most of them, the last wins."""
        best: tuple[int, SourceFile | None] = (0, None)
        for source in self.files:
            depth = 0
            while depth < len(keys) and source.has(*keys[: depth + 1]):
                depth += 1
            if depth >= best[0] and depth:
                best = (depth, source)
        if best[1] is None:
            return (self.files[0].shown if self.files else "", None)
        return best[1].shown, best[1].line(*keys[: best[0]])

    def folder_of(self, service: str, key: str, item: str, default: Path) -> Path:
        """The folder that a path under a service's `x-mcgitops` is relative to.

        It is the folder of the file that holds the item; an item that no file holds literally
        (it was interpolated) belongs to the file that declares the service.
        """
        declares: Path | None = None
        for name in self._ancestry(service):
            for source in self.files:
                written = source.data("services", name, KEY, key)
                listed = isinstance(written, Sequence | Mapping) and not isinstance(written, str)
                if listed and item in written:
                    return source.folder
                if declares is None and source.has("services", name, KEY):
                    declares = source.folder
        return declares or default

    def _ancestry(self, service: str) -> list[str]:
        """The service and those that it extends, under whatever name."""
        names = [service]
        for name in names:
            for source in self.files:
                extends = source.data("services", name, "extends")
                base = extends.get("service") if isinstance(extends, Mapping) else extends
                if isinstance(base, str) and base not in names:
                    names.append(base)
        return names


def referenced(source: SourceFile) -> list[tuple[str, str, str]]:
    """Other compose files that this one names: (role, path, project directory or "")."""
    found: list[tuple[str, str, str]] = []
    for entry in source.data("include") or []:
        if isinstance(entry, str):
            found.append(("include", entry, ""))
        elif isinstance(entry, Mapping):
            paths = entry.get("path")
            for path in [paths] if isinstance(paths, str) else paths or []:
                found.append(("include", str(path), str(entry.get("project_directory") or "")))
    services = source.data("services")
    for service in services.values() if isinstance(services, Mapping) else ():
        extends = service.get("extends") if isinstance(service, Mapping) else None
        if isinstance(extends, Mapping) and extends.get("file"):
            found.append(("extends", str(extends["file"]), ""))
    return found
