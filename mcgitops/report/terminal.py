"""The report for a terminal: tables where it is wide, lines where it is narrow.

Signs and colour only repeat what the words say. Control characters of names and values are gone
before anything is printed, and no line is wider than the terminal, whatever a character's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from mcgitops.compare import numbers
from mcgitops.compare.model import Failure, MetricChange
from mcgitops.report import breakdown, curves, escape, layout, words
from mcgitops.report.model import Report
from mcgitops.report.past import sparks
from mcgitops.report.text import Text

WIDE = 100
LEAST = 40
ROWS = 60
PARTS_ROWS = 8
"""Rows of classes, slices and confusions."""
CURVES = 6
LOG_LINES = 20
LAST_COLUMN = 36
"""The evidence's column is at least so wide, or there is no table."""

_SIGNS = {
    words.RED: "✖", words.ORANGE: "!", words.YELLOW: "~", words.GREEN: "✔", words.WHITE: "·",
}  # fmt: skip
_COLOURS = {
    words.RED: "31", words.ORANGE: "33", words.YELLOW: "33", words.GREEN: "32", words.WHITE: "2",
}  # fmt: skip
_WAYS = {breakdown.WORSE: words.ORANGE, breakdown.BETTER: words.GREEN}


def render(report: Report, *, width: int = WIDE, color: bool = False) -> str:
    """The report as text for a terminal of that width, of at least 40 cells."""
    view = _View(max(width, LEAST), color)
    sign = words.heading_sign(report)
    title = f"{_SIGNS[sign]} {clean(report.project)}: {clean(report.headline, 300)}"
    lines = [view.paint(line, _COLOURS[sign], bold=True) for line in view.wrap(title)]
    lines += view.wrap(_subtitle(report))
    return _page("\n".join(lines), view.sections(report))


def render_metrics(
    report: Report, *, width: int = WIDE, color: bool = False, everything: bool = False
) -> str:
    """Only the metrics: all of them, or those that changed and how many didn't."""
    view = _View(max(width, LEAST), color)
    return _page("\n".join(view.wrap(_subtitle(report))), view.metrics_only(report, everything))


def _page(heading: str, sections: Sequence[str]) -> str:
    """Sections apart by an empty line. No template: the engine of those is slow to start."""
    return "\n\n".join((heading, *filter(None, sections))).strip("\n") + "\n"


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

    def wrap(self, text: str, indent: str = "", hanging: str | None = None) -> list[str]:
        return layout.wrap(text, self.width, indent, hanging)

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
        return "\n".join(self.paint(line, _COLOURS[words.RED]) for line in self.wrap(text))

    def sections(self, report: Report) -> list[str]:
        shown = [change for change in report.metrics if change.is_changed or report.base is None]
        first, rest = words.leading(shown) if report.base is not None else (shown, [])
        more = f"{words.count(len(rest), 'more changed metric')}: mcgitops metrics diff"
        return [
            self._failures(report),
            self._metrics(report, first),
            "\n".join(self.wrap(more)) if rest else "",
            self._unchanged(report),
            self._gates(report),
            self._waivers(report),
            self._changes(report),
            self._parts(
                "Per class", breakdown.class_tables(report.classes),
                breakdown.class_summary(report.classes) if report.classes else (),
            ),
            self._parts(
                "Slices", breakdown.slice_tables(report.slices),
                breakdown.slice_summary(report.slices) if report.slices else (),
            ),
            self._parts(
                "Confusion", breakdown.matrix_tables(report.matrices),
                breakdown.matrix_summary(report.matrices) if report.matrices else (),
            ),
            self._intervals(report),
            self._curves(report),
            self._costs(report),
            self._artifacts(report),
            self._lineage(report),
            self._warnings(report),
            self._footer(report),
        ]  # fmt: skip

    def _unchanged(self, report: Report) -> str:
        if report.base is None:
            return ""
        quiet = [change for change in report.metrics if not change.is_changed]
        alike = sum(change.verdict != "same" for change in quiet)
        parts = []
        if len(quiet) > alike:
            parts.append(f"{words.count(len(quiet) - alike, 'metric')} unchanged")
        if alike:
            parts.append(f"{words.count(alike, 'metric')} without a difference that matters")
        return "\n".join(self.wrap(", ".join(parts)))

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
            cells += [words.cost_cells(cost, report) for cost in words.notable_costs(report)[:10]]
        if not cells:
            return ""
        has_base = report.base is not None
        spark = sparks(report, changes[:most])
        bars = [spark(change) for change in changes[:most]] if spark else []
        bars += [""] * (len(cells) - len(bars)) if spark else []
        lines = self._table(cells, bars, has_base)
        lines = lines or (self._table(cells, (), has_base) if bars else [])
        lines = lines or self._lines(cells, bars, has_base)
        more = len(changes) - most
        return "\n".join((*lines, f"and {words.count(more, 'metric')} more") if more > 0 else lines)

    def _table(
        self, cells: Sequence[words.Cells], bars: Sequence[str], has_base: bool
    ) -> list[str]:
        """A table; its last column is wrapped. [] where the terminal is too narrow for one."""
        if self.width < WIDE:
            return []
        rows = []
        for cell in cells:
            row = [self._sign(cell.sign), _name(cell), clean(cell.base, 40), clean(cell.head, 40)]
            row += [cell.change, _evidence(cell)]
            rows.append(row if has_base else [*row[:2], row[3], row[5]])
        headers = ["", "metric", "base", "head", "change", ""]
        align = ["left", "left", "right", "right", "right", "left"]
        if not has_base:
            headers, align = ["", "metric", "value", ""], ["left", "left", "right", "left"]
        if bars:
            headers, align = [*headers[:2], "history", *headers[2:]], ["left", *align]
            rows = [[*row[:2], bar, *row[2:]] for row, bar in zip(rows, bars, strict=True)]
        return layout.table(headers, rows, align, self.width, LAST_COLUMN)

    def _lines(
        self, cells: Sequence[words.Cells], bars: Sequence[str], has_base: bool
    ) -> list[str]:
        lines: list[str] = []
        for cell, bar in zip(cells, bars or [""] * len(cells), strict=True):
            values = clean(cell.head, 40)
            if has_base:
                values = f"{clean(cell.base, 40)} → {values}"
            first, *rest = self.wrap(f"{_SIGNS[cell.sign]} {_name(cell)} {values}", "", "  ")
            lines += [self.paint(first, _COLOURS[cell.sign]), *rest]
            past = f"history {bar}" if bar else ""
            detail = " · ".join(part for part in (cell.change, past, _evidence(cell)) if part)
            if detail and (has_base or cell.gates):
                lines += self.wrap(detail if has_base else _evidence(cell), "    ")
        return lines

    def _sign(self, sign: str) -> str:
        return self.paint(_SIGNS[sign], _COLOURS[sign])

    def _gates(self, report: Report) -> str:
        """The gates without a metric of their own."""
        first = words.leading(report.metrics)[0] if report.base else report.metrics
        shown = {gate for change in first[:ROWS] for gate in change.gates}
        lines: list[str] = []
        for gate in report.gates:
            if gate.state not in words.SPEAKING or gate in shown:
                continue
            sign = words.GATE_SIGNS[gate.state]
            text = f"{clean(gate.metric)}: {clean(gate.text)} (gate: {clean(gate.bound)})"
            lines += [
                self.paint(line, _COLOURS[sign])
                for line in self.wrap(f"{_SIGNS[sign]} {text}", "", "  ")
            ]
        return "\n".join(lines[:ROWS])

    def _waivers(self, report: Report) -> str:
        lines: list[str] = []
        for waiver in report.waivers[:PARTS_ROWS]:
            what = "all gates are" if waiver.gate == "*" else f"{clean(waiver.gate, 80)} is"
            text = f"~ {what} waived by {clean(waiver.by, 80)} with a {waiver.how}"
            text += f": {clean(waiver.reason)}" if waiver.reason else ""
            lines += self.wrap(text, "", "  ")
        return "\n".join(lines)

    def _failures(self, report: Report) -> str:
        lines: list[str] = []
        for failure in report.failures[:5]:
            lines.append(self._ended(failure))
            for line in failure.log_tail[-LOG_LINES:]:
                text = clean(line)
                room = self.width - 4
                # a log's line keeps its blanks where it fits
                fits = layout.width(text) <= room
                lines += [f"  │ {text}"] if fits else self.wrap(text, "  │ ")
        return "\n".join(lines)

    def _changes(self, report: Report) -> str:
        parts = []
        for cause in words.causes(report):
            values = f"{clean(cause.base, 60)} → {clean(cause.head, 60)}" if cause.head else ""
            parts.append(" ".join(p for p in (clean(cause.name, 80), values, cause.detail) if p))
        more = len(parts) - 12
        shown = " · ".join(parts[:12]) + (f" · and {more} more" if more > 0 else "")
        return "\n".join(self.wrap(f"Changed: {shown}")) if parts else ""

    def _parts(self, name: str, tables: Sequence[breakdown.Table], summary: Text) -> str:
        """The summary of classes, slices or confusions, and the first rows of each table."""
        if not tables:
            return ""
        lines = self.wrap(f"{name}: {_text(summary)}")
        for table in tables[:2]:
            if len(tables) > 1:
                lines += self.wrap(f"{_text(table.title)}:", "  ")
            lines += self._rows(table, table.rows[:PARTS_ROWS])
            if len(table.rows) > PARTS_ROWS:
                lines.append(f"  and {len(table.rows) - PARTS_ROWS:,} more")
        return "\n".join(lines)

    def _rows(self, table: breakdown.Table, rows: Sequence[breakdown.Row]) -> list[str]:
        """As a table where it fits, else a few lines a row."""
        headers = [_text(header) for header in table.headers]
        cells = [[_text(cell) for cell in row.cells] for row in rows]
        align = ["left" if i < table.left else "right" for i in range(len(headers))]
        least = 0
        if headers[-1] == "evidence":
            align[-1], least = "left", LAST_COLUMN
        signs = [self._sign(_WAYS[row.way]) if row.way else "" for row in rows]
        if any(signs):
            headers, align = ["", *headers], ["left", *align]
            cells = [[sign, *row] for sign, row in zip(signs, cells, strict=True)]
        if shown := layout.table(headers, cells, align, self.width - 2, least):
            return [f"  {line}" for line in shown]
        first = 2 if any(signs) else 1
        lines: list[str] = []
        for row in cells:
            pairs = zip(headers[first:], row[first:], strict=True)
            told = " · ".join(f"{header} {cell}" for header, cell in pairs if cell)
            name = " ".join(part for part in row[:first] if part)
            lines += self.wrap(f"{name}: {told}", "  ", "    ")
        return lines

    def _curves(self, report: Report) -> str:
        """The curves that moved, as sparklines."""
        moved = curves.charts(report, CURVES)
        lines = [curves.line(curve, 24 if self.width >= WIDE else 12) for curve in moved]
        rows = []
        for line in lines:
            name = f"{clean(line.curve.series, 40)} by {clean(line.curve.x, 20)}"
            base = f"base {line.base} {line.last_base}" if line.base else ""
            rows.append([name, base, f"head {line.head} {line.last_head}"])
        shown = layout.table(["", "", ""], rows, ["left"] * 3, self.width)[1:] if rows else []
        if rows and not shown:
            shown = [
                line for row in rows for part in row if part
                for line in self.wrap(part, "" if part is row[0] else "  ")
            ]  # fmt: skip
        return "\n".join(shown)

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

    def _intervals(self, report: Report) -> str:
        """The means' intervals, and every test, where there is more than the deciding one."""
        telling = (c for c in report.metrics if c.verdict != "same" and c.has_evidence)
        shown = list(islice(telling, PARTS_ROWS))
        lines = []
        for change in shown:
            sides = (
                (change.base_mean, change.base_interval),
                (change.head_mean, change.head_interval),
            )
            told = [breakdown.interval(mean, bounds) for mean, bounds in sides if mean is not None]
            tests = [clean(words.test(test), 300) for test in change.tests[:5]]
            text = " · ".join([" → ".join(told), *tests])
            lines += self.wrap(f"{clean(change.label, 60)}: {text}", "  ", "    ")
        if not lines:
            return ""
        level = words.levels(shown)
        means = f", in brackets {level} intervals of the mean over the runs" if level else ""
        return "\n".join((*self.wrap(f"Intervals and tests{means}:"), *lines))

    def _artifacts(self, report: Report) -> str:
        """Those that aren't the base's, with the command that brings them."""
        found = [a for a in report.artifacts if report.base is None or a.state != "same"]
        lines = []
        for artifact in found[:PARTS_ROWS]:
            before, after = (numbers.size(s) for s in (artifact.base_size, artifact.head_size))
            size = (
                f"{before} → {after}" if before and after and before != after else after or before
            )
            digest = clean(artifact.head_digest or artifact.base_digest)[:19]
            state = "" if report.base is None else artifact.state
            parts = (clean(artifact.path, 80), state, size, digest)
            lines += self.wrap(" ".join(part for part in parts if part), "  ", "    ")
        if len(found) > PARTS_ROWS:
            lines.append(f"  and {len(found) - PARTS_ROWS:,} more")
        if lines:
            lines.insert(0, "Artifacts:")
        if report.fetch:
            lines += self.wrap(f"Get the artifacts: {clean(report.fetch)}")
        return "\n".join(lines)

    def _lineage(self, report: Report) -> str:
        """What the selected runs were made from: image, earlier stages, data, commit."""
        lines: list[str] = []
        if not words.is_quiet(report):
            for made in report.lineage[:PARTS_ROWS]:
                image = clean(made.image_digest)[:19] or clean(made.image, 80)
                parts = [clean(made.run), f"image {image}"]
                parts += [f"{clean(name)} {clean(run[:12])}" for name, run in made.upstream.items()]
                data = list(made.inputs.items())
                read = [f"{clean(name, 80)} {clean(sha[:19])}" for name, sha in data[:3]]
                parts += [f"data {read[0]}", *read[1:]] if read else []
                parts += [f"{len(data) - 3} more"] if len(data) > 3 else []
                parts += [f"commit {clean(made.commit[:12])}"] if made.commit else []
                lines += self.wrap(" ← ".join(parts), "  ", "    ")
            lines = ["Lineage:", *lines] if lines else []
        for made in report.lineage:
            if made.selection:
                lines += self.wrap(f"Selected: {clean(made.run)}, {clean(made.selection)}")
        return "\n".join(lines)

    def _warnings(self, report: Report) -> str:
        lines = [
            line for text in report.warnings[:10] for line in self.wrap(f"! {clean(text, 300)}")
        ]
        more = len(report.warnings) - 10
        return "\n".join(
            (*lines, f"and {words.count(more, 'more warning')}") if more > 0 else lines
        )

    def _footer(self, report: Report) -> str:
        lines = []
        if report.reproduce:
            lines += self.wrap(f"Reproduce: {clean(report.reproduce)}")
        if report.full_report:
            lines += self.wrap(f"Full report: {clean(report.full_report, 4000)}")
        return "\n".join(lines)


def clean(text: str, limit: int = 200) -> str:
    """One line of visible characters whose widths are known."""
    return layout.steady(escape.clean(text, limit))


def _text(pieces: Text) -> str:
    """Pieces of text without any markup."""
    return "".join(clean(piece, 80) if type(piece) is not str else piece for piece in pieces)


def _name(cell: words.Cells) -> str:
    parts = (clean(cell.label, 60), cell.arrow, clean(cell.variant, 40))
    return " ".join(part for part in parts if part)


def _evidence(cell: words.Cells) -> str:
    gates = [text if "gate" in text else f"gate: {text}" for text in cell.gates]
    return clean(" · ".join(part for part in (cell.evidence, *gates) if part), 200)
