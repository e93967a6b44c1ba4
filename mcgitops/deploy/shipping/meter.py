"""A sign of life while a host gets its images: bytes, rate and time left, a line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mcgitops.deferred import dataclass

Say = Callable[[str], None]
FIRST = 5.0
"""Seconds until the first line; the later ones come further apart."""


@dataclass(frozen=True)
class Amount:
    """How much there is to send; while layers are still being packed it is an estimate."""

    bytes: int
    exact: bool = True


class Meter:
    """Counts what travels to one host, and tells of it as long as it lasts."""

    def __init__(
        self, say: Say, label: str, total: Callable[[], Amount], first: float = FIRST
    ) -> None:
        self._say = say
        self._label = label
        self._total = total
        self._first = first
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._loading = 0.0
        self.sent = 0
        self.there = 0  # what earlier connections brought

    def add(self, size: int) -> None:
        """Some bytes went out."""
        with self._lock:
            self.sent += size

    def loading(self) -> None:
        """All has arrived; the engine is at work."""
        self._loading = time.monotonic()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tell of it from time to time until the block ends."""
        over = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(over,), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            over.set()
            ticker.join()

    def line(self, now: float) -> str:
        """How far it is."""
        if self._loading:
            return f"{self._label}   the engine unpacks the layers, {now - self._loading:.0f} s"
        total = self._total()
        return f"{self._label}   " + progress(self.there, self.sent, total, now - self._began)

    def _tick(self, over: threading.Event) -> None:
        pause = self._first
        while not over.wait(pause):
            now = time.monotonic()
            self._say(self.line(now))
            pause = max(pause, (now - self._began) / 4)


def progress(there: int, sent: int, total: Amount, seconds: float) -> str:
    """`45.2 MB of about 120 MB sent, 9.1 MB/s, 8 s left`. there: bytes of earlier connections."""
    done = there + sent
    about = "" if total.exact else "about "
    text = f"{megabytes(done)} of {about}{megabytes(max(total.bytes, done))} sent"
    rate = sent / seconds if seconds > 0 else 0.0
    if rate < 1:
        return f"{text}, nothing moves yet"
    left = max(0, total.bytes - done) / rate
    return f"{text}, {megabytes(round(rate))}/s, {duration(left)} left"


def duration(seconds: float) -> str:
    """`8 s`, `2 min 5 s`, `1 h 3 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def megabytes(size: int) -> str:
    """Bytes for people, in decimal megabytes; a little is told in kB."""
    if 0 < size < 50_000:
        return f"{max(1, round(size / 1e3))} kB"
    return f"{size / 1e6:.1f} MB" if size < 99.95e6 else f"{size / 1e6:.0f} MB"
