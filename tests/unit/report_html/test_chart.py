"""Images without a browser."""

from __future__ import annotations

import math
import struct
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.errors import UsageError
from mcgitops.report import chart, markup
from mcgitops.report.packing import Line
from tests.browser import reports

EMPTY = Line((), ())
ALLOWED = {"svg", "title", "rect", "circle", "text", "tspan", "g", "line", "polyline"}


def points(text: str) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in text.split()]  # type: ignore[misc]


def test_no_peak_gets_lost():
    ys = [0.0] * 10_000
    ys[7001], ys[3] = 9.0, -4.0
    image = chart.still(EMPTY, Line(range(10_000), ys), 600, 220)
    heights = [y for _, y in points(image.head[0])]
    assert (min(heights), max(heights)) == (6, 214)
    assert len(heights) <= 2 * chart.BUCKETS + 2


def test_both_ends_are_there_and_the_sides_share_a_frame():
    image = chart.still(Line((0, 50), (0.0, 1.0)), Line((50, 100), (1.0, 2.0)), 100, 100)
    assert points(image.base[0]) == [(6, 94), (50, 50)]
    assert points(image.head[0]) == [(50, 50), (94, 6)]


@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_infinity=False)
        ),
        max_size=300,
        unique_by=lambda point: point[0],
    )
)
def test_a_still_image_stays_within_its_frame(data):
    data.sort()
    image = chart.still(EMPTY, Line([x for x, _ in data], [y for _, y in data]), 600, 220)
    for part in image.head:
        for x, y in points(part):
            assert 0 <= x <= 600
            assert 0 <= y <= 220


def test_a_gap_ends_a_line():
    image = chart.still(EMPTY, Line(range(5), (1.0, 2.0, math.nan, 1.0, 2.0)))
    assert len(image.head) == 2


def test_a_chart_in_words():
    text = chart.in_words("step", EMPTY, Line((0, 10, 20), (3.0, 0.5, 1.25)))
    assert text == (
        "head: from 3 to 1.25 over 3 points; lowest 0.5 at step 10, highest 3 at step 0."
    )


def test_some_points_as_text():
    base, head = Line((0, 10), (1.0, 2.0)), Line(range(101), [float(i) for i in range(101)])
    found = list(chart.points(base, head, 11))
    assert len(found) == 11
    assert found[0] == ("0", "1", "0")
    assert found[1] == ("10", "2", "10")
    assert found[-1] == ("100", "2", "100")


def test_the_summary_says_what_matters():
    text = chart.svg(reports.full())
    root = ET.fromstring(text)
    said = "".join(root.itertext())
    for part in ("wine: accuracy fell below its gate", "accuracy ↑", "−0.0300", "loss by step"):
        assert part in said
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= ALLOWED


@settings(max_examples=30)
@given(st.lists(st.text(max_size=40) | st.sampled_from(reports.HOSTILE), min_size=4, max_size=8))
def test_hostile_names_stay_text_in_an_image(texts):
    texts = [*dict.fromkeys((*texts, *reports.HOSTILE[:4]))]
    root = ET.fromstring(chart.svg(reports.hostile(tuple(texts))))
    for element in root.iter():
        assert element.tag.rpartition("}")[2] in ALLOWED
        assert not any(name.lower().startswith("on") or "href" in name for name in element.attrib)


def test_a_report_without_anything_is_an_image_too():
    import dataclasses

    empty = dataclasses.replace(
        reports.full(plots=0), metrics=(), costs=(), base=None, curves=(), plots=()
    )
    ET.fromstring(chart.svg(empty))


def test_png_is_the_same_twice_as_fine():
    image = chart.png(reports.full())
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", image[16:24])
    root = ET.fromstring(chart.svg(reports.full()))
    assert (width, height) == (2 * int(root.attrib["width"]), 2 * int(root.attrib["height"]))
    assert len(image) > 20_000  # there is something on it


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UsageError, match="resvg-py") as raised:
        chart.png(reports.full())
    assert "mcgitops[images]" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("精度精度", 5, "精度…"), ("", 3, "")],
)
def test_text_is_cut_by_its_width(text, most, expected):
    assert markup.fit(text, most) == expected
