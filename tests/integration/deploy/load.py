"""A closed-loop load on one URL: a few clients with connections that stay open, bounded in time."""

from __future__ import annotations

import http.client
import threading
import time
from types import TracebackType
from urllib.parse import urlsplit

LONGEST = 240.0
"""Seconds after which a client stops by itself."""


class Load:
    """Requests from some threads while the block lasts; every 13th asks for a slow answer."""

    def __init__(self, url: str, clients: int = 4, pause: float = 0.05) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._path = parts.path
        self._pause = pause
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(clients)
        ]
        self.answers: list[str] = []
        self.failures: list[str] = []
        self.slowest = 0.0

    def __repr__(self) -> str:
        every = len(self.answers) + len(self.failures)
        return (
            f"{len(self.failures)} of {every} failed, slowest {self.slowest:.2f} s: "
            f"{self.failures[:3]}"
        )

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        end = time.monotonic() + LONGEST
        count = number
        while not self._stop.is_set() and time.monotonic() < end:
            count += 1
            began = time.monotonic()
            try:
                path = f"{self._path}?slow" if count % 13 == 0 else self._path
                connection.request("GET", path)
                answer = connection.getresponse()
                text = answer.read().decode()
                with self._lock:
                    if answer.status == 200:
                        self.answers.append(text)
                    else:
                        self.failures.append(f"{answer.status} {text[:100]}")
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.failures.append(repr(error))
                connection.close()
            with self._lock:
                self.slowest = max(self.slowest, time.monotonic() - began)
            time.sleep(self._pause)
        connection.close()
