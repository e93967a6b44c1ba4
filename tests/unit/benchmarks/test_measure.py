"""A benchmark's figures are what they say: times and memory of programs, medians, verdicts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.support.measure import (
    CommandFailed,
    Sample,
    Series,
    clean_environment,
    in_turn,
    measured,
)


def series(*seconds: float, peak: int = 0) -> Series:
    return Series(tuple(Sample(each, peak) for each in seconds))


def test_a_program_is_measured_with_its_children(tmp_path: Path) -> None:
    child = "import time; data = bytearray(120 * 1024 * 1024); time.sleep(0.3)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    sample = measured([sys.executable, "-c", parent], tmp_path)
    assert sample.seconds >= 0.3
    assert sample.peak_bytes > 120 * 1024 * 1024


def test_a_program_that_fails_has_no_time(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="ended with 3:\nbroken"):
        measured(["sh", "-c", "echo broken >&2; exit 3"], tmp_path)


def test_sides_take_turns_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []

    def side(name: str) -> Sample:
        order.append(name)
        return Sample(float(len(order)))

    first, second = in_turn(2, lambda: side("a"), lambda: side("b"), warm_up=1)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [sample.seconds for sample in first.samples] == [3, 5]
    assert [sample.seconds for sample in second.samples] == [4, 6]


def test_one_slow_execution_does_not_move_the_median() -> None:
    assert series(1, 1, 1, 1, 100).median == 1
    assert series(1, 1, 1, 1, 100).spread == 0
    assert series(1, 2, 3, 4, 5).spread == 2
    assert Series((Sample(1, 7), Sample(2, 5))).peak_bytes == 7


def test_what_could_change_a_result_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONDONTWRITEBYTECODE", "COVERAGE_PROCESS_START", "MCGITOPS_STORE", "CI"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere")
    env = clean_environment(EXTRA="2")
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert "COVERAGE_PROCESS_START" not in env
    assert "MCGITOPS_STORE" not in env
    assert "CI" not in env
    assert env["DOCKER_HOST"] == "unix:///somewhere"
    assert env["EXTRA"] == "2"
