"""A webhook: an HTTP server that answers what it is told to, and remembers what it got."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """`url` holds a secret; `answers` are the statuses of the next requests, 0 for no answer."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[str, str, Any]] = field(default_factory=list)  # path, content type, body
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def states(self) -> list[str]:
        """The states of the rollouts that it heard of, as the template `json` tells them."""
        return [body["deployment"]["state"] for _, _, body in self.got]


@contextmanager
def running() -> Iterator[Webhook]:
    """A webhook on this machine."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            hook.got.append((self.path, self.headers["Content-Type"], json.loads(body or b"null")))
            code = hook.answers.pop(0) if hook.answers else 200
            if code == 0:
                hook.let_go.wait(60)
                return
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - http.server's name

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/T0/B0/canary-secret"
    try:
        yield hook
    finally:
        hook.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
