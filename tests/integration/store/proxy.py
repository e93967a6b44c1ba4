"""A TCP proxy that breaks connections, between a client and a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class BreakingProxy:
    """Passes bytes on; may cut what the server sends, or refuse what the client sends.

    `cut_after(n)` is asked for each connection: after how many bytes of the server's the
    connection breaks; None passes everything. `slowly`: seconds for each 64 KiB.
    `lose`: the first time that this comes from the server, the connection breaks before it.
    """

    def __init__(
        self,
        endpoint: str,
        cut_after: Callable[[int], int | None],
        slowly: float = 0,
        lose: bytes = b"",
    ) -> None:
        self._slowly = slowly
        self._lose = lose
        parts = urlsplit(endpoint)
        self._target = (parts.hostname or "", parts.port or 80)
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []

    def serve(self) -> None:
        """Accept until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            limit = self._cut_after(self.connections)
            self.connections += 1
            server = socket.create_connection(self._target)
            self._open += [client, server]
            for source, sink, most in ((client, server, None), (server, client, limit)):
                threading.Thread(target=self._pass, args=(source, sink, most), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        left = most
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self._slowly)
                if self._lose and self._lose in data:
                    self._lose = b""
                    break
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                sink.sendall(data)
                if left == 0:
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop everything."""
        self._listener.close()
        for end in self._open:
            end.close()


@contextmanager
def breaking(
    endpoint: str,
    cut_after: Callable[[int], int | None] = lambda _: None,
    *,
    slowly: float = 0,
    lose: bytes = b"",
) -> Iterator[BreakingProxy]:
    """The proxy, running."""
    proxy = BreakingProxy(endpoint, cut_after, slowly, lose)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
