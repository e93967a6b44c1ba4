"""The report as one HTML file that needs nothing else and asks nobody for anything.

Everything can be read without JavaScript: tables, and still images of the charts. The script adds
charts to zoom into, sorting, filters and the choice of a theme. A content security policy in the
page lets only the two scripts and the style that stand here be used, by their digests, and no
address be contacted. Every text of a file goes through `escape.clean` and Jinja's escaping,
whatever the template forgets (`finalize`), and no text of a file becomes a link, but for the https
addresses of waivers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from mcgitops.compare import numbers
from mcgitops.compare.model import (
    ClassChange,
    FactChange,
    MatrixPair,
    MetricChange,
    SliceChange,
)
from mcgitops.deferred import dataclass
from mcgitops.report import chart, markup, packing, past, words
from mcgitops.report.model import Report
from mcgitops.resources import templates

MOST_ROWS = 5_000
"""Of a table. A browser takes seconds for more."""
MOST_LABELS = 60
MOST_CHARTS = 200
MANY = 12
"""From so many rows or charts on there is a box to filter them."""
LONG = 40
"""From so many rows on a table scrolls within its own frame, and its header stays."""
LOG_LINES = 200
TABLE_POINTS = 11
MIDDLE_DOT = "\u00b7"

_TONES = {
    "failed": "bad",
    "gate failed": "bad",
    "warning": "warn",
    "worse": "warn",
    "better": "good",
    "unchanged": "good",
}
_VERDICTS = {"same": "unchanged"}
_VERDICT_TONES = {"worse": "warn", "missing": "warn", "better": "good"}
_GATE_VERDICTS = {
    "failed": ("gate failed", "bad"),
    "warned": ("gate warns", "warn"),
    "waived": ("gate waived", "warn"),
}
_RANKS = (
    "gate failed", "gate warns", "gate waived", "missing", "worse", "cannot tell", "changed",
    "better", "new", "no difference",
)  # fmt: skip


def render(report: Report) -> str:
    """The whole page. About 60 kB and what the report itself holds; of charts at most 3 MB."""
    pairs = report.plots or tuple(packing.pair_of(curve) for curve in report.curves)
    lines = [(pair, *packing.lines_of(pair)) for pair in pairs[:MOST_CHARTS]]
    lines = [(pair, base, head) for pair, base, head in lines if head.drawable]
    packed = packing.pack_all([(base, head) for _, base, head in lines])
    charts = [_chart(pair, base, head) for pair, base, head in lines]
    library, script = _text("vendor/uPlot.iife.min.js"), _text("report.js")
    style = _text("vendor/uPlot.min.css") + "\n" + _text("report.css")
    return markup.render(
        "report.html.j2",
        report=report,
        policy=_policy([library, script] if charts else [script], style),
        style=markup.raw(style),
        library=markup.raw(library) if charts else "",
        script=markup.raw(script),
        data=markup.raw(embedded(packed)),
        tone=_TONES.get(report.status, ""),
        sign=words.heading_sign(report),
        stages=words.stages(report),
        metrics=_metrics(report),
        charts=charts,
        classes=_classes(report.classes[:MOST_ROWS]),
        matrices=[_matrix(pair) for pair in report.matrices],
        slices=[_slice(change) for change in report.slices[:MOST_ROWS]],
        facts=[_fact(change) for change in report.facts],
        costs=[(cost, words.cost_cells(cost)) for cost in report.costs],
        ended=words.ENDED,
        many=MANY,
        long=LONG,
        most_rows=MOST_ROWS,
        log_lines=LOG_LINES,
    )


def embedded(data: Any) -> str:
    """JSON that can stand in a `script` element: nothing in it can end that, or begin a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return re.sub(r"[<>&\u2028\u2029]", lambda match: f"\\u{ord(match.group()):04x}", text)


# The page


def _policy(scripts: Sequence[str], style: str) -> str:
    allowed = " ".join(_source(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_source(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    """A source of a content security policy: the digest of an inline element's text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@lru_cache(maxsize=8)
def _text(name: str) -> str:
    text = templates("html", name).read_text(encoding="utf-8")
    # The text between the tags is what browsers hash: it must be the same to the letter.
    return text.replace("\r\n", "\n")


# Rows


@dataclass(frozen=True)
class MetricRow:
    """A metric: its cells, and what its badge says. `rank` sorts verdicts, worst last."""

    change: MetricChange
    cells: words.Cells
    verdict: str
    tone: str
    rank: int
    percent: float | None
    details: bool
    bars: str = ""
    past: str = ""


def _metrics(report: Report) -> list[MetricRow]:
    """The rows, with the course of earlier values where there is one."""
    changes = report.metrics[:MOST_ROWS]
    rows = [_metric(change) for change in changes]
    if (spark := past.sparks(report, changes)) is None:
        return rows
    told = past.in_words(report)
    return [
        replace(row, bars=bars, past=told(row.change)) if bars else row
        for row, bars in ((row, spark(row.change)) for row in rows)
    ]


def _metric(change: MetricChange) -> MetricRow:
    verdict = _VERDICTS.get(change.verdict, change.verdict)
    tone = _VERDICT_TONES.get(change.verdict, "")
    verdict, tone = _GATE_VERDICTS.get(change.gate_state, (verdict, tone))
    rank = _RANKS.index(verdict) if verdict in _RANKS else len(_RANKS)
    percent = change.percent
    if percent is not None and math.isnan(percent):
        percent = None
    many = len(change.base) > 1 or len(change.head) > 1
    has_intervals = change.base_interval is not None or change.head_interval is not None
    return MetricRow(
        change,
        words.metric_cells(change),
        verdict,
        tone,
        len(_RANKS) - rank,
        percent,
        many or has_intervals or len(change.tests) > 1,
    )


@dataclass(frozen=True)
class ClassTableView:
    """The classes of one report. `rows`: a class, and base, head and difference by metric."""

    title: str
    metrics: tuple[str, ...]
    rows: tuple[
        tuple[ClassChange, tuple[tuple[float | None, float | None, float | None], ...]], ...
    ]


def _classes(changes: Iterable[ClassChange]) -> list[ClassTableView]:
    by_table: dict[tuple[str, str, str], list[ClassChange]] = {}
    for change in changes:
        by_table.setdefault((change.stage, change.variant, change.source), []).append(change)
    views = []
    for key, rows in by_table.items():
        names = tuple(dict.fromkeys(name for row in rows for name in row.values))[:12]
        views.append(
            ClassTableView(
                f" {MIDDLE_DOT} ".join(part for part in key if part),
                names,
                tuple((row, tuple(_sides(row, name) for name in names)) for row in rows),
            )
        )
    return views


def _sides(row: ClassChange, name: str) -> tuple[float | None, float | None, float | None]:
    base, head = row.values.get(name, (None, None))
    return base, head, None if base is None or head is None else head - base


@dataclass(frozen=True)
class MatrixView:
    """A confusion matrix. A cell: the count, the base's or None, and its shade from 0 to 10."""

    title: str
    labels: tuple[str, ...]
    rows: tuple[tuple[tuple[float, float | None, int], ...], ...]
    has_base: bool
    left_out: int


def _matrix(pair: MatrixPair) -> MatrixView:
    head, base = pair.head, pair.base
    count = min(len(head.labels), MOST_LABELS)
    rows = []
    for i in range(count):
        counts = head.counts[i]
        total = math.fsum(abs(value) for value in counts if math.isfinite(value))
        rows.append(
            tuple(
                (counts[j], base.counts[i][j] if base else None, _shade(counts[j], total))
                for j in range(count)
            )
        )
    parts = (pair.stage, pair.variant, head.source)
    return MatrixView(
        f" {MIDDLE_DOT} ".join(part for part in parts if part),
        head.labels[:count],
        tuple(rows),
        base is not None,
        len(head.labels) - count,
    )


def _shade(value: float, total: float) -> int:
    """The share of its row, in tenths; whatever there is has a shade."""
    if not (math.isfinite(value) and value > 0 and total > 0):
        return 0
    return min(10, max(1, round(10 * value / total)))


@dataclass(frozen=True)
class SliceRow:
    """A slice, and the badge of its verdict."""

    change: SliceChange
    verdict: str
    tone: str
    difference: float | None


def _slice(change: SliceChange) -> SliceRow:
    difference = None
    if change.base is not None and change.head is not None:
        difference = change.head - change.base
    return SliceRow(
        change,
        _VERDICTS.get(change.verdict, change.verdict),
        _VERDICT_TONES.get(change.verdict, ""),
        difference,
    )


@dataclass(frozen=True)
class FactRow:
    """Something else that went into the runs, with its files: (path, how, before, after)."""

    change: FactChange
    base: str
    head: str
    files: tuple[tuple[str, str, str, str], ...]
    more: int


def _fact(change: FactChange) -> FactRow:
    files = change.files
    rows: list[tuple[str, str, str, str]] = []
    more = 0
    if files is not None:
        kinds = ((files.changed, "changed"), (files.added, "added"), (files.removed, "removed"))
        for paths, kind in kinds:
            for path in paths:
                before, after = files.sizes.get(path, (None, None))
                rows.append((path, kind, numbers.size(before), numbers.size(after)))
        more = files.count - len(rows)
    return FactRow(change, _brief(change.base), _brief(change.head), tuple(rows), more)


def _brief(text: str) -> str:
    """A digest by its first digits; nothing by a dash."""
    if re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        return text[:19]
    return text or "–"


@dataclass(frozen=True)
class ChartView:
    """A chart before the script draws it: a still image, and a table of some of its points."""

    title: str
    stage: str
    x: str
    has_base: bool
    text: str
    image: chart.Still
    points: tuple[tuple[str, str, str], ...]
    count: int


def _chart(pair: Any, base: packing.Line, head: packing.Line) -> ChartView:
    return ChartView(
        title=pair.series,
        stage=f"{pair.stage} {MIDDLE_DOT} {pair.plot}",
        x=pair.x,
        has_base=base.drawable,
        text=chart.in_words(pair.x, base, head),
        image=chart.still(base, head),
        points=tuple(chart.points(base, head, TABLE_POINTS)),
        count=max(len(base.xs), len(head.xs)),
    )
