"""Runs a program that only looks, and returns what it printed."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mcgitops.deferred import dataclass
from mcgitops.errors import EngineError, McgitopsError

T = TypeVar("T")


@dataclass(frozen=True)
class Output:
    """What a program printed, and its exit code."""

    stdout: str
    stderr: str
    code: int


def output(
    argv: Sequence[str],
    cwd: Path,
    *,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    timeout: float | None = None,
) -> Output:
    """Run `argv` in `cwd`, with `env` added to ours.

    Raises `EngineError` where the program is missing, or, with `check`, where it fails: its own
    last lines are quoted.
    """
    started, environ = argv, {**os.environ, **env} if env else None
    if "compose" in argv:
        from mcgitops.facts.plugin import direct  # git and ssh are called without it

        started, environ = direct(argv, environ or os.environ) or (started, environ)
    try:
        done = subprocess.run(
            started,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise missing_program(argv[0]) from None
    except subprocess.TimeoutExpired:
        raise McgitopsError(
            f"{' '.join(argv[:3])} did not answer within {timeout:g} s.",
            "Check that it is not waiting for the network or for input.",
        ) from None
    result = Output(
        done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"),
        done.returncode,
    )  # fmt: skip
    if check and result.code != 0:
        lines = (result.stderr.strip() or result.stdout.strip()).splitlines()[-10:]
        raise EngineError(
            f"{' '.join(argv[:3])} failed with exit code {result.code}:\n" + "\n".join(lines)
        )
    return result


def in_background(look: Callable[[], T]) -> Callable[[], T]:
    """Start to look, in a thread; call what is returned for the answer, or for what it raised."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(look())
        except BaseException as error:  # noqa: BLE001  (raised where the answer is asked for)
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def answer() -> T:
        thread.join()
        if errors:
            raise errors[0]
        return answers[0]

    return answer


def missing_program(name: str) -> EngineError:
    """The error for a program that isn't installed, with how to get it."""
    hints = {
        "docker": "Install Docker Engine with Compose and buildx: docs.docker.com/engine.",
        "git": "Install git.",
        "ssh": "Install an OpenSSH client.",
    }
    return EngineError(f"{name} is not installed, or not on PATH.", hints.get(name, ""))
