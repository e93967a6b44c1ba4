"""Executes one `Command`: the only place that starts somebody else's program to change things."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from mcgitops.commands.command import Command, Secret
from mcgitops.deferred import dataclass
from mcgitops.errors import McgitopsError
from mcgitops.facts.program import missing_program

_KEPT_LINES = 40
_PIPE = 1 << 20  # bytes; as much as a pipe can hold on Linux without privileges


class CommandFailed(McgitopsError):
    """A program ended with an error; quoted with its own last lines."""

    def __init__(self, command: Command, code: int, lines: list[str], hint: str = "") -> None:
        self.command = command
        self.code = code
        self.lines = lines
        quoted = "\n".join(f"  {line}" for line in lines[-_KEPT_LINES:])
        host = f" on {command.host}" if command.host else ""
        said = f":\n{quoted}\n" if quoted else ". "
        super().__init__(
            f"{command.shell_line()}\nfailed{host} with exit code {code}{said}".rstrip(),
            hint or (command.reason and f"It was to: {command.reason}."),
        )


@dataclass(frozen=True)
class Completed:
    """How a command ended, and what it printed."""

    code: int
    stdout: str
    stderr: str


class Cancelled(McgitopsError):
    """The caller's `cancel` event was set while a command ran."""

    exit_code = 130


def execute(
    command: Command,
    folder: Path,
    *,
    input: bytes | None = None,  # noqa: A002  (as in subprocess.run)
    timeout: float | None = None,
    check: bool = True,
    cancel: threading.Event | None = None,
) -> Completed:
    """Run `command` in `folder / command.cwd`.

    Raises `CommandFailed` for a non-zero exit with `check`, for a `timeout` (seconds), and
    `Cancelled` when `cancel` is set; the program and all that it started are ended first.
    """
    if input is None and command.stdin:
        input = (folder / command.stdin).read_bytes()  # noqa: A001
    environment = dict(os.environ)
    for name, value in command.env.items():
        environment[name] = value.reveal() if isinstance(value, Secret) else value
    try:
        process = subprocess.Popen(
            command.argv,
            cwd=folder / command.cwd,
            env=environment,
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C reaches us first, and we decide the order
        )
    except FileNotFoundError:
        raise missing_program(command.argv[0]) from None
    captured: dict[str, list[str]] = {"stdout": [], "stderr": []}
    both: list[str] = []

    def heard(name: str, line: str) -> None:
        captured[name].append(line)
        both.append(line)

    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    streams = (process.stdout, process.stderr, heard)
    workers = [threading.Thread(target=listen, args=streams, daemon=True)]
    if process.stdin is not None and input is not None:
        workers.append(threading.Thread(target=_feed, args=(process.stdin, input), daemon=True))
    for worker in workers:
        worker.start()
    waited = 0.0
    step = 0.2 if cancel is not None or timeout is not None else None
    try:
        while True:
            try:
                code = process.wait(step)
                break
            except subprocess.TimeoutExpired:
                waited += step or 0
                if cancel is not None and cancel.is_set():
                    end(process)
                    raise Cancelled("Interrupted.") from None
                if timeout is not None and waited >= timeout:
                    end(process)
                    raise CommandFailed(
                        command, 124, both, f"It did not end within {timeout:g} s."
                    ) from None
    except BaseException:
        end(process)
        raise
    for worker in workers:
        worker.join()
    if check and code != 0:
        raise CommandFailed(command, code, both)
    return Completed(code, "\n".join(captured["stdout"]), "\n".join(captured["stderr"]))


def listen(out: IO[bytes], err: IO[bytes], heard: Callable[[str, str], None]) -> None:
    """Tell `heard` (stream, line) of each line until both streams have ended.

    stderr is read first and told last: what was printed to stdout before that is in its pipe then,
    and is read in the same round. So what a program says at its end is heard after what it printed
    before, and is among the last lines, which are quoted. (A thread for each stream would leave
    that to chance.)
    """
    open_ = {"stderr": err, "stdout": out}
    rest = {name: bytearray() for name in open_}
    with selectors.PollSelector() as waiting:
        for stream in open_.values():
            os.set_blocking(stream.fileno(), False)
            waiting.register(stream, selectors.EVENT_READ)
        while open_:
            waiting.select()
            said: dict[str, list[bytearray]] = {}
            for name, stream in list(open_.items()):
                try:
                    data = os.read(stream.fileno(), _PIPE)
                except BlockingIOError:
                    continue
                rest[name] += data
                if b"\n" in data:
                    *said[name], rest[name] = rest[name].split(b"\n")
                if not data:
                    waiting.unregister(stream)
                    open_.pop(name).close()
                    said[name] = [rest[name]] if rest[name] else []
            for name in ("stdout", "stderr"):
                for raw in said.get(name, ()):
                    heard(name, raw.decode("utf-8", "replace").rstrip("\r"))


def _feed(stream: IO[bytes], data: bytes) -> None:
    try:
        stream.write(data)
        stream.close()
    except BrokenPipeError:
        pass  # the program didn't want it all; its exit code tells


def end(process: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    """End a program and all that it started: politely, then not."""
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    except ProcessLookupError:
        process.wait()
