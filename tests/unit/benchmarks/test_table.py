"""A missed bound is said and is exit code 1; each kind of bound is held against the right value."""

from __future__ import annotations

import pytest

from benchmarks.support.measure import Sample, Series
from benchmarks.support.table import Row, verdict


def series(seconds: float) -> Series:
    return Series((Sample(seconds, 50 * 2**20),))


@pytest.mark.parametrize(
    ("row", "value", "passed"),
    [
        (Row("r", series(1), series(2), "ratio", 0.5), 0.5, True),
        (Row("r", series(1.1), series(2), "ratio", 0.5), 0.55, False),
        (Row("d", series(1.4), series(1), "difference", 0.5), 0.4, True),
        (Row("d", series(1.6), series(1), "difference", 0.5), 0.6, False),
        (Row("d", series(0.5), series(1), "difference", 0.5), -0.5, True),
        (Row("s", series(1), None, "seconds", 1.0), 1.0, True),
        (Row("s", series(1.01), None, "seconds", 1.0), 1.01, False),
        (Row("reported", series(9), series(1)), 9.0, True),
        (Row("m", series(1), None, "seconds", 2.0, 50 * 2**20), 1.0, True),
        (Row("m", series(1), None, "seconds", 2.0, 50 * 2**20 - 1), 1.0, False),
    ],
)
def test_a_bound_is_kept_or_missed(row: Row, value: float, passed: bool) -> None:
    assert row.value == pytest.approx(value)
    assert row.passed is passed


def test_the_table_names_what_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    kept = Row("fast enough", series(1), series(4), "ratio", 0.5)
    missed = Row("too slow", series(3), series(4), "ratio", 0.5)
    assert verdict("Times", [kept, missed], "DVC") == 1
    shown = capsys.readouterr().out
    assert "Missed: too slow." in shown
    assert "0.25" in shown and "≤ 0.50" in shown and "50 MiB / 50 MiB" in shown


def test_all_bounds_kept_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row("fast", series(1), series(4), "ratio", 0.5), Row("reported", series(9))]
    assert verdict("Times", rows) == 0
    assert "Missed" not in capsys.readouterr().out
