"""Starting programs, saying what happens, and the one error of the lab."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "lab"
LABEL = "mclab"  # of containers, networks and volumes; images would pass it on to what uses them
REPOSITORY = "mcgitops-lab"  # of the lab's images

# buildx keeps notes in ~/.docker/buildx by default, and would use the builder that is selected
# there. The lab builds with the engine itself, and leaves the home folder alone.
os.environ.setdefault("BUILDX_CONFIG", str(ROOT / ".cache" / "buildx"))


class LabError(Exception):
    """A component can't be had here; the text says which, and what to do."""


def say(text: str) -> None:
    """Tell the person at the terminal; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def run(
    *argv: str | Path,
    check: bool = True,
    stdin: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. A failure is a `LabError` that quotes its last lines."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input="" if stdin is None else stdin,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            timeout=timeout,
        )
    except FileNotFoundError:
        if check:
            raise LabError(f"{words[0]} is not installed.") from None
        return subprocess.CompletedProcess(words, 127, "", f"{words[0]}: not found")
    except subprocess.TimeoutExpired:
        if check:
            raise LabError(f"{' '.join(words)}: no answer within {timeout:g} s.") from None
        return subprocess.CompletedProcess(words, 124, "", "timed out")
    if check and done.returncode:
        raise LabError(failure(words, done))
    return done


def failure(words: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    """What a failed program said last, as text for a `LabError`."""
    tail = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).splitlines()[-30:])
    return f"{' '.join(words[:6])} … ended with {done.returncode}:\n{tail}"


def output(
    *argv: str | Path, env: Mapping[str, str] | None = None, timeout: float | None = None
) -> str:
    """What a program printed, stripped; "" where it failed or isn't there."""
    done = run(*argv, check=False, env=env, timeout=timeout)
    return done.stdout.strip() if done.returncode == 0 else ""
