"""Half of the work in a second process: all of it is done, whatever becomes of that one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys, threading, time
from pathlib import Path
from mcgitops.store.helper import halved

folder, how = Path(sys.argv[1]), sys.argv[2]
first = os.getpid()
os.sched_getaffinity = lambda _: {0, 1}
if how == "unheard":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)

def work(number):
    if how == "fails" and number == 900:
        raise SystemExit("900 can't be done")
    if how == "killed" and os.getpid() != first and number == 700:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "gone" and os.getpid() == first and number == 300:
        os.kill(first, signal.SIGKILL)
    if how == "stopped" and os.getpid() == first and number == 300:
        time.sleep(0.2)
        os.killpg(first, signal.SIGINT)
    if how == "stopped" and os.getpid() != first:
        (folder / "half").touch()
        try:
            time.sleep(60)
        finally:
            (folder / "half").unlink()
    if how == "gone" and os.getpid() != first:
        time.sleep(0.01)
    (folder / f"{number:04}").write_text(str(os.getpid() == first))

if how == "threads":
    threading.Thread(target=time.sleep, args=(1,)).start()
halved(work, range(1000), 5000 if how == "few" else 1000)
"""


def run(folder: Path, how: str) -> tuple[subprocess.CompletedProcess[str], dict[int, bool]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        start_new_session=True,
    )
    return done, {int(path.name): path.read_text() == "True" for path in folder.iterdir()}


def test_half_is_done_by_a_second_process(tmp_path: Path) -> None:
    done, by_first = run(tmp_path, "well")
    assert done.returncode == 0, done.stderr
    assert by_first == {number: number < 500 for number in range(1000)}


@pytest.mark.parametrize("how", ["few", "threads"])
def test_one_process_does_it_alone(tmp_path: Path, how: str) -> None:
    done, by_first = run(tmp_path, how)
    assert done.returncode == 0, done.stderr
    assert by_first == dict.fromkeys(range(1000), True)


def test_what_the_second_one_leaves_is_done_by_the_first(tmp_path: Path) -> None:
    done, by_first = run(tmp_path, "killed")
    assert done.returncode == 0, done.stderr
    assert by_first == dict.fromkeys(range(1000), True)


def test_what_is_wrong_is_said_by_the_first(tmp_path: Path) -> None:
    done, by_first = run(tmp_path, "fails")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "900 can't be done"
    assert len(by_first) == 900


def test_the_second_one_ends_with_the_first_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    done, by_first = run(tmp_path, "stopped")
    assert "KeyboardInterrupt" in done.stderr
    assert done.stderr.count("Traceback") == 1
    assert sorted(by_first) == list(range(300))
    assert not any(str(tmp_path) in line for line in _running())


def test_where_nobodys_end_is_told_all_is_done_all_the_same(tmp_path: Path) -> None:
    done, by_first = run(tmp_path, "unheard")
    assert done.returncode == 0, done.stderr
    assert by_first == dict.fromkeys(range(1000), True)


def test_nothing_goes_on_behind_one_that_was_killed(tmp_path: Path) -> None:
    done, _ = run(tmp_path, "gone")
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while any(str(tmp_path) in line for line in _running()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(list(tmp_path.iterdir())) < 700  # of the second one's 500 hardly any


def _running() -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found
