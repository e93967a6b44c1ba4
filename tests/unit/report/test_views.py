"""The views, word for word: golden files. Rewrite them with REWRITE_GOLDEN=1, and read the diff."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mcgitops.report import chart, html, json_view, layout, markdown, terminal
from mcgitops.report.model import Report
from tests.unit.report import situations

GOLDEN = Path(__file__).parent / "golden"
REWRITE = bool(os.environ.get("REWRITE_GOLDEN"))


def check(name: str, text: str) -> None:
    file = GOLDEN / name
    if REWRITE:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.fixture(params=["regression", "unchanged", "first", "failed"])
def named(request: pytest.FixtureRequest) -> tuple[str, Report]:
    return request.param, request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    "name",
    [
        "improvement",
        "with_past",
        "waived",
        "all_waived",
        "classes",
        "many_classes",
        "curves",
        "hostile",
    ],
)
def test_situations(name):
    report = getattr(situations, name)()
    check(f"{name}.md", markdown.render(report))
    check(f"{name}.wide.txt", terminal.render(report, width=140))
    check(f"{name}.narrow.txt", terminal.render(report, width=60))


def test_slices_and_data(regression):
    report = situations.data_change(situations.slices(regression))
    check("slices.md", markdown.render(report))
    check("slices.wide.txt", terminal.render(report, width=140))
    check("slices.narrow.txt", terminal.render(report, width=60))


def test_wide_characters_are_lined_up():
    report = situations.wide_characters()
    for width in (40, 200):
        text = terminal.render(report, width=width)
        check(f"wide_characters.{width}.txt", text)
        coloured = terminal.render(report, width=width, color=True)
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text
    table = [line for line in text.split("\n") if "→" not in line and "  " in line.strip()][:4]
    ends = {layout.width(line[: line.index(cell) + len(cell)]) for line, cell in zip(
        table, ("base", "0.90", "注0.0", "0.10"), strict=True)}  # fmt: skip
    assert len(ends) == 1


def test_huge():
    check("huge.md", markdown.render(situations.huge(), 10_000))


def test_markdown(named):
    name, report = named
    check(f"{name}.md", markdown.render(report))


def test_terminal_wide_and_narrow(named):
    name, report = named
    check(f"{name}.wide.txt", terminal.render(report, width=140))
    check(f"{name}.narrow.txt", terminal.render(report, width=60))


def test_json(named):
    name, report = named
    text = json_view.render(report)
    check(f"{name}.json", text + "\n")
    assert json_view.from_data(json.loads(text)) == replace(report, plots=())


@pytest.mark.parametrize("name", ["waived", "all_waived"])
def test_what_is_waived_reads_as_waived_in_the_verdict_of_every_view(name):
    report = getattr(situations, name)()
    check(f"{name}.json", json_view.render(report) + "\n")
    page, image = html.render(report), chart.svg(report)
    for text in (page, image):
        assert f"wine: {report.headline}" in re.sub(r"<[^>]*>", "", text)
    if name == "waived":
        assert report.status == "gate failed"
        assert report.headline == (
            "2 gates failed: log_loss, TestShareOfDriftedColumns; the gate of accuracy is waived"
        )
        states = [gate.state for gate in report.gates]
        assert states == ["failed", "failed", "waived"]
    else:
        assert report.status == "warning"
        assert report.headline == (
            "3 gates failed and are waived: log_loss, accuracy, TestShareOfDriftedColumns"
        )
        assert "waive: label" not in markdown.render(report)
        assert markdown.render(report).startswith("### 🟡 wine: ")
        assert '<div class="verdict warn">' in page


def test_colour_only_repeats_the_words(regression):
    coloured = terminal.render(regression, width=140, color=True)
    assert "\x1b[1;31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == terminal.render(regression, width=140)


def test_narrow_lines_fit(named):
    for width in (40, 60, 80):
        for line in terminal.render(named[1], width=width).splitlines():
            assert len(line) <= width or " " not in line.strip()


def test_nothing_changed_is_one_line_and_folds(unchanged):
    text = markdown.render(unchanged)
    first, _, rest = text.partition("\n")
    assert first.startswith("<details><summary>🟢 wine: no metric changed · ")
    assert first.endswith("</summary>")
    assert _unfolded(text) == [""]
    assert "Reproduce: `mcgitops train`" in rest


def _unfolded(text: str) -> list[str]:
    depth, shown = 0, []
    for line in text.split("\n"):
        depth += line.startswith("<details>")
        if depth == 0:
            shown.append(line)
        depth -= line.startswith("</details>")
    return shown


def test_causes_name_files_values_and_what_came_or_went(unchanged):
    from mcgitops.compare.model import FactChange, FileChanges, ValueChange

    many = tuple(f"{i}.csv" for i in range(50))
    digests = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)
    report = replace(
        unchanged,
        params=(ValueChange("t", "params.yaml", "lr", "lr", 0.1, None),),
        facts=(
            FactChange(("t",), "build context .", *digests,
                       FileChanges(changed=("train.py", "params.yaml"), count=2)),
            FactChange(("t",), "data", *digests,
                       FileChanges(added=many, count=900, base_size=10_000, head_size=20_000)),
            FactChange(("t",), "data/one.csv", *digests,
                       FileChanges(changed=("one.csv",), count=1)),
            FactChange(("t",), "environment", *digests),
            FactChange(("t",), "image", "python:3.11", "python:3.12"),
            FactChange(("t",), "secrets", "", "x"),
            FactChange(("t",), "@all|", "x", ""),
        ),
    )  # fmt: skip
    (line,) = [x for x in markdown.render(report).splitlines() if x.startswith("**Changed:**")]
    assert line.split(" · ")[:8] == [
        "**Changed:** params `lr` 0.1 → (none)",
        "code `train.py`",
        "data `data/0.csv` added",
        "`data/1.csv` added",
        "`data/2.csv` added",
        "`data` 897 more files (in all 10.0 kB → 20.0 kB)",
        "`data/one.csv`",
        "`environment`",
    ]
    assert "`image` `python:3.11` → `python:3.12`" in markdown.render(report)
    assert "- `@\u200ball∣` removed" in markdown.render(report)
    assert "secrets added" in terminal.render(report)


def test_the_best_of_several_is_labelled_optimistic():
    from mcgitops.compare import RunView, Side, compare
    from mcgitops.compare.model import Artifact
    from mcgitops.report.build import build

    run = RunView(
        "train",
        "1",
        selected=True,
        selection="the best by accuracy: optimistic",
        outputs=(Artifact("m", "sha256:1", 1),),
    )
    report = build("x", compare(None, Side("a" * 40, runs=(run,))))
    assert "(the best by accuracy: optimistic)" in markdown.render(report)
    assert "Selected: train, the best by accuracy: optimistic" in terminal.render(report)


def test_a_table_that_is_wider_than_the_terminal_becomes_lines(regression):
    for width in (100, 120, 200):
        lines = terminal.render(regression, width=width).split("\n")
        assert max(map(len, lines)) <= width
