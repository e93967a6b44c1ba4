"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.compare import numbers


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        (0.972222, 0.944444, ("0.9722", "0.9444", "−0.0278")),
        (0.093, 0.101, ("0.093", "0.101", "+0.008")),
        (3, 4, ("3", "4", "+1")),
        (1_204_000.0, 1_204_321.0, ("1,204,000", "1,204,321", "+321")),
        (0.5, 0.5, ("0.5", "0.5", "0.0")),
        (12.5, 11.25, ("12.50", "11.25", "−1.25")),
        (1e-7, 2e-7, ("1e−7", "2e−7", "+1e−7")),
        (1e300, 2e300, ("1e+300", "2e+300", "+1e+300")),
        (0.5, math.nan, ("0.5", "NaN", "NaN")),
        (0.5, math.inf, ("0.5", "∞", "+∞")),
        (-0.25, -0.5, ("−0.25", "−0.50", "−0.25")),
        (0.3, 0.3 + 1e-12, ("0.3", "0.3", "+1e−12")),
    ],
)
def test_a_row_shows_as_many_digits_as_the_difference_needs(base, head, expected):
    assert numbers.row(base, head, head - base) == expected


def test_a_row_with_one_side():
    assert numbers.row(None, 0.94444, None) == ("", "0.9444", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.0, "0"), (-0.0, "0"), (3.0, "3"), (0.123456, "0.1235"), (1234.5, "1,234"),
        (-2.5, "−2.5"), (1e-9, "1e−9"), (1.5e20, "1.5e+20"), (math.nan, "NaN"),
        (-math.inf, "−∞"), (0.09999999, "0.1"),
    ],
)  # fmt: skip
def test_a_number_alone(value, text):
    assert numbers.plain(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (-2.857, "−2.9 %"), (11.5, "+11.5 %"), (250.0, "+250 %"), (0.004, "+<0.01 %"),
        (0.5, "+0.50 %"), (0.0, "0.00 %"), (math.inf, "+>999,999 %"), (math.nan, ""),
    ],
)  # fmt: skip
def test_percentages(value, text):
    assert numbers.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (11_200_000, "11.2 MB"),
     (-32_800_000, "−32.8 MB"),
     (999_960, "1.0 MB"), (5e15, "5,000.0 TB"), (None, "")],
)  # fmt: skip
def test_sizes(value, text):
    assert numbers.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "0.0 s"), (41.02, "41.0 s"), (59.96, "1 min 0 s"), (126, "2 min 6 s"),
     (-90, "−1 min 30 s"),
     (11_100, "3 h 5 min"), (3599.7, "1 h 0 min"), (None, "")],
)  # fmt: skip
def test_durations(value, text):
    assert numbers.duration(value) == text


def test_a_deviation_has_the_decimals_of_its_mean():
    assert numbers.deviation(0.00412, "0.9722") == "0.0041"
    assert numbers.deviation(0.0000012, "0.9722") == "1e−6"
    assert numbers.deviation(2.34, "12") == "2.3"


@given(st.floats(), st.floats())
@settings(deadline=None)
def test_no_floats_raise_or_show_a_hyphen(base, head):
    for text in (*numbers.row(base, head, head - base), numbers.plain(base), numbers.percent(head)):
        assert "-" not in text
        assert "nan" not in text
    numbers.size(base if math.isfinite(base) else 0)
    numbers.duration(base if math.isfinite(base) else 0)


@given(st.floats(-1e14, 1e14), st.floats(-1e14, 1e14))
@settings(deadline=None)
def test_a_difference_is_never_shown_as_nothing(base, head):
    difference = head - base
    shown = numbers.row(base, head, difference)[2]
    assert (shown.strip("0.+−,") == "") == (difference == 0)
