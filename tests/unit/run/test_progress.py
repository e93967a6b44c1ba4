"""What people see while stages run: in plain lines, on a terminal, and never a foreign command."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mcgitops.plan.model import RunPlan
from mcgitops.project.model import Combination
from mcgitops.run.engine import Usage
from mcgitops.run.progress import (
    PlainReporter,
    TerminalReporter,
    human_bytes,
    human_seconds,
    printable,
    summary,
)
from mcgitops.store.records import ImageRef, Resources, RunRecord

RUN = RunPlan(
    "train", Combination((), (("SEED", "0"),)), "a" * 64, {}, "i", cached=False, reason="first run",
    expected_seconds=41.0,
)  # fmt: skip


def record(state: Any = "succeeded", **keys: Any) -> RunRecord:
    code = keys.pop("code", 0)
    return RunRecord(
        project="p", stage="train", fingerprint="a" * 64, state=state, exit_code=code,
        started=datetime.now(UTC), image=ImageRef(reference="i"),
        resources=Resources(wall_seconds=40.2, peak_memory_bytes=512 * 1024**2),
        metrics={"m.json": {"accuracy": 0.9722, "ok": True, "name": "x"}}, **keys,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "– s"), (0.0, "0.0 s"), (41, "41.0 s"), (126, "2 min 6 s"), (3840, "1 h 4 min")],
)
def test_durations_for_people(seconds: float | None, shown: str) -> None:
    assert human_seconds(seconds) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [(None, "–"), (7, "7 B"), (2048, "2.0 KiB"), (512 * 1024**2, "512 MiB"), (1024**4, "1024 GiB")],
)
def test_sizes_for_people(size: int | None, shown: str) -> None:
    assert human_bytes(size) == shown


def test_a_finished_run_on_one_line() -> None:
    assert summary(RUN, record()) == "✔ train SEED=0   40.2 s   512 MiB   accuracy 0.9722"
    failed = summary(RUN, record("failed", code=3))
    assert failed == "✖ train SEED=0   40.2 s   512 MiB   failed with exit code 3"
    assert summary(RUN, record("timed-out")).endswith("timed-out")


def told(reporter: PlainReporter, state: Any = "succeeded", **keys: Any) -> None:
    reporter.started(RUN)
    reporter.line(RUN, "epoch 1")
    reporter.line(RUN, "::error::\x1b[31mred\x07")
    reporter.finished(RUN, record(state, **keys))


def test_plain_lines_show_a_log_in_one_piece() -> None:
    out = io.StringIO()
    told(PlainReporter(out), warnings=("careful\x1b[2J",))
    assert out.getvalue().splitlines() == [
        "· train SEED=0   first run",
        "✔ train SEED=0   40.2 s   512 MiB   accuracy 0.9722",
        "── log of train SEED=0",
        "epoch 1",
        "::error::�[31mred�",
        "  warning: careful�[2J",
    ]


def test_a_long_run_gives_a_sign_of_life() -> None:
    out = io.StringIO()
    reporter = PlainReporter(out, every=0.0)
    reporter.started(RUN)
    reporter.line(RUN, "epoch 12/30 ::error::x\n")
    reporter.usage(RUN, Usage(memory_bytes=5 * 1024**2))
    assert out.getvalue().splitlines()[1:] == [
        "· train SEED=0   0.0 s   5.0 MiB   epoch 12/30 ::error::x\ufffd"
    ]
    silent = PlainReporter(out := io.StringIO())
    silent.started(RUN)
    silent.usage(RUN, Usage())
    assert len(out.getvalue().splitlines()) == 1


def test_quiet_hides_the_logs_of_what_succeeds_only() -> None:
    out = io.StringIO()
    told(PlainReporter(out, quiet=True))
    assert "epoch" not in out.getvalue()
    told(PlainReporter(out, quiet=True), "failed", code=1)
    assert "epoch 1" in out.getvalue()


def test_in_ci_the_log_of_a_failure_is_left_open_and_wrapped() -> None:
    out = io.StringIO()
    reporter = PlainReporter(
        out, group=lambda t: f"<{t}>", endgroup=lambda: "</>", untrusted=lambda t: f"[{t}]",
        failure=lambda run, rec: f"annotation of {run.label}",
    )  # fmt: skip
    told(reporter)
    assert "<log of train SEED=0>\n[epoch 1" in out.getvalue()
    assert "]\n</>\n" in out.getvalue()
    out.truncate(0)
    told(reporter, "failed", code=1)
    assert "<log of" not in out.getvalue()
    assert "annotation of train SEED=0" in out.getvalue()


@given(st.text())
def test_nothing_that_steers_a_terminal_gets_through(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not [c for c in shown if (ord(c) < 32 and c != "\t") or 127 <= ord(c) < 160]


def test_a_terminal_shows_one_line_a_run_and_keeps_the_results() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)
    reporter = TerminalReporter(console)
    try:
        reporter.building("train", "docker …")
        assert "build train" in reporter._render().plain
        reporter.built("train", 2.0)
        reporter.started(RUN)
        reporter.line(RUN, "epoch 12/30\x1b[2J")
        reporter.usage(RUN, Usage(memory_bytes=505 * 1024**2))
        live = reporter._render().plain
        assert "train SEED=0" in live
        assert "of ~41.0 s" in live
        assert "505 MiB" in live
        assert live.endswith("epoch 12/30�[2J")
        reporter.finished(RUN, record("failed", code=3))
        assert reporter._render().plain == ""
        other = replace(RUN, fingerprint="b" * 64)
        reporter.started(other)
        reporter.finished(other, record(warnings=("w",)))
    finally:
        reporter.close()
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "✔ build train   2.0 s" in said
    assert "✖ train SEED=0" in said
    assert "    epoch 12/30�[2J" in said
    assert "warning: w" in said
