"""A missed bound is said and is exit code 1."""

from __future__ import annotations

import pytest

from benchmarks.support.volume import Bound, Row, Trip, middle, verdict

TRIPS = [Trip(3_000_000, 1.0), Trip(1_000_000, 5.0), Trip(2_000_000, 2.0)]


def test_the_middle_is_taken_of_bytes_and_of_seconds() -> None:
    assert middle(TRIPS) == Trip(2_000_000, 2.0)


@pytest.mark.parametrize(("value", "kept"), [(2.9, True), (3.0, True), (3.01, False)])
def test_a_bound_is_the_most_that_something_may_be(value: float, kept: bool) -> None:
    assert Bound("travelled", value, 3.0).kept is kept


def test_the_table_names_what_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    kept = Row("small", TRIPS, bounds=(Bound("travelled", 2.0, 3.0, " MB"),))
    missed = Row("large", TRIPS, TRIPS, (Bound("bytes", 1.0, 1.1), Bound("seconds", 1.2, 1.0)))
    assert verdict("Ships", [kept], "ssh") == 0
    assert "Missed" not in capsys.readouterr().out
    assert verdict("Ships", [kept, missed], "ssh") == 1
    shown = capsys.readouterr().out
    assert "Missed: large." in shown
    assert "travelled 2.00 MB ≤ 3.00 MB kept" in shown
    assert "seconds 1.20 ≤ 1.00 MISSED" in shown
    assert "2.00 MB" in shown and "2.00 s (1.00–5.00)" in shown
