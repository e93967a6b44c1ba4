"""How much a bucket's transfers may take: requests at once, memory, bytes a second.

Three variables say it; without them the defaults hold, which suit a small machine of a CI.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError

MIB = 1024 * 1024
REQUESTS = "MCGITOPS_STORE_REQUESTS"
MEMORY = "MCGITOPS_STORE_MEMORY"
BANDWIDTH = "MCGITOPS_STORE_BANDWIDTH"
MOST_REQUESTS = 256
LEAST_MEMORY = 16 * MIB
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": MIB, "gi": 1024**3}
_AMOUNT = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?(|[kmg]i?)(?:b|b/s)?\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """What transfers to and from a bucket may use."""

    requests: int = 16
    """Requests at once."""
    memory: int = 48 * MIB
    """Bytes of parts of large files that are held at once."""
    bandwidth: float = 0.0
    """Bytes a second, in and out together; 0 for as many as there can be."""


def limits_of(environ: Mapping[str, str]) -> Limits:
    """What the environment says. Raises `UsageError` where it can't be understood."""
    default = Limits()
    requests, memory, bandwidth = (
        environ.get(name, "").strip() for name in (REQUESTS, MEMORY, BANDWIDTH)
    )
    if requests and not (requests.isascii() and requests.isdigit() and len(requests) < 5):
        raise _unclear(REQUESTS, requests, f"a number from 1 to {MOST_REQUESTS}, such as 8")
    if requests and not 1 <= int(requests) <= MOST_REQUESTS:
        raise _unclear(REQUESTS, requests, f"a number from 1 to {MOST_REQUESTS}, such as 8")
    most = amount(memory) if memory else default.memory
    if most is None or most < LEAST_MEMORY:
        raise _unclear(MEMORY, memory, "at least 16MiB, such as 64MiB")
    rate = amount(bandwidth) if bandwidth else 0.0
    if rate is None or (bandwidth and rate < 1000):
        raise _unclear(BANDWIDTH, bandwidth, "bytes a second, at least 1kB, such as 10MB")
    return Limits(int(requests) if requests else default.requests, int(most), rate)


def amount(text: str) -> float | None:
    """`10MB`, `1.5 MiB`, `200k`, `64MiB/s` as a number of bytes; None for anything else."""
    match = _AMOUNT.match(text)
    return float(match[1]) * _UNITS[match[2].lower()] if match else None


def _unclear(name: str, value: str, expected: str) -> UsageError:
    return UsageError(f"{name} is {value[:100]!r}.", f"Write {expected}; or unset it.")


class Budget:
    """Bytes that may be held at once. Whoever holds none gets what it asks for in the end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._changed = threading.Condition()

    def take(self, count: int) -> None:
        """Wait until there is room. Who waits must not hold any, or nobody may ever give back."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(count))
            self._used += count

    def try_take(self, count: int) -> bool:
        """Whether there was room, which is then taken."""
        with self._changed:
            if not self._fits(count):
                return False
            self._used += count
            return True

    def give(self, count: int) -> None:
        """Give back."""
        with self._changed:
            self._used -= count
            self._changed.notify_all()

    def _fits(self, count: int) -> bool:
        # more than there is of all goes alone
        return self._used == 0 or self._used + count <= self._most


class Pace:
    """Bytes a second over all threads: who is ahead of the time waits.

    A quarter of a second's worth may go at once, so that small requests aren't held up.
    """

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._due = clock()

    @property
    def piece(self) -> int:
        """How many bytes to move between two calls: a tenth of a second's worth."""
        return max(1024, min(MIB, int(self._rate / 10)))

    def spend(self, count: int) -> None:
        """Account for bytes that moved; waits where that was too quick."""
        with self._lock:
            now = self._clock()
            self._due = max(self._due, now - 0.25) + count / self._rate
            ahead = self._due - now
        if ahead > 0:
            self._wait(ahead)
