"""The chart out of characters: its width, its scale, and numbers that can't be drawn."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mcgitops.report.plot import Point, plot

anything = st.floats() | st.sampled_from([0.0, 1e308, -1e308, 5e-324, math.nan, math.inf])


def a_point(at: float, *values: float) -> Point:
    return Point(at, sum(values) / len(values), min(values), max(values))


def test_a_chart() -> None:
    points = [a_point(0, 1.0), a_point(1, 2.0, 3.0, 4.0), a_point(2, 4.0, 6.0), a_point(3, 9.0)]
    shown = plot(points, width=40, height=9, first="a1b2c3d", last="9f8e7d6")
    assert shown == [
        "9 ┤                                    ●",
        "  │",
        "  │",
        "6 ┤                        │",
        "  │                        ●",
        "  │            │           │",
        "3 ┤            ●",
        "  │            │",
        "1 ┤●",
        "  └─────────────────────────────────────",
        "   a1b2c3d                       9f8e7d6",
    ]


def test_one_point_and_equal_points_have_a_scale() -> None:
    for points in ([a_point(0, 5.0)], [a_point(0, 5.0), a_point(1, 5.0)], [a_point(0, 0.0)]):
        shown = plot(points, width=40)
        assert sum(line.count("●") for line in shown) == len(points)


def test_more_points_than_columns_share_them() -> None:
    shown = plot([a_point(n, float(n)) for n in range(10_000)], width=60)
    marks = {index for line in shown for index, mark in enumerate(line) if mark == "●"}
    assert len(marks) == 60 - len("9,999") - 2
    assert shown[0].endswith("●")


def test_nothing_is_drawn_of_nothing_or_where_there_is_no_room() -> None:
    assert plot([], width=80) == []
    assert plot([a_point(0, math.nan)], width=80) == []
    assert plot([a_point(0, 1.0)], width=20) == []
    assert plot([a_point(0, -1e308), a_point(1, 1e308)], width=80) == []


@given(
    st.lists(st.tuples(anything, st.lists(anything, min_size=1, max_size=3)), max_size=8),
    st.integers(0, 120),
    st.integers(0, 20),
)
def test_it_is_never_wider_or_higher_than_asked_for(
    values: list[tuple[float, list[float]]], width: int, height: int
) -> None:
    points = [Point(at, sorted(v)[len(v) // 2], min(v), max(v)) for at, v in values]
    shown = plot(points, width=width, height=height, first="first", last="last")
    assert len(shown) <= height + 2
    assert all(len(line) <= width for line in shown)
