"""Requests at a fixed rate, whether or not the answers come: every one of them is counted.

An open loop: what is slow doesn't slow down the asking, so that a gap in service shows as what it
is. Connections stay open and are used again. A failure is all that a user would see as one: a
refused, broken or silent connection, another status than 200, another answer than the expected.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit

GIVES_UP = 30.0
"""Seconds after which a request without an answer has failed."""
BODY = b"x" * 256


@dataclass(frozen=True)
class Request:
    """One request: when it was sent, how long the whole answer took, and what was wrong."""

    at: float  # time.monotonic()
    seconds: float
    long: bool
    problem: str = ""


@dataclass
class Seen:
    """Requests of a stretch of time."""

    requests: list[Request] = field(default_factory=list)

    @property
    def failed(self) -> list[Request]:
        """Those that failed."""
        return [one for one in self.requests if one.problem]

    def slowest(self, *, long: bool) -> float:
        """The most seconds that an answer took, of long requests or of the others."""
        return max((one.seconds for one in self.requests if one.long == long), default=0.0)

    def within(self, start: float, end: float) -> Seen:
        """Those sent between two moments."""
        return Seen([one for one in self.requests if start <= one.at < end])


class Load:
    """A context manager: requests are sent while the block lasts."""

    def __init__(
        self, url: str, answers: Collection[str], rate: float = 200.0, long_every: int = 40
    ) -> None:
        """answers: what may be answered. Each 4th request is a POST, each `long_every`th long."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._answers = frozenset(answers)
        self._rate, self._long_every = rate, long_every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), daemon=True)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.seen = Seen()

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stop.set()
        self._thread.join()

    async def _send(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        began, count = time.monotonic(), 0
        while not self._stop.is_set():
            count += 1
            task = asyncio.create_task(self._one(count))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(max(0.0, began + count / self._rate - time.monotonic()))
        if tasks:
            await asyncio.wait(tasks)
        for _, writer in self._idle:
            writer.close()

    async def _one(self, number: int) -> None:
        long = number % self._long_every == 0
        began = time.monotonic()
        problem = ""
        try:
            async with asyncio.timeout(GIVES_UP):
                status, answer = await self._ask(long, number % 4 == 0)
            if status != 200:
                problem = f"status {status}"
            elif answer not in self._answers:
                problem = f"answered {answer[:40]!r}"
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            problem = repr(error)
        self.seen.requests.append(Request(began, time.monotonic() - began, long, problem))

    async def _ask(self, long: bool, post: bool) -> tuple[int, str]:
        # nothing is sent again by us: what an open connection loses is lost
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(
            self._host, self._port
        )  # fmt: skip
        try:
            path = "/long" if long else "/"
            length = f"Content-Length: {len(BODY)}\r\n" if post else ""
            head = f"{'POST' if post else 'GET'} {path} HTTP/1.1\r\nHost: bench\r\n{length}\r\n"
            writer.write(head.encode() + (BODY if post else b""))
            said = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            status = int(said.split(" ", 2)[1])
            fields = dict(line.split(": ", 1) for line in said.split("\r\n")[1:] if ": " in line)
            answer = (await reader.readexactly(int(fields["content-length"]))).decode()
        except BaseException:
            writer.close()
            raise
        if fields.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return status, answer.strip()
