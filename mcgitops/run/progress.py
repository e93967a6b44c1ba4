"""What people see while stages run: one live line a run on a terminal, plain lines in CI.

The executor tells a `Reporter` what happens, from several threads; how it looks is decided here.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import field
from typing import IO, TYPE_CHECKING, Protocol

from mcgitops.deferred import dataclass
from mcgitops.plan.model import RunPlan
from mcgitops.run.engine import Usage
from mcgitops.store.records import RunRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

TAIL = 30


class Reporter(Protocol):
    """Told what happens. Methods may be called from any thread."""

    def building(self, stage: str, command: str) -> None:
        """A stage's image is being built."""

    def built(self, stage: str, seconds: float) -> None:
        """It was."""

    def started(self, run: RunPlan) -> None:
        """A run begins."""

    def line(self, run: RunPlan, text: str) -> None:
        """The run's container said a line."""

    def usage(self, run: RunPlan, usage: Usage) -> None:
        """What it uses now."""

    def finished(self, run: RunPlan, record: RunRecord) -> None:
        """It ended, well or not."""

    def note(self, text: str) -> None:
        """A sentence for people: a warning, or what is waited for."""

    def close(self) -> None:
        """Nothing more comes."""


def human_seconds(seconds: float | None) -> str:
    """`41.0 s`, `2 min 6 s`, `1 h 4 min`."""
    if seconds is None:
        return "– s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def human_bytes(size: int | None) -> str:
    """`512 MiB`."""
    if size is None:
        return "–"
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.0f} GiB"


def headline_metrics(record: RunRecord, most: int = 3) -> str:
    """The first few numbers of a run: `accuracy 0.9722  log_loss 0.0931`."""
    shown = []
    for values in record.metrics.values():
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                shown.append(f"{printable(name)} {value:.4g}")
    return "  ".join(shown[:most])


def summary(run: RunPlan, record: RunRecord) -> str:
    """A finished run on one line."""
    mark = {"succeeded": "✔", "failed": "✖", "timed-out": "✖"}.get(record.state, "✖")
    parts = [
        f"{mark} {run.label}",
        human_seconds(record.resources.wall_seconds),
        human_bytes(record.resources.peak_memory_bytes),
    ]
    if record.state == "succeeded":
        parts.append(headline_metrics(record))
    elif record.state == "failed":
        parts.append(f"failed with exit code {record.exit_code}" if record.exit_code else "failed")
    else:
        parts.append(record.state)
    return "   ".join(part for part in parts if part)


def printable(text: str) -> str:
    """Text of somebody else's program without what could steer a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "�" for c in text)


@dataclass
class PlainReporter:
    """Plain lines, for CI and for pipes: a run's log is shown in one piece, when the run ends.

    A long run gives a sign of life now and then, with its last line. `group` and `endgroup` make a
    foldable block where the CI knows one; `untrusted` wraps lines that must not be taken as
    commands of the CI.
    """

    stream: IO[str] = field(default_factory=lambda: sys.stderr)
    group: Callable[[str], str] = lambda title: f"── {title}"
    endgroup: Callable[[], str] = lambda: ""
    untrusted: Callable[[str], str] = lambda text: text
    failure: Callable[[RunPlan, RunRecord], str] = lambda run, record: ""
    quiet: bool = False
    every: float = 60.0  # seconds between signs of life
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _lines: dict[str, list[str]] = field(default_factory=dict)
    _began: dict[str, float] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)

    def _print(self, text: str) -> None:
        if text:
            print(text, file=self.stream, flush=True)

    def building(self, stage: str, command: str) -> None:
        """Say which image is built."""
        with self._lock:
            self._print(f"build {stage}: {command}")

    def built(self, stage: str, seconds: float) -> None:
        """Say how long it took."""
        with self._lock:
            self._print(f"✔ build {stage}   {human_seconds(seconds)}")

    def started(self, run: RunPlan) -> None:
        """Say that it begins, and why."""
        with self._lock:
            self._lines[run.fingerprint] = []
            self._began[run.fingerprint] = self._told[run.fingerprint] = time.monotonic()
            self._print(f"· {run.label}   {printable(run.reason)}")

    def line(self, run: RunPlan, text: str) -> None:
        """Keep the line until the run ends."""
        with self._lock:
            self._lines.setdefault(run.fingerprint, []).append(printable(text))

    def usage(self, run: RunPlan, usage: Usage) -> None:
        """Now and then a line that says that it goes on."""
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(run.fingerprint, now) < self.every:
                return
            self._told[run.fingerprint] = now
            lines = self._lines.get(run.fingerprint)
            parts = [
                f"· {run.label}",
                human_seconds(now - self._began[run.fingerprint]),
                human_bytes(usage.memory_bytes) if usage.memory_bytes else "",
                lines[-1].strip()[:200] if lines else "",
            ]
            self._print("   ".join(part for part in parts if part))

    def finished(self, run: RunPlan, record: RunRecord) -> None:
        """The log as one group; that of a failed run is left open and its end repeated."""
        with self._lock:
            lines = self._lines.pop(run.fingerprint, [])
            self._print(summary(run, record))
            if (
                lines
                and record.state != "interrupted"
                and not (self.quiet and record.state == "succeeded")
            ):
                failed = record.state != "succeeded"
                self._print("" if failed else self.group(f"log of {run.label}"))
                self._print(self.untrusted("\n".join(lines)))
                self._print("" if failed else self.endgroup())
            if record.state != "succeeded":
                self._print(self.failure(run, record))
            for warning in record.warnings:
                self._print(f"  warning: {printable(warning)}")

    def note(self, text: str) -> None:
        """A sentence on its own line."""
        with self._lock:
            self._print(printable(text))

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class _Line:
    run: RunPlan
    began: float
    last: str = ""
    usage: Usage = field(default_factory=Usage)


class TerminalReporter:
    """One live line a run; a finished one collapses to its result."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(stderr=True, highlight=False)
        self._lock = threading.RLock()
        self._running: dict[str, _Line] = {}
        self._building: dict[str, float] = {}
        self._tails: dict[str, deque[str]] = {}
        self._live: Live = Live(
            console=self._console, refresh_per_second=8, get_renderable=self._render,
            transient=True,
        )  # fmt: skip
        self._live.start()

    def _render(self) -> Text:
        from rich.text import Text

        with self._lock:
            lines = []
            now = time.monotonic()
            for stage, began in self._building.items():
                lines.append(f"{_spinner(now)} build {stage}   {human_seconds(now - began)}")
            for line in self._running.values():
                expected = line.run.expected_seconds
                of = f" of ~{human_seconds(expected)}" if expected else ""
                parts = [
                    f"{_spinner(now)} {line.run.label}",
                    human_seconds(now - line.began) + of,
                    human_bytes(line.usage.memory_bytes) if line.usage.memory_bytes else "",
                    line.last,
                ]
                lines.append("   ".join(part for part in parts if part))
            return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    def building(self, stage: str, command: str) -> None:
        """A live line for the build."""
        with self._lock:
            self._building[stage] = time.monotonic()

    def built(self, stage: str, seconds: float) -> None:
        """The build's line becomes its result."""
        with self._lock:
            self._building.pop(stage, None)
        if seconds >= 1:
            self._say(f"✔ build {stage}   {human_seconds(seconds)}")

    def started(self, run: RunPlan) -> None:
        """A live line."""
        with self._lock:
            self._running[run.fingerprint] = _Line(run, time.monotonic())
            self._tails[run.fingerprint] = deque(maxlen=TAIL)

    def line(self, run: RunPlan, text: str) -> None:
        """The line's last words."""
        shown = printable(text)
        with self._lock:
            if line := self._running.get(run.fingerprint):
                line.last = shown.strip() or line.last
                self._tails[run.fingerprint].append(shown)

    def usage(self, run: RunPlan, usage: Usage) -> None:
        """The line's memory."""
        with self._lock:
            if line := self._running.get(run.fingerprint):
                line.usage = usage

    def finished(self, run: RunPlan, record: RunRecord) -> None:
        """The result; after a failure the end of the log."""
        with self._lock:
            self._running.pop(run.fingerprint, None)
            tail = self._tails.pop(run.fingerprint, deque())
        self._say(summary(run, record))
        if record.state not in ("succeeded", "interrupted"):
            for text in tail:
                self._say(f"    {text}")
        for warning in record.warnings:
            self._say(f"  warning: {printable(warning)}")

    def note(self, text: str) -> None:
        """A sentence above the live lines."""
        self._say(printable(text))

    def _say(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text))

    def close(self) -> None:
        """Stop the live view; the terminal is as before."""
        self._live.stop()


def _spinner(now: float) -> str:
    return "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int(now * 8) % 10]
