"""What the HTML report's charts are packed into, and that nothing but digits gets lost."""

from __future__ import annotations

import base64
import math
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.compare.model import PlotPair
from mcgitops.report import packing
from mcgitops.report.packing import Line, line, lines_of, pack, pack_all

FLOATS = st.floats(width=32, min_value=-(2.0**120), max_value=2.0**120)


def unpacked(packed: dict) -> list[tuple[list[float], list[float]]]:
    """Head and base, as the script in the page reads them."""
    letters = packed["b"].translate(str.maketrans(",./", "<>&"))
    raw = zlib.decompress(base64.b85decode(letters), -15)
    sides: list[tuple[list[float], list[float]]] = []
    for count, axis in zip(packed["n"], packed["x"], strict=True):
        if axis == 1:
            xs = sides[0][0]
        elif axis == 0:
            planes, raw = raw[: 8 * count], raw[8 * count :]
            words = [bytes(planes[i + k * count] for k in range(8)) for i in range(count)]
            xs = [struct.unpack(">d", word)[0] for word in words]
        else:
            xs = [axis[0] + i * axis[1] for i in range(count)]
        planes, raw = raw[: 3 * count], raw[3 * count :]
        words = [bytes(planes[i + k * count] for k in range(3)) + b"\0" for i in range(count)]
        sides.append((xs, [struct.unpack(">f", word)[0] for word in words]))
    assert raw == b""
    return sides


@given(st.lists(FLOATS, min_size=1, max_size=40), st.sampled_from([13, 15]))
def test_values_keep_their_first_digits(ys, bits):
    xs = [float(i) for i in range(len(ys))]
    (_, found), _ = unpacked(pack(Line((), ()), Line(xs, ys), bits))
    for before, after in zip(ys, found, strict=True):
        assert after == pytest.approx(before, rel=2.0 ** -(bits + 1), abs=1e-37)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), unique=True, max_size=30),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), unique=True, max_size=30),
)
def test_x_is_exact(base, head):
    sides = [Line(sorted(xs), [1.0] * len(xs)) for xs in (base, head)]
    found_head, found_base = unpacked(pack(*sides))
    assert found_head[0] == sorted(head)
    assert found_base[0] == sorted(base)


def test_even_steps_and_a_shared_axis_take_no_room():
    xs = [float(x) for x in range(0, 5000, 10)]
    packed = pack(Line(xs, [1.0] * 500), Line(xs, [2.0] * 500))
    assert packed["x"] == [[0.0, 10.0], 1]
    assert len(str(packed["b"])) < 60


def test_no_letter_means_anything_in_html():
    packed = pack(Line((), ()), Line(range(5000), [math.sin(i * i) for i in range(5000)]))
    assert not set("<>&\"'\\") & set(str(packed["b"]))
    assert len(set(str(packed["b"]))) > 80  # of the 85


@pytest.mark.parametrize(
    ("xs", "ys", "expected"),
    [
        ((3.0, 1.0, 2.0), (30.0, 10.0, 20.0), ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])),
        ((1.0, 1.0, 2.0), (5.0, 6.0, 7.0), ([1.0, 2.0], [6.0, 7.0])),  # the last one counts
        ((1.0, math.nan, math.inf, 2.0), (1.0, 2.0, 3.0, 4.0), ([1.0, 2.0], [1.0, 4.0])),
        ((1.0, 2.0, 3.0), (1.0, 2.0), ([1.0, 2.0], [1.0, 2.0])),  # cut off
        ((), (), ([], [])),
    ],
)
def test_a_line_ascends(xs, ys, expected):
    found = line(xs, ys)
    assert (list(found.xs), list(found.ys)) == expected


@pytest.mark.parametrize("odd", [None, math.nan, math.inf, -math.inf, 1e39])
def test_what_cannot_be_drawn_is_a_gap(odd):
    found = line((0.0, 1.0, 2.0), (1.0, odd, 3.0))
    assert math.isnan(found.ys[1])
    assert math.isnan(unpacked(pack(Line((), ()), found))[0][1][1])


def test_a_base_of_one_point_is_none():
    pair = PlotPair("s", "p", "loss", "step", (0.0, 1.0), (1.0, 2.0), (0.0,), (1.0,))
    base, head = lines_of(pair)
    assert head.drawable
    assert not base.drawable
    assert list(base.xs) == []


def test_all_charts_together_have_a_limit(monkeypatch):
    monkeypatch.setattr(packing, "MOST_POINTS", 3000)
    charts = [(Line((), ()), Line(range(2001), [0.5] * 2001)) for _ in range(4)]
    packed = pack_all(charts)
    assert all(item["n"] == [668, 0] for item in packed)
    for item in packed:
        xs, _ = unpacked(item)[0]
        assert (xs[0], xs[-1]) == (0, 2000)


def test_few_points_are_never_thinned():
    short = Line(range(150), [1.0] * 150)
    assert packing.thinned(short, 50) is short
