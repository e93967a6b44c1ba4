"""Lines of a terminal: no wider than asked, whatever the characters, and lined up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcgitops.report import layout
from mcgitops.report.escape import clean
from mcgitops.report.spark import shade, sparkline
from tests.unit.report.test_markdown import cells

texts = st.one_of(
    st.text(max_size=60),
    st.text(st.sampled_from("ab 日本語🙂é\u0301 👩🏽❤️ｱ한"), max_size=60),
).map(lambda text: layout.steady(clean(text, 60)))


@given(texts, st.integers(10, 60), st.sampled_from(["", "  ", "  │ "]))
def test_wrapped_lines_fit_and_lose_nothing(text, width, indent):
    lines = layout.wrap(text, width, indent)
    assert all(layout.width(line) <= width and cells(line) <= width for line in lines)
    assert all(line.startswith(indent) for line in lines)
    kept = "".join(line.removeprefix(indent) for line in lines)
    assert "".join(kept.split()) == "".join(text.split())


def test_what_terminals_disagree_about_is_left_out():
    assert layout.steady("👩🏽 ❤️ 日") == "👩 ❤ 日"


@given(st.lists(st.lists(texts, min_size=3, max_size=3), min_size=1, max_size=4))
def test_columns_line_up_in_cells(rows):
    headers, align = ["a", "b", "c"], ["left", "right", "left"]
    lines = layout.table(headers, rows, align, 10_000)
    assert len(lines) == len(rows) + 1
    first = max(layout.width(row[0]) for row in rows)
    second = max(max(layout.width(row[1]) for row in rows), 1)
    start = max(first, 1) + len(layout.GAP) + second
    for row, line in zip(rows, lines[1:], strict=True):
        head = layout.pad(row[0], max(first, 1)) + layout.GAP + layout.pad(row[1], second, "right")
        assert layout.width(head) == start
        assert line == (head + layout.GAP + " ".join(row[2].split())).rstrip()


@given(st.lists(st.lists(texts, min_size=2, max_size=2), min_size=1, max_size=3),
       st.integers(5, 60), st.sampled_from([0, 10]))  # fmt: skip
def test_a_table_fits_or_is_none(rows, width, last):
    lines = layout.table(["", "x"], rows, ["left", "left"], width, last)
    assert all(layout.width(line) <= width for line in lines)


def test_wide_characters_take_two_cells_and_marks_none():
    assert [layout.width(text) for text in ("ab", "日本", "🙂", "e\u0301", "\x1b[31m✖\x1b[0m")] == [
        2, 4, 2, 1, 1,
    ]  # fmt: skip
    assert layout.wrap("日本語テキスト", 5) == ["日本", "語テ", "キス", "ト"]
    assert layout.pad("日本", 6, "right") == "  日本"


@given(st.lists(st.floats(), max_size=50), st.integers(2, 20))
def test_sparklines_are_of_bars(values, width):
    finite = [value for value in values if abs(value) < 1e300]
    text = sparkline(values, min(finite, default=0), max(finite, default=0), width)
    assert len(text) == min(len(values), width)
    assert set(text) <= set("▁▂▃▄▅▆▇█·")


def test_a_sparkline_goes_from_the_lowest_to_the_highest():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 0, 7) == "▁▂▃▄▅▆▇█"
    assert sparkline(list(range(100)), 0, 99, 4) == "▁▃▆█"


def test_shades_grow_with_the_share():
    assert [shade(share) for share in (-1, 0, 0.01, 0.3, 0.6, 1, 2, float("nan"))] == list(
        "  ░▒▓██ "
    )
