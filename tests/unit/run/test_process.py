"""Programs are started by argument list, followed line by line, and ended with all they started."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mcgitops.commands.command import Command, Secret
from mcgitops.errors import EngineError
from mcgitops.facts.program import output
from mcgitops.run.process import Cancelled, CommandFailed, execute, listen


def sh(script: str, **options: object) -> Command:
    return Command(("sh", "-c", script), **options)  # type: ignore[arg-type]


def heard(script: str, folder: Path, told: Callable[[str], None] = lambda _: None) -> list[str]:
    """What is heard of a program, each line told as soon as it is."""
    lines: list[str] = []

    def line(_: str, text: str) -> None:
        lines.append(text)
        told(text)

    with subprocess.Popen(
        ["sh", "-c", script], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        listen(process.stdout, process.stderr, line)
    return lines


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2][:4]


def test_both_streams_come_line_by_line(tmp_path: Path) -> None:
    script = "echo a; echo b >&2; printf 'é\\377'"
    assert sorted(heard(script, tmp_path)) == ["a", "b", "é�"]
    done = execute(sh(script), tmp_path)
    assert (done.code, done.stdout, done.stderr) == (0, "a\né�", "b")


def test_folder_environment_and_input_reach_the_program(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "in.txt").write_text("given")
    command = sh(
        'pwd; echo "$A $T"; cat', cwd="sub", stdin="in.txt",
        env={"A": "1", "T": Secret("T", "geheim")},
    )  # fmt: skip
    assert execute(command, tmp_path).stdout == f"{tmp_path}/sub\n1 geheim\ngiven"
    assert execute(sh("cat"), tmp_path, input=b"x" * 200_000).stdout == "x" * 200_000
    assert execute(sh("true"), tmp_path, input=b"x" * 5_000_000).code == 0  # nobody reads it


def test_a_failure_quotes_the_programs_own_last_lines(tmp_path: Path) -> None:
    command = sh("seq 100; echo it broke >&2; exit 7", env={"T": Secret("T", "geheim")})
    with pytest.raises(CommandFailed) as caught:
        execute(command.because("make it so"), tmp_path)
    text = str(caught.value)
    assert "failed with exit code 7" in text
    assert "  it broke" in text
    assert "  20\n" not in text
    assert "It was to: make it so." in text
    assert "geheim" not in text
    assert caught.value.code == 7
    assert execute(command, tmp_path, check=False).code == 7


@pytest.mark.parametrize("before", ["", "echo a warning >&2; "])
def test_what_was_said_last_is_quoted_last_however_late_it_is_read(
    tmp_path: Path, before: str
) -> None:
    # Whoever reads is held up at two lines until the program has gone on: then both pipes are full,
    # and only the order of reading tells that the sentence on stderr came after the rest.
    def hold(line: str) -> None:
        if line in ("first", "second"):
            (tmp_path / line).touch()
            time.sleep(0.5)

    script = (
        "echo first; until [ -e first ]; do sleep 0.01; done; "
        f"{before}echo second; until [ -e second ]; do sleep 0.01; done; "
        "seq 2000; echo it broke >&2; exit 7"
    )
    assert heard(script, tmp_path, hold)[-2:] == ["2000", "it broke"]


def test_a_program_that_uses_both_streams_in_turn_is_quoted_with_its_last_sentence(
    tmp_path: Path,
) -> None:
    turns = "for i in 1 2 3 4 5 6; do seq 3000; echo a warning >&2; done; "
    for _ in range(20):
        with pytest.raises(CommandFailed) as caught:
            execute(sh(turns + "seq 100; echo it broke >&2; exit 7"), tmp_path)
        assert "it broke" in caught.value.lines[-2:]


def test_lines_longer_than_a_pipe_come_whole(tmp_path: Path) -> None:
    script = "head -c 300000 /dev/zero | tr '\\0' x; echo; echo '  y\r'; printf end"
    done = execute(sh(script), tmp_path)
    assert done.stdout == "x" * 300_000 + "\n  y\nend"


def test_a_program_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="nope is not installed, or not on PATH"):
        execute(Command(("nope",)), tmp_path)
    with pytest.raises(EngineError, match="nope is not installed, or not on PATH"):
        output(("nope",), tmp_path)


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s"):
        execute(sh("sleep 60 & echo $! > child; sleep 60"), tmp_path, timeout=0.5)
    assert time.monotonic() - began < 10
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)


def test_a_program_that_ignores_being_asked_is_killed_when_cancelled(tmp_path: Path) -> None:
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        execute(sh("trap '' TERM; echo $$ > me; while :; do sleep 0.1; done"), tmp_path,
                cancel=cancel)  # fmt: skip
    assert time.monotonic() - began < 15
    assert not is_alive(int((tmp_path / "me").read_text()))


def test_looking_quotes_the_last_lines_and_ends_in_time(tmp_path: Path) -> None:
    assert output(("sh", "-c", "echo a; echo b >&2; exit 3"), tmp_path, check=False).code == 3
    with pytest.raises(EngineError, match="failed with exit code 3:\nb"):
        output(("sh", "-c", "echo a; echo b >&2; exit 3"), tmp_path)
    with pytest.raises(Exception, match=r"did not answer within 0\.2 s"):
        output(("sleep", "9"), tmp_path, timeout=0.2)
