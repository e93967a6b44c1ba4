"""YAML: loaded safely, with bounds on nesting and on what aliases expand to.

The events are looked at before anything is built, since neither the C composer's recursion nor the
expansion of merge keys knows a limit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO

import yaml

from mcgitops.metrics.formats.content import UNENDED, stem, text_of
from mcgitops.metrics.formats.series import plot_of
from mcgitops.metrics.values import (
    MAX_VALUES,
    Plot,
    Scalar,
    UnreadableError,
    Warnings,
    flatten,
)

LIMIT = 4 << 20
MAX_NESTING = 100

if TYPE_CHECKING:
    _SafeLoader = yaml.SafeLoader
else:
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):
    """Safe, reads `1e-3` as the number that everybody means, and notices duplicate keys.

    Without a sign (`12e5`) it stays text, as PyYAML writes it: it may be part of a hash.
    """

    warnings: Warnings

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    self.warnings.add(f"{key.value[:80]} occurs more than once; the last counts.")
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+][0-9]+$"),
    list("-+0123456789."),
)


def values(path: str, stream: BinaryIO, warnings: Warnings) -> dict[str, Scalar]:
    """The file's values by flattened name."""
    return flatten(load(stream, warnings), warnings, root=stem(path))


def plot(path: str, stream: BinaryIO, warnings: Warnings) -> Plot:
    """A list of rows, or lists by name."""
    return plot_of(path, load(stream, warnings), warnings)


def load(stream: BinaryIO, warnings: Warnings) -> Any:
    """The file's data as it is nested. Raises `UnreadableError`."""
    content = text_of(stream, LIMIT)
    try:
        _check(content)
        loader = _Loader(content)
        loader.warnings = warnings
        try:
            data = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise UnreadableError(f"is not valid YAML: {_sentence(error)}.") from None
    except RecursionError:
        raise UnreadableError("refers to itself, or is nested too deeply to be read.") from None
    except (ValueError, TypeError, OverflowError) as error:  # an impossible date, an unhashable key
        raise UnreadableError(f"is not valid YAML: {error}.") from None
    if not content.endswith(("\n", "\r")):
        warnings.add(UNENDED)
    return data


def _check(content: str) -> None:
    """Raise `UnreadableError` where the file nests too deeply or its aliases expand too far."""
    sizes: dict[str, int] = {}  # anchor → nodes that it stands for
    open_nodes: list[tuple[str | None, int]] = []  # (anchor, total before it)
    total = 0
    for event in yaml.parse(content, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            total += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            open_nodes.append((event.anchor, total))
            total += 1
            if len(open_nodes) > MAX_NESTING:
                raise UnreadableError("is nested too deeply to be read.")
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > 10 * MAX_VALUES:
            raise UnreadableError("expands to more values than are read of one file.")


def _sentence(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())
