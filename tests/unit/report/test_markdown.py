"""The comment for any report: within its budget, never broken, nobody mentioned, nothing linked."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mcgitops.compare import Gate, MetricRule, RunView, Side, compare
from mcgitops.compare.model import (
    Artifact,
    Curve,
    FileChanges,
    GateResult,
    Interval,
    SliceChange,
    Waiver,
)
from mcgitops.compare.model import Test as Evidence
from mcgitops.forge import waivers as waivers_of
from mcgitops.metrics import Plot
from mcgitops.metrics.values import ClassRow, ClassTable, Matrix
from mcgitops.report import curves, escape, json_view, markdown, mermaid, terminal
from mcgitops.report.build import build
from mcgitops.report.model import Report, Revision
from tests.lab.mermaid import Mermaid
from tests.unit.report import situations
from tests.unit.report.test_escape import HOSTILE

GITHUB = MarkdownIt("gfm-like")

QUICK = settings(deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
"""Whole reports take minutes to shrink, and say enough as they are."""

names = st.one_of(
    st.sampled_from(["accuracy", "loss", "macro avg.f1", *HOSTILE]),
    st.text(max_size=30),
    st.text(st.sampled_from("|`\\<>!-#@&[]()*_~$:\n \t./wh0aGH\u202e\u200b"), max_size=30),
)
scalars = st.one_of(
    st.floats(),
    st.integers(-(10**30), 10**30),
    st.booleans(),
    st.none(),
    names,
)
short = st.dictionaries(names, names, max_size=3)
metrics = st.dictionaries(names, st.dictionaries(names, scalars, max_size=6), max_size=2)
plots = st.builds(
    lambda name, x, xs, ys, series: Plot(
        name, x, tuple(xs[: len(ys)]), {series: tuple(ys[: len(xs)])}
    ),
    names,
    names,
    st.lists(st.floats(), max_size=6),
    st.lists(st.one_of(st.none(), st.floats()), max_size=6),
    names,
)
tables = st.builds(
    ClassTable,
    source=names,
    rows=st.lists(
        st.builds(
            ClassRow,
            name=names,
            values=st.dictionaries(names, st.floats(), max_size=3),
            support=st.one_of(st.none(), st.floats()),
        ),
        max_size=3,
    ).map(tuple),
)
counts = st.one_of(st.integers(0, 10**6), st.floats())
matrices = st.builds(
    lambda source, labels, cells: Matrix(
        source, tuple(labels), tuple(tuple(row[: len(labels)]) for row in cells[: len(labels)])
    ),
    names,
    st.lists(names, max_size=4),
    st.lists(st.lists(counts, min_size=4, max_size=4), min_size=3, max_size=4),
)
runs = st.builds(
    RunView,
    stage=names,
    fingerprint=names,
    state=st.sampled_from(["succeeded", "succeeded", "succeeded", "failed", "timed-out", "odd"]),
    matrix=short,
    replicate=short,
    selected=st.booleans(),
    commit=names,
    exit_code=st.one_of(st.none(), st.integers(0, 255)),
    metrics=metrics,
    params=metrics,
    facts=short,
    upstream=short,
    wall_seconds=st.one_of(st.none(), st.floats(0, 1e9)),
    peak_memory_bytes=st.one_of(st.none(), st.integers(0, 10**15)),
    image=names,
    image_digest=names,
    image_size=st.one_of(st.none(), st.integers(0, 10**15)),
    outputs=st.lists(st.builds(Artifact, names, names, st.integers(0, 10**15)), max_size=3).map(
        tuple
    ),
    plots=st.lists(plots, max_size=2).map(tuple),
    tables=st.lists(tables, max_size=2).map(tuple),
    matrices=st.lists(matrices, max_size=2).map(tuple),
    warnings=st.lists(names, max_size=2).map(tuple),
    log_tail=st.lists(names, max_size=4).map(tuple),
)
sides = st.builds(
    Side, commit=names, name=names, why=names, dirty=st.booleans(),
    runs=st.lists(runs, max_size=4).map(tuple),
)  # fmt: skip
rules = st.lists(
    st.builds(
        MetricRule,
        key=names,
        goal=st.sampled_from([None, "maximize", "minimize", "neutral"]),
        gate=st.builds(
            Gate,
            min=st.one_of(st.none(), st.floats(-10, 10)),
            max_drop=st.floats(0, 10),
            level=st.sampled_from(["fail", "warn"]),
        ),
    ),
    max_size=3,
)
maybe = st.one_of(st.none(), st.floats())
intervals = st.one_of(st.none(), st.builds(Interval, st.floats(), st.floats()))
tests = st.builds(Evidence, names, names, maybe, intervals)
slices = st.builds(
    SliceChange, names, names, names, names, names, names, st.integers(0, 10**9), maybe, maybe,
    intervals, intervals, maybe, maybe, st.sampled_from(["better", "worse", "cannot tell"]), names,
)  # fmt: skip
waivers = st.builds(
    Waiver, st.one_of(st.just("*"), names), names, st.sampled_from(["label", "comment"]), names
)
sizes = st.one_of(st.none(), st.integers(0, 10**15))
files = st.builds(
    lambda found, count: FileChanges(
        added=tuple(found)[:2],
        removed=tuple(found)[2:3],
        changed=tuple(found)[3:],
        count=count + len(found),
        base_size=count,
        head_size=2 * count,
        sizes=found,
    ),
    st.dictionaries(names, st.tuples(sizes, sizes), max_size=4),
    st.integers(0, 10**9),
)
addresses = st.sampled_from(
    ["", situations.LINK, "javascript:alert(1)", "https://x.example/)[a](b", "//x", "http://a b"]
)


def enriched(report, files, slices, waivers, address, tests, bounds, own) -> Report:
    """What other parts of the program put into a report later."""
    return replace(
        report,
        facts=tuple(replace(fact, files=files) for fact in report.facts),
        slices=tuple(slices),
        waivers=tuple(waivers),
        full_report=address,
        fetch="mcgitops pull a1b2c3d4e5f6",
        artifacts=tuple(replace(artifact, link=own) for artifact in report.artifacts),
        metrics=tuple(
            replace(change, tests=tuple(tests), base_interval=bounds, head_interval=bounds)
            for change in report.metrics
        ),
    )


plain_reports = st.builds(
    lambda project, base, head, rules, reproduce: build(
        project, compare(base, head, rules), reproduce=reproduce
    ),
    names,
    st.one_of(st.none(), sides),
    sides,
    rules,
    names,
)
reports = st.builds(
    enriched, plain_reports, files, st.lists(slices, max_size=3), st.lists(waivers, max_size=3),
    addresses, st.lists(tests, max_size=2), intervals, addresses,
)  # fmt: skip


class Page(HTMLParser):
    """The rendered comment: tags in balance, and text outside of code."""

    VOID = ("br", "hr", "img", "input")

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.bare = ""
        self.code = ""
        self.comments = 0
        self.links: set[str] = set()
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "a":
            ((name, address),) = attrs
            assert name == "href"
            self.links.add(address)
            attrs = []
        assert all(name in ("style", "class") for name, _ in attrs), attrs
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_comment(self, data):
        self.comments += 1

    def handle_data(self, data):
        if "pre" in self._open:  # a log, word for word: forges neither link nor mention there
            return
        if "code" in self._open:
            self.code += data + " "
        else:
            self.bare += data + " "


ALLOWED = {
    "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "code", "pre", "details",
    "summary", "ul", "li", "a",
}  # fmt: skip


def is_sound(text: str, budget: int = markdown.BUDGET, links: Collection[str] = ()) -> None:
    assert markdown.length(text) <= budget
    html = GITHUB.render(text)
    page = Page(html)
    assert page.tags <= ALLOWED, page.tags - ALLOWED
    assert page.comments == 0
    assert page.links <= {*links}
    assert not re.search(r"[@#`|\\]|\bwww\.|://|\b[0-9a-f]{7,64}\b", page.bare), page.bare
    assert not re.search(r"@\w|<!--", page.code)
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        widths = {row.count("<td") + row.count("<th>") + row.count("<th ")
                  for row in table.split("</tr>")[:-1]}  # fmt: skip
        assert len(widths) == 1
    # each section that was begun is one: nothing swallowed it, and nothing began another
    assert html.count("<details>") == len(re.findall("(?m)^<details><summary>", text))
    assert html.count("<table>") == len(re.findall(r"(?m)^\|:?-", text))
    fences = re.findall("(?m)^(`{3,})(?:text|mermaid)$", text)
    assert html.count("<pre>") == len(fences)
    for chart in re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL):
        is_mermaid(chart)


def is_mermaid(chart: str) -> None:
    """The grammar of `xychart-beta`, as far as we use it."""
    init, first, title, axis, *lines = chart.rstrip("\n").split("\n")
    directive = json.loads(init.removeprefix("%%{init: ").removesuffix("}%%"))
    colours = directive["themeVariables"]["xyChart"]["plotColorPalette"].split(", ")
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    number = r"-?\d+(\.\d+)?"
    assert first == "xychart-beta"
    assert re.fullmatch(r'  title "[^"`;%#<>{}\n]+"', title)
    assert re.fullmatch(rf"  x-axis {number} --> {number}", axis)
    assert 1 <= len(lines) == len(colours) <= 2
    for line in lines:
        assert re.fullmatch(rf"  line \[{number}(, {number})*\]", line)


def linked(report: Report) -> set[str]:
    """The addresses that may be linked: plain ones of ours, of the page and of artifacts."""
    given = {report.full_report, *(artifact.link for artifact in report.artifacts)}
    found = given & {situations.LINK, situations.OBJECT}
    return found | {f"{address}#artifacts" for address in found & {report.full_report}}


@given(reports)
@settings(QUICK, max_examples=100)
def test_any_report_is_sound_markdown(report):
    is_sound(markdown.render(report), links=linked(report))


@given(reports, st.integers(4000, 20_000))
@settings(QUICK, max_examples=60)
def test_any_budget_is_kept(report, budget):
    is_sound(markdown.render(report, budget), budget, linked(report))


@given(reports, st.integers(20, 200))
@settings(QUICK, max_examples=100)
def test_any_report_is_safe_for_a_terminal(report, width):
    text = terminal.render(report, width=width)
    text += terminal.render_metrics(report, width=width, everything=True)
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(map(cells, text.split("\n"))) <= max(width, terminal.LEAST)
    coloured = terminal.render(report, width=width, color=True)
    bare = re.sub(r"\x1b\[(1;)?(2|31|32|33)m|\x1b\[0m", "", coloured)
    assert bare == terminal.render(report, width=width)


def cells(line: str) -> int:
    """By Unicode's own table, as another measure than the program's."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me")
        else 2 if unicodedata.east_asian_width(c) in ("W", "F")
        else 1
        for c in line
    )  # fmt: skip


@given(reports)
@settings(QUICK, max_examples=100)
def test_any_report_survives_json(report):
    data = json.loads(json.dumps(json_view.to_data(report)))
    again = json_view.from_data(data)
    assert json_view.to_data(again) == json_view.to_data(report)
    assert markdown.render(again) == markdown.render(report)


@pytest.fixture(scope="module")
def parser() -> Iterator[Mermaid]:
    with Mermaid() as found:
        yield found


numbers = st.one_of(
    st.floats(-1e12, 1e12),
    st.floats(-10, 10),
    st.sampled_from([0.0, -0.0, 1e-12, 5e-324, 1e11, 1e11 + 1e-3]),
)
starts = st.one_of(st.floats(-1e12, 1e12), st.sampled_from([0.0, 1.0, 1e6, 1.7e9, 9e11]))
steps = st.one_of(st.floats(1e-15, 1e6), st.sampled_from([1.0, 1e-3, 1e-6, 1e-9]))
drawn = st.builds(
    lambda series, x, low, step, count, base, head: Curve(
        "train", "h.csv", series, x,
        tuple(low + step * i for i in range(count)), tuple(base[:count]), tuple(head[:count]),
    ),
    names, names, starts, steps, st.integers(2, 6),
    st.one_of(st.just([]), st.lists(numbers, min_size=6, max_size=6)),
    st.lists(numbers, min_size=6, max_size=6),
).filter(curves.is_drawable)  # fmt: skip


@given(curve=drawn)
@settings(QUICK, max_examples=100)
def test_every_version_of_mermaid_reads_any_chart_as_it_is_meant(parser, curve):
    fence, *lines, end = mermaid.chart(curve).split("\n")
    assert (fence, end) == ("```mermaid", "```")
    chart = "\n".join(lines) + "\n"
    is_mermaid(chart)
    for version, found in parser.read(chart).items():
        assert found == {"kind": "xychart", "title": mermaid.title(curve)}, version


@pytest.mark.parametrize(
    "xs",
    [(1.0, 1.0), (9e11, 9e11 + 1e-4), (2e6, 2e6 + 1e-9), (0.0, 1e-10), (0.0, math.inf), (1.0,)],
)
def test_what_would_keep_mermaid_busy_for_ever_is_not_drawn(xs):
    ys = tuple(float(i) for i in range(len(xs)))
    assert not curves.is_drawable(Curve("t", "h", "loss", "step", xs, (), ys))
    assert not curves.is_drawable(Curve("t", "h", "loss", "step", ys, (), xs))


@pytest.mark.parametrize("sides", [((), ()), ((1.0, 2.0), ()), ((), (1.0,)), ((1.0,), (1.0, 2.0))])
def test_a_curve_of_another_length_than_its_axis_is_not_drawn(sides):
    assert not curves.is_drawable(Curve("t", "h", "loss", "step", (1, 2), *sides))


def test_what_is_no_chart_is_refused_by_every_version(parser):
    good = mermaid.chart(Curve("t", "h", "loss", "epoch", (1, 2), (), (0.5, 0.25)))
    chart = good.removeprefix("```mermaid\n").removesuffix("```")
    assert all("error" not in found for found in parser.read(chart).values())
    for bad in ("1e-4", "NaN", "", "inf"):
        broken = chart.replace("0.25", bad)
        assert all("error" in found for found in parser.read(broken).values()), broken


@pytest.mark.parametrize(
    "name", ["improvement", "waived", "all_waived", "classes", "curves", "hostile", "huge"]
)
def test_situations_are_sound(name):
    report = getattr(situations, name)()
    for budget in (markdown.BUDGET, 12_000):
        is_sound(markdown.render(report, budget), budget, linked(report))


@given(st.lists(names, min_size=1, max_size=5), st.lists(names, min_size=1, max_size=3))
@settings(QUICK, max_examples=60)
def test_the_cells_of_a_table_of_classes_are_where_they_belong(classes, metrics):
    rows = tuple(ClassRow(n, dict.fromkeys(metrics, 0.5)) for n in dict.fromkeys(classes))
    run = RunView("t", "1", tables=(ClassTable("r.json", rows),))
    text = markdown.render(build("x", compare(None, Side(runs=(run,)))))
    html = GITHUB.render(text).partition("Per class")[2].partition("</table>")[0]
    grid = [
        [shown(cell) for cell in re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in html.split("</tr>")[:-1]
    ]
    kept = list(dict.fromkeys(metrics))
    assert grid == [
        ["class", *map(expected, kept)],
        *([expected(n), *("0.5" for _ in kept)] for n in dict.fromkeys(classes)),
    ]


def shown(html: str) -> str:
    page = Page(html)
    return " ".join((page.bare + page.code).replace("\u200b", "").split())


def expected(name: str) -> str:
    return " ".join(escape.clean(name, 80).replace("|", "∣").split()) or "(empty)"


def large(count: int, text: str = "class {}.f1") -> Report:
    def side(commit: str, offset: float) -> Side:
        return Side(
            commit * 40,
            "main",
            "merge base with main",
            runs=tuple(
                RunView(
                    "train",
                    f"{commit}{seed}",
                    replicate={"SEED": str(seed)},
                    metrics={
                        "m.json": {
                            text.format(i): 0.5 + offset * (i % 2) + seed / 100
                            for i in range(count)
                        }
                    },
                    params={"p.yaml": {text.format(i): offset + i for i in range(count)}},
                    outputs=tuple(Artifact(text.format(i), commit * 64, 10) for i in range(count)),
                    warnings=tuple(f"{text.format(i)} is odd" for i in range(min(count, 50))),
                )
                for seed in range(2)
            ),
        )

    rule = MetricRule("*", "maximize", Gate(max_drop=0.001))
    return build("wine", compare(side("b", 0.0), side("a", -0.2), [rule]), reproduce="mcgitops")


@pytest.mark.parametrize("count", [10, 300, 3000])
@pytest.mark.parametrize("text", ["class {}.f1", "{}" + "|`" * 60, "{}" + "🙂" * 100])
def test_large_reports_keep_the_budget_and_the_verdict(count, text):
    report = large(count, text)
    rendered = markdown.render(report)
    is_sound(rendered)
    assert rendered.startswith(f"### 🔴 wine: {count // 2} gates failed: ")
    assert "gate failed" in rendered


def test_the_least_valuable_sections_go_first():
    report = large(300)
    full = markdown.render(report, 10**9)
    assert "metrics unchanged" in full
    assert "left out for length" not in full
    some = markdown.render(report, 40_000)
    assert "metrics unchanged" not in some
    assert "left out for length: unchanged metrics" in some
    least = markdown.render(report, 4_000)
    assert least.startswith("### 🔴 wine:")
    assert "Reproduce:" in least


@pytest.mark.parametrize(
    "values",
    [
        (1e-4, 2e-4, 3e-4), (1e11, -1e11, 0.0), (0.1, math.nan, 0.2), (math.inf, 0.5, 0.25),
        (-0.5, -0.25, -0.125), (1e-7, 3e-7, 2e-7),
    ],
)  # fmt: skip
def test_charts_hold_only_fixed_point_numbers(values):
    plot = Plot("h.csv", "epoch", (1, 2, 3), {'val "loss"; %%{init}': values})
    report = build("x", compare(None, Side(runs=(RunView("t", "1", plots=(plot,)),))))
    text = markdown.render(report)
    assert "xychart-beta" in text
    is_sound(text)


@pytest.mark.parametrize("values", [(0.5, 0.5, 0.5), (1e300, 2e300, 3e300), (math.nan,) * 3])
def test_what_mermaid_can_not_draw_is_not_drawn(values):
    plot = Plot("h.csv", "epoch", (1, 2, 3), {"loss": values})
    report = build("x", compare(None, Side(runs=(RunView("t", "1", plots=(plot,)),))))
    assert "mermaid" not in markdown.render(report)


def test_of_what_merely_differs_a_few_rows_stand_for_all():
    def side(commit: str, offset: float) -> Side:
        values = {"auc": 0.5, **{f"class_{i}.recall": 0.5 + i / 100 for i in range(20)}}
        shifted = {name: value + offset for name, value in values.items()}
        return Side(commit, runs=(RunView("t", commit, metrics={"m.json": shifted}),))

    text = markdown.render(build("x", compare(side("b" * 40, 0.0), side("a" * 40, -0.1))))
    table = text.split("\n\n")[1]
    assert table.count("\n") == 1 + 5
    assert "| auc ↑ |" in table.split("\n")[2]
    assert "<summary>16 more metrics differ; cannot tell if it is noise</summary>" in text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["accuracy"], "label `mcgitops/waive-accuracy`"),
        (["a", "b c"], "label `mcgitops/waive-a` `mcgitops/waive-b c`"),
        (["a", "b", "c", "d"], "label `mcgitops/waive-all`"),
        (
            ["multi/out/multi/report.json:accuracy"],  # GitHub makes no label of over 50 characters
            "comment `/mcgitops waive multi/out/multi/report.json:accuracy`",
        ),
        (
            ["a", "multi/out/multi/report.json:the accuracy"],
            "comment `/mcgitops waive a` "
            '`/mcgitops waive "multi/out/multi/report.json:the accuracy"`',
        ),
        (['"' + "x" * 60], "label `mcgitops/waive-all`"),
        (["x" * 200], "label `mcgitops/waive-all`"),
    ],
)
def test_the_footer_names_what_waives_and_can_be_typed(names, said):
    gates = tuple(GateResult(n, "", "at least 1", "failed", "0 < 1, gate failed") for n in names)
    report = Report("x", "gate failed", "failed", Revision("a" * 40), gates=gates)
    text = markdown.render(report)
    assert text.rstrip().endswith(f"waive: {said}")
    for command in re.findall(r"`(/mcgitops .*?)`", said):
        ((name, _),) = waivers_of.commands(command)
        assert name in names
