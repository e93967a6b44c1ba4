"""An HTTP proxy between an S3 client and a real server that harms some of what passes, by a seed.

What happens to a request depends on the seed, on what is asked for and on how often that was asked
before: not on the order in which threads come along. So a seed tells the same story again.
"""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = (
    "500",  # the service failed
    "503",  # it is overloaded
    "429",  # it is, and says when to come again
    "reset",  # the connection breaks before the request arrived
    "lost",  # it arrived and was done, and the answer never comes
    "stall",  # the answer stops half-way for a while, then the connection breaks
    "truncated",  # the answer ends early
    "damaged answer",  # a byte of it is another one
    "damaged request",  # a byte of what was sent is
    "other etag",  # the answer has another one
)
STALL = 0.3  # seconds
CLIENT_GONE = (BrokenPipeError, ConnectionResetError)


@dataclass(frozen=True)
class Plan:
    """Which faults, and how often: `rate` of all requests have one, drawn by `seed`."""

    seed: int
    rate: float
    kinds: tuple[str, ...] = FAULTS

    def fault(self, request: str, time_of_it: int) -> tuple[str, random.Random]:
        """What happens to a request that is made for the n-th time; "" for nothing."""
        chance = random.Random(f"{self.seed} {time_of_it} {request}")
        return (chance.choice(self.kinds) if chance.random() < self.rate else ""), chance


@dataclass
class Faulty:
    """A running proxy."""

    endpoint: str
    plan: Plan
    done: Counter[str] = field(default_factory=Counter)  # faults, by kind
    requests: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: str) -> tuple[str, random.Random]:
        """What happens to the next request of this kind."""
        with self.lock:
            self.seen[request] += 1
            self.requests += 1
            kind, chance = self.plan.fault(request, self.seen[request])
            if kind:
                self.done[kind] += 1
            return kind, chance


@contextmanager
def faulty(endpoint: str, plan: Plan) -> Iterator[Faulty]:
    """The proxy, running; its endpoint stands for the real one."""
    parts = urlsplit(endpoint)
    state = Faulty("", plan)

    class Handler(_Handler):
        target = (parts.hostname or "", parts.port or 80)
        faulty = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    target: tuple[str, int]
    faulty: Faulty
    upstream: http.client.HTTPConnection | None = None

    def do_GET(self) -> None:
        """As all other methods."""
        with suppress(*CLIENT_GONE):
            self._pass()

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is logged."""

    def finish(self) -> None:
        """The client is gone: so is our own connection."""
        if self.upstream is not None:
            self.upstream.close()
        with suppress(*CLIENT_GONE):
            super().finish()

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = f"{self.command} {_stable(self.path)} {self.headers.get('Range', '')}"
        kind, chance = self.faulty.next(name)
        if kind in ("500", "503", "429"):
            return self._refuse(int(kind))
        if kind == "reset":
            return self._break()
        if kind == "damaged request" and body:
            body = _damaged(body, chance)
        status, reason, headers, answer = self._asked(body)
        if kind == "lost":
            return self._break()
        if kind == "damaged answer" and answer and self.command == "GET":
            answer = _damaged(answer, chance)
        if kind == "other etag":
            headers = [
                (key, f'"{chance.randbytes(16).hex()}"' if key.lower() == "etag" else value)
                for key, value in headers
            ]
        self.send_response_only(status, reason)
        for key, value in headers:
            if key.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(key, value)
        length = {key.lower(): value for key, value in headers}.get("content-length")
        self.send_header("Content-Length", length if length is not None else str(len(answer)))
        self.end_headers()
        if kind in ("truncated", "stall") and answer:
            self.wfile.write(answer[: len(answer) // 2])
            self.wfile.flush()
            time.sleep(STALL if kind == "stall" else 0)
            return self._break()
        self.wfile.write(answer)
        return None

    def _asked(self, body: bytes) -> tuple[int, str, list[tuple[str, str]], bytes]:
        """The real server's answer, over a connection that is kept."""
        for again in (False, True):
            if self.upstream is None:
                self.upstream = http.client.HTTPConnection(*self.target, timeout=60)
            try:
                self.upstream.putrequest(
                    self.command, self.path, skip_host=True, skip_accept_encoding=True
                )
                for key, value in self.headers.items():
                    if key.lower() not in ("expect", "connection"):
                        self.upstream.putheader(key, value)
                self.upstream.endheaders(body or None)
                answer = self.upstream.getresponse()
                return answer.status, answer.reason, answer.getheaders(), answer.read()
            except (http.client.HTTPException, OSError):
                self.upstream.close()
                self.upstream = None
                if again:
                    raise
        raise AssertionError("unreachable")

    def _refuse(self, status: int) -> None:
        code = {500: "InternalError", 503: "SlowDown", 429: "TooManyRequests"}[status]
        body = f"<Error><Code>{code}</Code><Message>by the proxy</Message></Error>".encode()
        if self.command == "HEAD":
            body = b""
        self.send_response_only(status)
        if status == 429:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _break(self) -> None:
        """Break the connection the hard way: with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _stable(path: str) -> str:
    """A request's path without what differs each time: ids of uploads."""
    place, _, query = path.partition("?")
    kept = [part for part in query.split("&") if not part.lower().startswith("uploadid=")]
    return f"{place}?{'&'.join(kept)}"


def _damaged(value: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(value))
    return value[:at] + bytes([value[at] ^ (1 << chance.randrange(8))]) + value[at + 1 :]
