"""The report as Markdown for a pull request's comment and a job's summary.

Verdict first, then what changed, worst first. Each section knows shorter forms of itself; within a
budget the least valuable sections give way first, whole or by rows, so that the text is never cut
in the middle of something.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mcgitops.compare import numbers
from mcgitops.compare.model import Curve, GateResult, MetricChange
from mcgitops.report import words
from mcgitops.report.escape import code, mermaid, ours, plain, prose
from mcgitops.report.model import Report
from mcgitops.report.templates import render as template

BUDGET = 60_000
"""Characters. GitHub refuses a comment over 65,536."""
ROWS = 40
FOLDED_ROWS = 200
PARTS = 8
LOG_LINES = 30
NUMBER = r"[+−]?[0-9][0-9.,]*(e[+−][0-9]+)?"

_SIGNS = {"failed": words.RED, "warned": words.ORANGE}


@dataclass(frozen=True)
class Section:
    """A part of the text. `forms` are ever shorter; the last may be ""."""

    name: str
    value: int  # the greater, the longer it stays
    forms: tuple[Callable[[], str], ...]


def render(report: Report, budget: int = BUDGET) -> str:
    """The report in at most `budget` characters (as UTF-16 counts them, to be safe)."""
    sections = _sections(report)
    used = [0] * len(sections)
    texts = [section.forms[0]() for section in sections]
    while True:
        left_out = [
            s.name for s, form, text in zip(sections, used, texts, strict=True) if form and not text
        ]
        footer = template("markdown/footer.md.j2", report=report, left_out=left_out)
        shown = [text for text in (*texts, footer if report.reproduce or left_out else "") if text]
        result = "\n\n".join(shown) + "\n"
        if length(result) <= budget:
            return result
        shorter = [i for i, s in enumerate(sections) if used[i] + 1 < len(s.forms) and texts[i]]
        if not shorter:
            return result  # a few thousand characters at most: every form is its shortest
        index = min(shorter, key=lambda i: sections[i].value)
        used[index] += 1
        texts[index] = sections[index].forms[used[index]]()


def length(text: str) -> int:
    """Characters as JavaScript counts them: an emoji is two."""
    return len(text.encode("utf-16-le")) // 2


def _sections(report: Report) -> list[Section]:
    shown = [change for change in report.metrics if change.is_changed] if report.base else []
    same = [change for change in report.metrics if not change.is_changed]
    first, rest = words.leading(shown)
    first, rest = first[:ROWS], [*first[ROWS:], *rest]
    sections = [Section("heading", 100, (lambda: _heading(report),))]

    def add(name: str, value: int, *forms: Callable[[], str]) -> None:
        sections.append(Section(name, value, forms))

    def nothing() -> str:
        return ""

    if report.failures:
        add(
            "failures",
            80,
            *(lambda n=n: _failures(report, n) for n in (LOG_LINES, 10, 0)),
            nothing,
        )
    if report.base is None:
        count = len(report.metrics)
        add(
            "metrics",
            90,
            *(lambda n=n: _values_table(report.metrics[:n], count) for n in (ROWS, 10, 3)),
            nothing,
        )
    elif first or words.notable_costs(report):
        add(
            "metrics",
            90,
            *(lambda n=n: _table(report, first[:n], len(first)) for n in (ROWS, 20, 10, 3)),
            nothing,
        )
    if loose := _loose_gates(report):
        add("gates", 85, *(lambda n=n: _gates(loose, n) for n in (20, 3)), nothing)
    if parts := _changes(report):
        add("what changed", 70, *(lambda n=n: _changed(parts, n) for n in (PARTS, 3)), nothing)
    if curve := _first_curve(report):
        add("the curve", 50, lambda: _curve(curve), nothing)
    if report.warnings:
        add("warnings", 60, *(lambda n=n: _warnings(report, n) for n in (10, 3)), nothing)
    if rest:
        add(
            "more changes",
            40,
            *(lambda n=n: _more(rest, n) for n in (FOLDED_ROWS, 50)),
            nothing,
        )
    if len(parts) > PARTS:
        add("parameters", 38, lambda: _fold("All that changed", _bullets(parts)), nothing)
    if same and report.base:
        add("unchanged metrics", 20, lambda: _unchanged(same), nothing)
    if report.costs:
        add("time, memory, sizes", 30, lambda: _costs(report), nothing)
    if report.artifacts:
        add("artifacts", 25, lambda: _artifacts(report), nothing)
    return sections


def _heading(report: Report) -> str:
    return template(
        "markdown/heading.md.j2",
        report=report,
        sign=words.heading_sign(report),
        stages=words.stages(report),
    )


def _table(report: Report, changes: Sequence[MetricChange], total: int) -> str:
    rows = [_row(words.metric_cells(change)) for change in changes]
    rows += [_row(words.cost_cells(cost)) for cost in words.notable_costs(report)[:10]]
    table = pipe(
        ("", "metric", "base", "head", "change", "evidence"),
        rows,
        ("center", "left", "right", "right", "right", "left"),
    )
    if len(changes) < total:
        table += f"\n\nand {words.count(total - len(changes), 'changed metric')} more"
    return table


def _row(cells: words.Cells) -> tuple[str, ...]:
    name = plain(cells.label)
    if any("gate" in gate for gate in cells.gates):
        name = f"**{name}**" if not name.startswith("`") else name
    name = " ".join(
        part for part in (name, cells.arrow, code(cells.variant) if cells.variant else "") if part
    )
    show = code if cells.is_text else ours
    evidence = [prose(cells.evidence)] if cells.evidence else []
    evidence += [_gate_cell(gate) for gate in cells.gates]
    return (
        cells.sign,
        name,
        show(cells.base) if cells.base != "–" else "–",
        show(cells.head) if cells.head != "–" else "–",
        ours(cells.change),
        " · ".join(evidence),
    )


def _gate_cell(text: str) -> str:
    """A gate that has something to say is bold; one that passed is only named."""
    return f"**{prose(text)}**" if "gate" in text else f"gate: {prose(text)}"


def _values_table(changes: Sequence[MetricChange], total: int) -> str:
    if not changes:
        return ""
    rows: list[tuple[str, ...]] = []
    for change in changes:
        row = _row(words.metric_cells(change))
        rows.append((row[0], row[1], row[3], row[5]))
    headers: tuple[str, ...] = ("", "metric", "value", "")
    align: tuple[str, ...] = ("center", "left", "right", "left")
    if all(row[0] == words.WHITE for row in rows):
        rows, headers, align = [row[1:] for row in rows], headers[1:], align[1:]
    table = pipe(headers, rows, align)
    if len(changes) < total:
        table += f"\n\nand {words.count(total - len(changes), 'metric')} more"
    return table


def _loose_gates(report: Report) -> list[GateResult]:
    """Gates that failed or warn without a row in the table."""
    first = (words.leading(report.metrics)[0] if report.base else report.metrics)[:ROWS]
    shown = {gate for change in first for gate in change.gates}
    return [g for g in report.gates if g.state in _SIGNS and g not in shown]


def _gates(gates: Sequence[GateResult], most: int) -> str:
    more = len(gates) - most
    return template(
        "markdown/gates.md.j2",
        gates=gates[:most],
        sign=_SIGNS,
        more=f"{words.count(more, 'gate')} more" if more > 0 else "",
    )


def _failures(report: Report, lines: int) -> str:
    most = 3
    more = len(report.failures) - most
    return template(
        "markdown/failures.md.j2",
        failures=report.failures[:most],
        ended=words.ENDED,
        lines=lines,
        more=f"{words.count(more, 'more run')} failed" if more > 0 else "",
    )


def _changes(report: Report) -> list[str]:
    return [
        " ".join(
            part
            for part in (
                plain(cause.name),
                f"{_value(cause.base)} → {_value(cause.head)}" if cause.head else "",
                cause.detail,
            )
            if part
        )
        for cause in words.causes(report)
    ]


def _value(text: str) -> str:
    """A parameter's value: numbers and our own words as they are."""
    return ours(text) if text == words.NOTHING or re.fullmatch(NUMBER, text) else code(text)


def _changed(parts: Sequence[str], most: int) -> str:
    return template("markdown/changed.md.j2", parts=parts[:most], more=max(len(parts) - most, 0))


def _bullets(parts: Sequence[str]) -> str:
    more = len(parts) - FOLDED_ROWS
    lines = [f"- {part}" for part in parts[:FOLDED_ROWS]]
    return "\n".join((*lines, f"- and {more} more") if more > 0 else lines)


def _first_curve(report: Report) -> Curve | None:
    """The most telling curve: with a base if any has one, and neither flat nor beyond drawing."""
    drawable = [curve for curve in report.curves if _is_drawable(curve)]
    moved = [curve for curve in drawable if curve.base and curve.base != curve.head]
    if report.base is not None:
        return moved[0] if moved else None
    return drawable[0] if drawable else None


def _is_drawable(curve: Curve) -> bool:
    values = (*curve.base, *curve.head)
    low, high = min(values), max(values)
    return max(abs(low), abs(high)) < 1e12 and high - low > 1e-9 and abs(curve.xs[-1]) < 1e12


def _curve(curve: Curve) -> str:
    """A Mermaid chart. It takes only finite fixed-point numbers, and has no legend."""
    values = (*curve.base, *curve.head)
    decimals = max(0, 3 - math.floor(math.log10(max(values) - min(values))))
    # Mermaid's own first colour is nearly white, and it has no legend
    who = "base (grey), head (blue)" if curve.base else "head"
    palette = ("#8c959f, " if curve.base else "") + "#0969da"
    lines = [curve.base, curve.head] if curve.base else [curve.head]
    return template(
        "markdown/curve.md.j2",
        palette=palette,
        title=f"{mermaid(curve.series)} by {mermaid(curve.x)}: {who}",
        low=_fixed(curve.xs[0], 4),
        high=_fixed(curve.xs[-1], 4),
        lines=[[_fixed(value, decimals) for value in line] for line in lines],
    )


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{min(decimals, 12)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _warnings(report: Report, most: int) -> str:
    return template(
        "markdown/warnings.md.j2",
        warnings=report.warnings[:most],
        more=max(len(report.warnings) - most, 0),
    )


def _more(changes: Sequence[MetricChange], most: int) -> str:
    rows = [_row(words.metric_cells(change)) for change in changes[:most]]
    table = pipe(
        ("", "metric", "base", "head", "change", "evidence"),
        rows,
        ("center", "left", "right", "right", "right", "left"),
    )
    if len(changes) > most:
        table += f"\n\nand {len(changes) - most:,} more"
    return _fold(_more_summary(changes), table)


def _more_summary(changes: Sequence[MetricChange]) -> str:
    if all(change.verdict == "cannot tell" for change in changes):
        verb = "differs" if len(changes) == 1 else "differ"
        return f"{words.count(len(changes), 'more metric')} {verb}; cannot tell if it is noise"
    return words.count(len(changes), "more changed metric")


def _unchanged(changes: Sequence[MetricChange]) -> str:
    rows = []
    for change in changes[:FOLDED_ROWS]:
        row = _row(words.metric_cells(change))
        rows.append((row[1], row[3], row[5]))
    table = pipe(("metric", "value", ""), rows, ("left", "right", "left"))
    if len(changes) > FOLDED_ROWS:
        table += f"\n\nand {len(changes) - FOLDED_ROWS:,} more"
    return _fold(f"{words.count(len(changes), 'metric')} unchanged", table)


def _costs(report: Report) -> str:
    rows = []
    for cost in report.costs[:FOLDED_ROWS]:
        cells = words.cost_cells(cost)
        stage = plain(cost.stage) + (f" {code(cost.variant)}" if cost.variant else "")
        numbers_ = (ours(text) for text in (cells.base or "–", cells.head, cells.change))
        rows.append((stage, plain(cells.label), *numbers_))
    table = pipe(
        ("stage", "", "base", "head", "change"), rows, ("left", "left", "right", "right", "right")
    )
    return _fold("Time, memory, sizes", table)


def _artifacts(report: Report) -> str:
    rows = []
    for artifact in report.artifacts[:FOLDED_ROWS]:
        digest = artifact.head_digest or artifact.base_digest
        size = artifact.head_size if artifact.head_size is not None else artifact.base_size
        rows.append(
            (
                plain(artifact.path),
                plain(artifact.stage),
                "" if report.base is None else artifact.state,
                numbers.size(size),
                code(digest[:19]),
            )
        )
    table = pipe(
        ("artifact", "stage", "", "size", "content"),
        rows,
        ("left", "left", "left", "right", "left"),
    )
    if len(report.artifacts) > FOLDED_ROWS:
        table += f"\n\nand {len(report.artifacts) - FOLDED_ROWS:,} more"
    body = template("markdown/artifacts.md.j2", table=table, lineage=report.lineage[:20])
    return _fold("Artifacts and lineage", body)


def _fold(summary: str, body: str) -> str:
    return template("markdown/fold.md.j2", summary=summary, body=body)


def pipe(headers: Sequence[str], rows: Sequence[Sequence[str]], align: Sequence[str]) -> str:
    """A Markdown table. Its padding goes: it would cost a third of the budget."""
    from tabulate import tabulate

    table = tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)
    head, rule, *body = table.split("\n")
    rule = re.sub("-{3,}", "--", rule)
    # No cell holds two blanks in a row (`escape.clean` sees to it), so this is padding.
    return "\n".join(re.sub(" {2,}", " ", line) for line in (head, rule, *body))
