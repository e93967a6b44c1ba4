"""What push and pull show while they run."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest

from mcgitops.cli.app import App
from mcgitops.cli.transfer import sentence, shown
from mcgitops.store.transfer import CopyResult, Progress


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with shown(App(environ={"CI": "true"}), "Pushing") as told:
        for second in range(25):
            clock[0] = 100.0 + second
            told(Progress(second * 1_000_000, 40_000_000, second, 40))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Pushing 10.0 MB of 40.0 MB, 10 of 40 files, 1.0 MB/s, 30.0 s left",
        "Pushing 20.0 MB of 40.0 MB, 20 of 40 files, 1.0 MB/s, 20.0 s left",
    ]


def test_a_quick_transfer_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(App(environ={}), "Pushing") as told:
        told(Progress(1, 1, 1, 1))
    assert capsys.readouterr() == ("", "")


BAR = """
import time
from mcgitops.cli.app import App
from mcgitops.cli import transfer
from mcgitops.store.transfer import Progress
transfer.QUIET_SECONDS = 0
with transfer.shown(App(environ={"TERM": "xterm"}), "Pulling") as told:
    told(Progress(5_000_000, 10_000_000, 1, 2))
    time.sleep(0.2)
    told(Progress(10_000_000, 10_000_000, 2, 2))
"""


def test_a_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", BAR], stdout=subprocess.PIPE, stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as process:  # fmt: skip
        out, _ = process.communicate(timeout=60)
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        shown_there = terminal.read1(100_000).decode()
    assert out == b""
    assert "Pulling" in shown_there
    assert "10.0 MB" in shown_there


def test_one_is_not_called_many() -> None:
    assert sentence(CopyResult(records=1, objects=1, bytes=10)) == "1 record and 1 file (10 B)"
    assert sentence(CopyResult(records=2, objects=0)) == "2 records and 0 files (0 B)"
