"""The report for a terminal: a table where it is wide, two lines a metric where it is narrow.

Signs and colour only repeat what the words say. Control characters of names and values are gone
before anything is printed.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from mcgitops.compare.model import Failure, MetricChange
from mcgitops.report import words
from mcgitops.report.escape import clean
from mcgitops.report.model import Report
from mcgitops.report.templates import render as template

WIDE = 100
ROWS = 60
LOG_LINES = 20
LAST_COLUMN = 36
"""The evidence's column is at least so wide, or there is no table."""
GAP = "  "

_SIGNS = {words.RED: "✖", words.ORANGE: "!", words.GREEN: "✔", words.WHITE: "·"}
_COLOURS = {words.RED: "31", words.ORANGE: "33", words.GREEN: "32", words.WHITE: "2"}


def render(report: Report, *, width: int = WIDE, color: bool = False) -> str:
    """The report as text for a terminal of that width."""
    view = _View(max(width, 40), color)
    sign = words.heading_sign(report)
    title = f"{_SIGNS[sign]} {clean(report.project)}: {clean(report.headline, 300)}"
    return (
        template(
            "terminal.txt.j2",
            title=view.paint(title, _COLOURS[sign], bold=True),
            subtitle="\n".join(view.wrap(_subtitle(report))),
            sections=[section for section in view.sections(report) if section],
        )
        + "\n"
    )


def render_metrics(
    report: Report, *, width: int = WIDE, color: bool = False, everything: bool = False
) -> str:
    """Only the metrics: all of them, or those that changed and how many didn't."""
    view = _View(max(width, 40), color)
    return (
        template(
            "terminal.txt.j2",
            title="\n".join(view.wrap(_subtitle(report))),
            subtitle="",
            sections=[section for section in view.metrics_only(report, everything) if section],
        )
        + "\n"
    )


def _subtitle(report: Report) -> str:
    text = clean(words.revision(report.head))
    if report.base is not None:
        text += f" against {clean(words.revision(report.base))}"
        text += f" ({clean(report.base.why)})" if report.base.why else ""
    elif report.head.name:
        text += f" ({clean(report.head.name)})"
    return " · ".join((text, *words.stages(report)))


class _View:
    """Width and colour, and the sections that depend on them."""

    def __init__(self, width: int, color: bool) -> None:
        self.width = width
        self.color = color

    def paint(self, text: str, colour: str, *, bold: bool = False) -> str:
        if not self.color:
            return text
        return f"\x1b[{'1;' if bold else ''}{colour}m{text}\x1b[0m"

    def wrap(self, text: str, indent: str = "") -> list[str]:
        return textwrap.wrap(text, self.width, initial_indent=indent, subsequent_indent=indent)

    def metrics_only(self, report: Report, everything: bool) -> list[str]:
        everything = everything or report.base is None
        shown = [change for change in report.metrics if change.is_changed or everything]
        same = len(report.metrics) - len(shown)
        return [
            self._metrics(report, shown, most=len(shown), costs=False),
            "" if report.metrics else "No metrics.",
            f"{words.count(same, 'metric')} unchanged" if same else "",
            "\n".join(self._ended(failure) for failure in report.failures[:ROWS]),
        ]

    def _ended(self, failure: Failure) -> str:
        code = "" if failure.exit_code is None else f" with exit code {failure.exit_code}"
        text = f"{clean(failure.run)} {words.ENDED.get(failure.state, 'failed')}{code}"
        return self.paint(text, _COLOURS[words.RED])

    def sections(self, report: Report) -> list[str]:
        shown = [change for change in report.metrics if change.is_changed or report.base is None]
        same = len(report.metrics) - len(shown)
        first, rest = words.leading(shown) if report.base is not None else (shown, [])
        return [
            self._failures(report),
            self._metrics(report, first),
            f"{words.count(len(rest), 'more changed metric')}: mcgitops metrics diff"
            if rest
            else "",
            "\n".join(self.wrap(f"{words.count(same, 'metric')} unchanged")) if same else "",
            self._gates(report),
            self._changes(report),
            self._costs(report),
            "\n".join(
                line
                for made in report.lineage
                if made.selection
                for line in self.wrap(f"Selected: {clean(made.run)}, {clean(made.selection)}")
            ),
            "\n".join(
                line for text in report.warnings[:10] for line in self.wrap(f"! {clean(text, 300)}")
            ),
            f"Reproduce: {clean(report.reproduce)}" if report.reproduce else "",
        ]

    def _metrics(
        self,
        report: Report,
        changes: Sequence[MetricChange],
        *,
        most: int = ROWS,
        costs: bool = True,
    ) -> str:
        cells = [words.metric_cells(change) for change in changes[:most]]
        if report.base is not None and costs:
            cells += [words.cost_cells(cost) for cost in words.notable_costs(report)]
        if not cells:
            return ""
        has_base = report.base is not None
        text = self._table(cells, has_base) or self._lines(cells, has_base)
        more = len(changes) - most
        return f"{text}\nand {words.count(more, 'metric')} more" if more > 0 else text

    def _table(self, cells: Sequence[words.Cells], has_base: bool) -> str:
        """A table; its last column is wrapped. "" where the terminal is too narrow for one."""
        from tabulate import tabulate

        rows = []
        for cell in cells:
            row = [self._sign(cell), _name(cell), clean(cell.base, 40), clean(cell.head, 40)]
            row += [cell.change, _evidence(cell)]
            rows.append(row if has_base else [*row[:2], row[3], row[5]])
        headers = ["", "metric", "base", "head", "change", ""]
        align = ["left", "left", "right", "right", "right", "left"]
        if not has_base:
            headers, align = ["", "metric", "value", ""], ["left", "left", "right", "left"]
        *columns, last = zip(headers, *rows, strict=True)
        taken = sum(max(map(_width, column)) + len(GAP) for column in columns)
        if self.width < WIDE or self.width - taken < min(LAST_COLUMN, max(map(_width, last))):
            return ""
        table = tabulate(
            rows,
            headers,
            "plain",
            colalign=align,
            disable_numparse=True,
            maxcolwidths=[*[None] * len(columns), max(self.width - taken, 1)],
        )
        return "\n".join(line.rstrip() for line in table.split("\n"))

    def _lines(self, cells: Sequence[words.Cells], has_base: bool) -> str:
        lines: list[str] = []
        for cell in cells:
            values = clean(cell.head, 40)
            if has_base:
                values = f"{clean(cell.base, 40)} → {values}"
            first, *rest = self.wrap(f"{_SIGNS[cell.sign]} {_name(cell)}  {values}")
            lines += [self.paint(first, _COLOURS[cell.sign]), *(f"  {line}" for line in rest)]
            detail = " · ".join(part for part in (cell.change, _evidence(cell)) if part)
            if detail and (has_base or cell.gates):
                lines += self.wrap(detail if has_base else _evidence(cell), "    ")
        return "\n".join(lines)

    def _sign(self, cell: words.Cells) -> str:
        return self.paint(_SIGNS[cell.sign], _COLOURS[cell.sign])

    def _gates(self, report: Report) -> str:
        """The gates without a metric of their own."""
        first = words.leading(report.metrics)[0] if report.base else report.metrics
        shown = {gate for change in first[:ROWS] for gate in change.gates}
        lines: list[str] = []
        for gate in report.gates:
            if gate.state not in ("failed", "warned") or gate in shown:
                continue
            sign = words.RED if gate.state == "failed" else words.ORANGE
            text = f"{_SIGNS[sign]} {clean(gate.metric)}: {clean(gate.text)} (gate: {gate.bound})"
            lines += [self.paint(line, _COLOURS[sign]) for line in self.wrap(text)]
        return "\n".join(lines[:ROWS])

    def _failures(self, report: Report) -> str:
        lines: list[str] = []
        for failure in report.failures[:5]:
            lines.append(self._ended(failure))
            lines += [f"  │ {clean(line)}" for line in failure.log_tail[-LOG_LINES:]]
        return "\n".join(lines)

    def _changes(self, report: Report) -> str:
        parts = []
        for cause in words.causes(report):
            values = f"{clean(cause.base, 60)} → {clean(cause.head, 60)}" if cause.head else ""
            parts.append(" ".join(p for p in (clean(cause.name, 80), values, cause.detail) if p))
        more = len(parts) - 12
        shown = " · ".join(parts[:12]) + (f" · and {more} more" if more > 0 else "")
        return "\n".join(self.wrap(f"Changed: {shown}")) if parts else ""

    def _costs(self, report: Report) -> str:
        """What it cost, in a line a stage."""
        if report.base is not None and not any(cost.difference for cost in report.costs):
            return ""
        lines: dict[str, list[str]] = {}
        for cost in report.costs[:ROWS]:
            cell = words.cost_cells(cost)
            change = f" {cell.change}" if cell.change else ""
            where = " ".join(part for part in (cost.stage, cost.variant) if part)
            lines.setdefault(where, []).append(f"{clean(cell.label, 80)} {cell.head}{change}")
        return "\n".join(
            line
            for where, parts in lines.items()
            for line in self.wrap(f"{clean(where)}: {' · '.join(parts)}")
        )


def _width(line: str) -> int:
    """How long a line is on the screen, without its colours."""
    return len(re.sub(r"\x1b\[[0-9;]*m", "", line))


def _name(cell: words.Cells) -> str:
    parts = (clean(cell.label, 60), cell.arrow, clean(cell.variant, 40))
    return " ".join(part for part in parts if part)


def _evidence(cell: words.Cells) -> str:
    gates = [text if "gate" in text else f"gate: {text}" for text in cell.gates]
    return clean(" · ".join(part for part in (cell.evidence, *gates) if part), 200)
