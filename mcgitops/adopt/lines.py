"""The proposal as lines of YAML, and where in the compose file they go: pure text work.

Lines are only ever inserted. What stands in the file stays as it is, comments and all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from mcgitops.adopt.model import Proposal, Stage
from mcgitops.deferred import dataclass
from mcgitops.project.source import KEY
from mcgitops.project.spec import MetricSpec

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COMMENT_COLUMN = 44


@dataclass(frozen=True)
class Insertion:
    """Lines that go before line `at` (from 0) of a text."""

    at: int
    lines: tuple[str, ...]


def stage_lines(stage: Stage) -> tuple[str, ...]:
    """`x-mcgitops` of one service, without indentation."""
    lines = [f"{KEY}:"]
    if stage.waits_for:
        lines.insert(0, "depends_on:")
        lines[1:1] = [
            f"  {name}: {{condition: service_completed_successfully}}" for name in stage.waits_for
        ]
    for key in ("params", "metrics", "plots", "outputs"):
        paths = getattr(stage.spec, key)
        reasons = [stage.reasons.get(path, "") for path in paths]
        if len(paths) < 2:
            if paths:
                lines.append(_commented(f"  {key}: {_flow(paths)}", reasons[0]))
            continue
        lines.append(f"  {key}:")
        lines += [
            _commented(f"    - {_scalar(path)}", reason)
            for path, reason in zip(paths, reasons, strict=True)
        ]
    if stage.seed:
        replicates = f"  # replicates: {{{stage.seed}: [0, 1, 2]}}"
        lines.append(_commented(replicates, "one run each; the report compares means"))
    return tuple(lines)


def project_lines(metrics: Mapping[str, MetricSpec], project: str) -> tuple[str, ...]:
    """The top-level `x-mcgitops`: directions that are sure; the rest as comments to take up.

    Where nothing is sure, all of it is a comment: an empty key would be no mapping.
    """
    optional = [
        _commented(f"store: s3://BUCKET/{project}", "default: the folder .mcgitops/store"),
        "environments:",
        '  production: {trigger: {tag: "v*"}, hosts: ["ssh://deploy@HOST"]}',
    ]
    gate = "gate: {max_drop: 0.01}"
    if not metrics:
        example = ["metrics:", f"  accuracy: {{goal: maximize, {gate}}}"]
        inside = [f"  {line}" for line in (*example, *optional)]
        return tuple(f"# {line}" for line in (f"{KEY}:", *inside))
    lines = [f"{KEY}:", "  metrics:"]
    for number, (name, spec) in enumerate(metrics.items()):
        line = f"    {_scalar(name)}: {{goal: {spec.goal}}}"
        hint = f"a gate: {{goal: {spec.goal}, {gate}}}"
        lines.append(_commented(line, "" if number else hint))
    return (*lines, *(f"  # {line}" for line in optional))


def _flow(paths: tuple[str, ...]) -> str:
    """The list as YAML would quote it; `$` doubled, so that Compose leaves it alone."""
    escaped = [path.replace("$", "$$") for path in paths]
    dumped: str = yaml.safe_dump(escaped, default_flow_style=True, allow_unicode=True, width=10_000)
    return dumped.strip()


def _scalar(text: str) -> str:
    return _flow((text,))[1:-1]


def _commented(line: str, comment: str) -> str:
    if not comment:
        return line
    clean = "".join(character if character.isprintable() else " " for character in comment)
    return f"{line.ljust(_COMMENT_COLUMN)}  # {clean}"


def insertions(text: str, proposal: Proposal, project: str) -> tuple[list[Insertion], list[str]]:
    """Where the lines go in a compose file's text, and the services that have no place there.

    A service has none where it is written in braces, is an alias, or stands in another file; nor
    one that needs more than our own key, since that would change what Compose does.
    """
    root = yaml.compose(text, Loader=_Loader)
    lines = text.splitlines()
    found: list[Insertion] = []
    homeless: list[str] = []
    services = _value(root, "services")
    for stage in proposal.stages:
        place = None if stage.waits_for else _end_of_block(services, stage.service, lines)
        if place is None:
            homeless.append(stage.service)
            continue
        at, indent = place
        found.append(Insertion(at, tuple(" " * indent + line for line in stage_lines(stage))))
    if found and _takes_lines(root) and _value(root, KEY) is None:
        block = project_lines(proposal.metrics, project)
        found.append(Insertion(len(lines), ("", *block)))
    return found, homeless


def insert(text: str, additions: list[Insertion]) -> str:
    """The text with the lines inserted; its line endings are kept."""
    newline = "\r\n" if "\r\n" in text else "\n"
    kept = text.splitlines(keepends=True)
    if kept and not kept[-1].endswith(("\n", "\r")):
        kept[-1] += newline
    for addition in reversed(sorted(additions, key=lambda a: a.at)):  # noqa: C413  (keeps order)
        kept[addition.at : addition.at] = [line + newline for line in addition.lines]
    return "".join(kept)


def only_inserts(before: str, after: str) -> bool:
    """Whether `after` is `before` with lines inserted and nothing else changed."""
    remaining = iter(after.splitlines())
    return all(any(line == other for other in remaining) for line in before.splitlines())


def _takes_lines(root: yaml.Node | None) -> bool:
    """Whether a key can be added at the end: a mapping, not in braces, that starts at a margin."""
    if not isinstance(root, yaml.MappingNode) or root.flow_style or not root.value:
        return False
    margin: int = root.value[0][0].start_mark.column
    return margin == 0


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value == key:
                found: yaml.Node = value
                return found
    return None


def _end_of_block(
    services: yaml.Node | None, service: str, lines: list[str]
) -> tuple[int, int] | None:
    """The line after a service's last one, and the column of its keys."""
    if not isinstance(services, yaml.MappingNode):
        return None
    for name, value in services.value:
        if not isinstance(name, yaml.ScalarNode) or name.value != service:
            continue
        if not isinstance(value, yaml.MappingNode) or value.flow_style or not value.value:
            return None
        first = value.value[0][0].start_mark
        if (first.line, first.column) < (name.start_mark.line, name.start_mark.column):
            return None  # an alias: its lines belong to another place
        # the mark stands where the next thing starts; at an end without a newline, after the last
        indent = first.column
        end = min(value.end_mark.line + (value.end_mark.column >= indent), len(lines))
        while end > first.line + 1 and _belongs_below(lines[end - 1], indent):
            end -= 1
        return end, indent
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _belongs_below(line: str, indent: int) -> bool:
    """Blank, or less deep than the service's keys: the next service's, or its comment."""
    return not line.strip() or _indent(line) < indent
