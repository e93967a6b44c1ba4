"""The report as Markdown for a pull request's comment and a job's summary.

Verdict first, then what changed, worst first; what only some will read is folded, under a line that
tells the most important of it. Each section knows shorter forms of itself; within a budget the
least valuable sections give way first, whole or by rows, so that the text is never cut in the
middle of something. Where nothing that matters changed, all of it is folded under one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from mcgitops.compare import numbers
from mcgitops.compare.model import GateResult, MetricChange
from mcgitops.deferred import dataclass
from mcgitops.report import breakdown, mermaid, pipes, words
from mcgitops.report import curves as telling
from mcgitops.report.breakdown import Table
from mcgitops.report.escape import code, html_piece, link, ours, plain, prose
from mcgitops.report.model import Report
from mcgitops.report.pipes import pipe
from mcgitops.report.templates import render as template
from mcgitops.report.text import Name, Sentence, Text

BUDGET = 60_000
"""Characters. GitHub refuses a comment over 65,536."""
ROWS = 40
FOLDED_ROWS = 200
PARTS = 8
LOG_LINES = 30
CHARTS = 3
"""Curves as charts: the first is seen, the others are folded; the rest are sparklines."""
TABLES = 4
WAIVABLE = 3
LONGEST_LABEL = 50
"""Characters. GitHub makes no label of more."""
LONGEST_NAME = 150
"""Of a gate whose waiver is written out."""
NUMBER = r"[+−]?[0-9][0-9.,]*(e[+−][0-9]+)?"


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
        result = _assembled(report, [*texts, _footer(report, left_out)])
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


def _assembled(report: Report, texts: Sequence[str]) -> str:
    heading, *rest = [text for text in texts if text]
    if rest and words.is_quiet(report):
        return _fold(_quiet_heading(report), "\n\n".join(rest)) + "\n"
    return "\n\n".join((heading, *rest)) + "\n"


def _sections(report: Report) -> list[Section]:
    shown = [change for change in report.metrics if change.is_changed] if report.base else []
    same = [change for change in report.metrics if not change.is_changed]
    first, rest = words.leading(shown)
    first, rest = first[:ROWS], [*first[ROWS:], *rest]
    sections = [Section("heading", 100, (lambda: _heading(report),))]

    def add(name: str, value: int, *forms: Callable[[], str], whole: bool = False) -> None:
        sections.append(Section(name, value, forms if whole else (*forms, lambda: "")))

    if report.failures:
        add("failures", 80, *(lambda n=n: _failures(report, n) for n in (LOG_LINES, 10, 0)))
    if report.base is None:
        count = len(report.metrics)
        forms = (lambda n=n: _values_table(report.metrics[:n], count) for n in (ROWS, 10, 3))
        add("metrics", 90, *forms)
    elif first or words.notable_costs(report):
        add(
            "metrics",
            90,
            *(lambda n=n: _table(report, first[:n], len(first)) for n in (ROWS, 20, 10, 3)),
        )
    if loose := _loose_gates(report):
        add("gates", 85, *(lambda n=n: _gates(loose, n) for n in (20, 3)))
    if report.waivers:
        add("waivers", 83, *(lambda n=n: _waivers(report, n) for n in (10, 3)))
    if parts := _changes(report):
        add("what changed", 70, *(lambda n=n: _changed(parts, n) for n in (PARTS, 3)))
    charts = telling.charts(report, CHARTS)
    if charts:
        add("the curve", 50, lambda: mermaid.chart(charts[0]))
    if report.warnings:
        add("warnings", 60, *(lambda n=n: _warnings(report, n) for n in (10, 3)))

    if tables := breakdown.class_tables(report.classes):
        summary = breakdown.class_summary(report.classes)
        add("classes", 48, *_tables("Per class", summary, tables, (100, 20, 5)))
    if tables := breakdown.slice_tables(report.slices):
        summary = breakdown.slice_summary(report.slices)
        add("slices", 46, *_tables("Slices", summary, tables, (60, 20, 5)))
    if tables := breakdown.matrix_tables(report.matrices):
        summary = breakdown.matrix_summary(report.matrices)
        add("confusion matrices", 36, *_tables("Confusion", summary, tables, (100, 10)))
    if rest:
        add("more changes", 40, *(lambda n=n: _more(report, rest, n) for n in (FOLDED_ROWS, 50)))
    if len(parts) > PARTS:
        add("parameters", 38, lambda: _fold("All that changed", _bullets(parts)))
    if files := _file_rows(report):
        add("files", 37, *(lambda n=n: _files(report, files, n) for n in (100, 20)))
    if evidence := [change for change in report.metrics if _has_evidence(change)]:
        add("evidence", 34, *(lambda n=n: _evidence(evidence, n) for n in (60, 15)))
    if len(report.curves) > len(charts[:1]):
        add("more curves", 22, lambda: _more_curves(report, True), lambda: _more_curves(report))
    if same and report.base:
        add("unchanged metrics", 20, lambda: _unchanged(same))
    if report.costs:
        add("time, memory, sizes", 30, lambda: _costs(report))
    if report.artifacts:
        linked = (lambda n=n: _artifacts(report, n, linked=True) for n in (FOLDED_ROWS, 20))
        add("artifacts", 25, *linked, lambda: _artifacts(report, 20, linked=False))
    return sections


def _heading(report: Report) -> str:
    return template(
        "markdown/heading.md.j2",
        report=report,
        sign=words.heading_sign(report),
        quiet=words.is_quiet(report),
        stages=words.stages(report),
    )


def _quiet_heading(report: Report) -> str:
    """The heading as a fold's summary, which is HTML."""
    parts: list[str] = [f"{words.heading_sign(report)} ", Sentence(report.project), ": "]
    parts += [Sentence(report.headline), " · ", Name(words.revision(report.head))]
    if report.base is not None:
        parts += [" against ", Name(words.revision(report.base))]
        parts += [" (", Sentence(report.base.why), ")"] if report.base.why else []
    parts += [f" · {part}" for part in words.stages(report)]
    return _html(parts)


def _footer(report: Report, left_out: Sequence[str]) -> str:
    parts = [f"Reproduce: {code(report.reproduce, 200)}"] if report.reproduce else []
    if report.full_report:
        parts.append(link("full report", report.full_report))
    if hint := _waive(report):
        parts.append(f"waive: {hint}")
    if left_out:
        parts.append(f"left out for length: {', '.join(left_out)}")
    return " · ".join(parts)


def _waive(report: Report) -> str:
    """What waives the gates which failed: labels, or where one would be too long, comments."""
    names = list(dict.fromkeys(gate.metric for gate in report.failed_gates))
    if not names or report.failures:  # a stage that failed isn't waived
        return ""
    if len(names) > WAIVABLE or any('"' in name or len(name) > LONGEST_NAME for name in names):
        names = ["all"]
    labels = [f"mcgitops/waive-{name}" for name in names]
    if all(len(label) <= LONGEST_LABEL for label in labels):
        return "label " + " ".join(code(label) for label in labels)
    commands = [f'/mcgitops waive "{n}"' if " " in n else f"/mcgitops waive {n}" for n in names]
    return "comment " + " ".join(code(command, 2 * LONGEST_NAME) for command in commands)


def _table(report: Report, changes: Sequence[MetricChange], total: int) -> str:
    table = pipes.changes(changes, words.notable_costs(report)[:10], report)
    if len(changes) < total:
        table += f"\n\nand {words.count(total - len(changes), 'changed metric')} more"
    return table


def _values_table(changes: Sequence[MetricChange], total: int) -> str:
    if not changes:
        return ""
    rows: list[tuple[str, ...]] = []
    for change in changes:
        row = pipes.metric_row(change)
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
    """Gates that failed, warn or are waived without a row in the table."""
    first = (words.leading(report.metrics)[0] if report.base else report.metrics)[:ROWS]
    shown = {gate for change in first for gate in change.gates}
    return [g for g in report.gates if g.state in words.SPEAKING and g not in shown]


def _gates(gates: Sequence[GateResult], most: int) -> str:
    more = len(gates) - most
    return template(
        "markdown/gates.md.j2",
        gates=gates[:most],
        sign=words.GATE_SIGNS,
        more=f"{words.count(more, 'gate')} more" if more > 0 else "",
    )


def _waivers(report: Report, most: int) -> str:
    return template(
        "markdown/waivers.md.j2",
        waivers=report.waivers[:most],
        sign=words.YELLOW,
        more=max(len(report.waivers) - most, 0),
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
    """Each thing that went into the runs and differs; the first of a kind names the kind."""
    parts: list[str] = []
    kind = ""
    for cause in words.causes(report):
        values = f"{_value(cause.base)} → {_value(cause.head)}" if cause.head else ""
        start = cause.kind if cause.kind != kind else ""
        kind = cause.kind
        parts.append(" ".join(p for p in (start, code(cause.name), values, cause.detail) if p))
    return parts


def _value(text: str) -> str:
    """A parameter's value: numbers and our own words as they are."""
    return ours(text) if text == words.NOTHING or re.fullmatch(NUMBER, text) else code(text)


def _changed(parts: Sequence[str], most: int) -> str:
    return template("markdown/changed.md.j2", parts=parts[:most], more=max(len(parts) - most, 0))


def _bullets(parts: Sequence[str]) -> str:
    more = len(parts) - FOLDED_ROWS
    lines = [f"- {part}" for part in parts[:FOLDED_ROWS]]
    return "\n".join((*lines, f"- and {more} more") if more > 0 else lines)


def _warnings(report: Report, most: int) -> str:
    return template(
        "markdown/warnings.md.j2",
        warnings=report.warnings[:most],
        more=max(len(report.warnings) - most, 0),
    )


def _tables(
    name: str, summary: Text, tables: Sequence[Table], rows: Sequence[int]
) -> list[Callable[[], str]]:
    """The forms of a section of breakdowns."""

    def form(most: int) -> str:
        shown = [pipes.table(table, most, title=len(tables) > 1) for table in tables[:TABLES]]
        if len(tables) > TABLES:
            shown.append(f"and {words.count(len(tables) - TABLES, 'more table')}")
        return _fold(_html((f"{name}: ", *summary)), "\n\n".join(shown))

    return [partial(form, most) for most in rows]


def _more(report: Report, changes: Sequence[MetricChange], most: int) -> str:
    table = pipes.changes(changes[:most], (), report)
    if len(changes) > most:
        table += f"\n\nand {len(changes) - most:,} more"
    return _fold(_more_summary(changes), table)


def _more_summary(changes: Sequence[MetricChange]) -> str:
    if all(change.verdict == "cannot tell" for change in changes):
        verb = "differs" if len(changes) == 1 else "differ"
        return f"{words.count(len(changes), 'more metric')} {verb}; cannot tell if it is noise"
    return words.count(len(changes), "more changed metric")


def _file_rows(report: Report) -> list[tuple[str, ...]]:
    """The files that differ, those of data first, as far as the report names them."""
    rows: list[tuple[str, ...]] = []
    for fact in sorted(report.facts, key=words.is_code):
        files, prefix = fact.files, words.file_prefix(fact)
        only = fact.name.rpartition("/")[2]
        for word, path in words.changed_files(files) if files else ():
            before, after = files.sizes.get(path, (None, None)) if files else (None, None)
            name = fact.name if path == only else prefix + path
            sizes = (numbers.size(before) or "–", numbers.size(after) or "–")
            rows.append((plain(name), word or "changed", *sizes))
    return rows


def _files(report: Report, rows: Sequence[tuple[str, ...]], most: int) -> str:
    table = pipe(("file", "", "base", "head"), rows[:most], ("left", "left", "right", "right"))
    total = sum(fact.files.count for fact in report.facts if fact.files)
    if total > len(rows[:most]):
        table += f"\n\nand {words.count(total - len(rows[:most]), 'more file')}"
    counts = [(w, sum(row[1] == w for row in rows)) for w in ("added", "removed", "changed")]
    told = ", ".join(f"{number:,} {word}" for word, number in counts if number)
    return _fold(f"Files: {told}" if total == len(rows) else f"Files: {total:,} differ", table)


def _has_evidence(change: MetricChange) -> bool:
    return change.verdict != "same" and change.has_evidence


def _evidence(changes: Sequence[MetricChange], most: int) -> str:
    table = pipe(
        ("metric", "base", "head", "tests"),
        [
            (
                pipes.metric_row(change)[1],
                ours(breakdown.interval(change.base_mean, change.base_interval)),
                ours(breakdown.interval(change.head_mean, change.head_interval)),
                " · ".join(prose(words.test(test)) for test in change.tests[:5]),
            )
            for change in changes[:most]
        ],
        ("left", "right", "right", "left"),
    )
    parts = [table]
    if len(changes) > most:
        parts.append(f"and {len(changes) - most:,} more")
    if level := words.levels(changes[:most]):
        parts.append(
            f"In brackets {level} intervals of the mean over the runs; "
            "± in other tables is one standard deviation."
        )
    summary = f"Intervals and tests of {words.count(len(changes), 'metric')}"
    return _fold(summary, "\n\n".join(parts))


def _more_curves(report: Report, charts: bool = False) -> str:
    """The curves that aren't in sight: two as charts, all of them as sparklines."""
    shown = telling.charts(report, CHARTS)
    lines = [telling.line(curve) for curve in telling.ranked(report) if curve not in shown[:1]]
    rows = [
        (
            plain(line.curve.series),
            plain(line.curve.plot),
            *((f"{line.base} {line.last_base}".strip() or "–",) if report.base else ()),
            f"{line.head} {line.last_head}".strip(),
        )
        for line in lines
    ]
    headers = ("curve", "file", *(("base",) if report.base else ()), "head")
    table = pipe(headers, rows, ("left",) * len(headers))
    drawn = [mermaid.chart(curve) for curve in shown[1:]] if charts else []
    what = "more curve" if shown else "curve"
    summary = [f"{words.count(len(lines), what)}: ", Name(lines[0].curve.series)]
    summary.append(f" {lines[0].head}")
    return _fold(_html(summary), "\n\n".join((*drawn, table)))


def _unchanged(changes: Sequence[MetricChange]) -> str:
    rows = []
    alike = [change for change in changes if change.verdict != "same"]
    for change in (*alike, *(change for change in changes if change.verdict == "same")):
        row = pipes.metric_row(change)
        value = row[3] if change.verdict == "same" else f"{row[2]} → {row[3]}"
        rows.append((row[1], value, row[5]))
    table = pipe(("metric", "value", ""), rows[:FOLDED_ROWS], ("left", "right", "left"))
    if len(changes) > FOLDED_ROWS:
        table += f"\n\nand {len(changes) - FOLDED_ROWS:,} more"
    parts = []
    if len(changes) > len(alike):
        parts.append(f"{words.count(len(changes) - len(alike), 'metric')} unchanged")
    if alike:
        parts.append(f"{words.count(len(alike), 'metric')} without a difference that matters")
    return _fold(", ".join(parts), table)


def _costs(report: Report) -> str:
    rows = []
    for cost in report.costs[:FOLDED_ROWS]:
        cells = words.cost_cells(cost)
        stage = plain(cost.stage) + (f" {code(cost.variant)}" if cost.variant else "")
        values = (ours(text) for text in (cells.base or "–", cells.head, cells.change))
        rows.append((stage, prose(cells.label, 80), *values))
    table = pipe(
        ("stage", "", "base", "head", "change"), rows, ("left", "left", "right", "right", "right")
    )
    told = [
        part
        for cost in words.telling_costs(report)
        for part in (", ", Sentence(words.cost_label(cost, report)),
                     f" {numbers.percent(cost.percent)}")
    ]  # fmt: skip
    summary = ("Time, memory, sizes", *((": ", *told[1:]) if told else ()))
    return _fold(_html(summary), table)


def _artifacts(report: Report, most: int, *, linked: bool) -> str:
    """linked: with the artifacts' own addresses, which may be long."""
    rows = []
    for artifact in report.artifacts[:most]:
        digest = artifact.head_digest or artifact.base_digest
        before, after = (numbers.size(s) for s in (artifact.base_size, artifact.head_size))
        size = f"{before} → {after}" if before and after and before != after else after or before
        rows.append(
            (
                link(plain(artifact.path), artifact.link if linked else ""),
                plain(artifact.stage),
                "" if report.base is None else artifact.state,
                size,
                code(digest[:19]),
            )
        )
    table = pipe(
        ("artifact", "stage", "", "size", "content"),
        rows,
        ("left", "left", "left", "right", "left"),
    )
    if len(report.artifacts) > most:
        table += f"\n\nand {len(report.artifacts) - most:,} more"
    place = report.full_report and report.full_report.partition("#")[0] + "#artifacts"
    address = link("All of them in the full report", place)
    body = template(
        "markdown/artifacts.md.j2",
        table=table,
        lineage=report.lineage[:20],
        link=address if address.startswith("[") else "",
        fetch=report.fetch,
    )
    states = [artifact.state for artifact in report.artifacts]
    counts = ((state, states.count(state)) for state in ("changed", "new", "missing"))
    told = ", ".join(f"{number:,} {state}" for state, number in counts if number and report.base)
    return _fold(f"Artifacts and lineage: {told}" if told else "Artifacts and lineage", body)


def _html(pieces: Sequence[str]) -> str:
    return "".join(html_piece(part) for part in pieces)


def _fold(summary: str, body: str) -> str:
    return template("markdown/fold.md.j2", summary=summary, body=body)
