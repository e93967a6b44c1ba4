"""Markdown's tables: rows of metrics, costs and breakdowns, with every cell made harmless."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mcgitops.compare.model import CostChange, MetricChange
from mcgitops.report import breakdown, words
from mcgitops.report.escape import code, ours, piece, plain, prose
from mcgitops.report.model import Report
from mcgitops.report.past import sparks
from mcgitops.report.text import Text

CHANGES = (
    ("", "metric", "base", "head", "change", "evidence"),
    ("center", "left", "right", "right", "right", "left"),
)
"""Headers and alignment of a table of metrics."""

_RULES = {"left": ":--", "center": ":--:", "right": "--:"}
_NO_PADDING = re.compile(" {2,}")  # of empty cells: no other holds two blanks in a row
_WAYS = {breakdown.WORSE: words.ORANGE, breakdown.BETTER: words.GREEN}


def pipe(headers: Sequence[str], rows: Sequence[Sequence[str]], align: Sequence[str]) -> str:
    """A Markdown table without padding, which would cost a third of the budget."""
    head, *body = (_NO_PADDING.sub(" ", f"| {' | '.join(line)} |") for line in (headers, *rows))
    return "\n".join((head, f"|{'|'.join(_RULES[side] for side in align)}|", *body))


def changes(metrics: Sequence[MetricChange], costs: Iterable[CostChange], report: Report) -> str:
    """A table of changes; with the course of earlier values where one of the metrics has one."""
    headers: tuple[str, ...]
    align: tuple[str, ...]
    headers, align = CHANGES
    rows = [metric_row(change) for change in metrics]
    rows += [_cost_row(cost, report) for cost in costs]
    if (spark := sparks(report, metrics)) is not None:
        headers, align = (*headers[:2], "history", *headers[2:]), (*align[:2], "left", *align[2:])
        bars = [*map(spark, metrics), *[""] * (len(rows) - len(metrics))]
        rows = [(*row[:2], bar, *row[2:]) for row, bar in zip(rows, bars, strict=True)]
    return pipe(headers, rows, align)


def metric_row(change: MetricChange) -> tuple[str, ...]:
    """One metric; the names of those that have a gate which speaks are bold."""
    cells = words.metric_cells(change)
    name = plain(cells.label)
    if any("gate" in gate for gate in cells.gates):
        name = f"**{name}**" if not name.startswith("`") else name
    parts = (name, cells.arrow, code(cells.variant) if cells.variant else "")
    show = code if cells.is_text else ours
    evidence = [prose(cells.evidence)] if cells.evidence else []
    evidence += [_gate(gate) for gate in cells.gates]
    return (
        cells.sign,
        " ".join(part for part in parts if part),
        show(cells.base) if cells.base != "–" else "–",
        show(cells.head) if cells.head != "–" else "–",
        ours(cells.change),
        " · ".join(evidence),
    )


def _cost_row(cost: CostChange, report: Report) -> tuple[str, ...]:
    cells = words.cost_cells(cost, report)
    name = prose(cells.label, 80)
    parts = (name, cells.arrow, code(cells.variant) if cells.variant else "")
    label = " ".join(part for part in parts if part)
    values = (ours(text) or "–" for text in (cells.base, cells.head, cells.change))
    return (cells.sign, label, *values, cells.evidence)


def _gate(text: str) -> str:
    """A gate that has something to say is bold; one that passed is only named."""
    return f"**{prose(text)}**" if "gate" in text else f"gate: {prose(text)}"


def table(shown: breakdown.Table, most: int, *, title: bool) -> str:
    """A breakdown with at most that many rows; signs only where one has something to say."""
    rows = shown.rows[:most]
    signs = [_WAYS.get(row.way, "") for row in rows]
    has_signs = any(signs)
    cells = [
        (*((sign,) if has_signs else ()), *(text(cell) for cell in row.cells))
        for sign, row in zip(signs, rows, strict=True)
    ]
    headers = [*(("",) if has_signs else ()), *(text(header) for header in shown.headers)]
    left = shown.left + has_signs
    align = ["left" if i < left or h == "evidence" else "right" for i, h in enumerate(headers)]
    parts = [text(shown.title)] if title else []
    parts.append(pipe(headers, cells, align))
    if len(shown.rows) > most:
        parts.append(f"and {words.count(len(shown.rows) - most, 'more row')}")
    return "\n\n".join((*parts, shown.note) if shown.note else parts)


def text(pieces: Text) -> str:
    """Pieces of text as Markdown."""
    return "".join(map(piece, pieces))
