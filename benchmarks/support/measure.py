"""Runs programs and takes their time and memory; two sides in turn, so that noise meets both."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Side = Callable[[], "Sample"]


@dataclass(frozen=True)
class Sample:
    """One execution: wall time, and the resident memory of its largest process."""

    seconds: float
    peak_bytes: int = 0


class CommandFailed(Exception):
    """A measured program failed: its time means nothing. The text quotes its last lines."""


def measured(argv: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> Sample:
    """Run a program to its end. Raises `CommandFailed` where it doesn't end with 0."""
    words = [str(word) for word in argv]
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=dict(env if env is not None else clean_environment()),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        # wait4 and not wait(): it alone tells what this one program used
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            tail = said.read().decode("utf-8", "replace").splitlines()[-15:]
            raise CommandFailed(
                f"{' '.join(words[:6])} ended with {process.returncode}:\n" + "\n".join(tail)
            )
    return Sample(seconds, usage.ru_maxrss * 1024)


FOREIGN = (
    "ACTIONS_", "AWS_", "COMPOSE_", "COVERAGE", "DVC_", "GITHUB_", "GIT_", "INPUT_", "MCGITOPS_",
    "PYTHON", "PYTEST", "RUNNER_", "VIRTUAL_ENV",
)  # fmt: skip


def clean_environment(**extra: str) -> dict[str, str]:
    """The caller's environment without what could change a result.

    PYTHONDONTWRITEBYTECODE above all: with it every start compiles the program anew.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN) and k != "CI"}
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **extra}


@dataclass(frozen=True)
class Series:
    """Repeated executions of one thing."""

    samples: tuple[Sample, ...]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def spread(self) -> float:
        """How far the middle half of the times lies apart, in seconds."""
        times = [sample.seconds for sample in self.samples]
        if len(times) < 2:
            return 0.0
        lower, _, upper = statistics.quantiles(times, n=4, method="inclusive")
        return upper - lower

    @property
    def peak_bytes(self) -> int:
        """The most memory of any execution."""
        return max(sample.peak_bytes for sample in self.samples)


def in_turn(repeats: int, *sides: Side, warm_up: int = 1) -> tuple[Series, ...]:
    """Execute the sides one after the other, `repeats` times over: A B A B …

    What runs before counts not: it fills caches, for all sides alike.
    """
    for _ in range(warm_up):
        for side in sides:
            side()
    taken: list[list[Sample]] = [[] for _ in sides]
    for _ in range(repeats):
        for samples, side in zip(taken, sides, strict=True):
            samples.append(side())
    return tuple(Series(tuple(samples)) for samples in taken)
