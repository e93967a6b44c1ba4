"""What stands between a client and a service in real networks: a forward proxy, and TLS.

with fronts.forward_proxy({"models.s3.lab.test": "127.0.0.1"}) as proxy: …
with fronts.tls(server.endpoint, folder) as front: …
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.lab.program import run

HOP_BY_HOP = {"connection", "expect", "keep-alive", "proxy-connection", "transfer-encoding"}


@dataclass(frozen=True)
class ForwardProxy:
    """A proxy that runs. `asked`: the hosts (with ports) that clients wanted to reach, in order."""

    url: str
    asked: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TlsFront:
    """A TLS server before a plain one. `authority`: the file of the only one who vouches for it."""

    endpoint: str
    authority: Path


@contextmanager
def forward_proxy(names: Mapping[str, str] | None = None) -> Iterator[ForwardProxy]:
    """An HTTP proxy, for plain requests and for CONNECT; it resolves `names` and no others."""
    known = {**(names or {}), "127.0.0.1": "127.0.0.1"}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            asked.append(self.path)
            host, _, port = self.path.rpartition(":")
            if host not in known:
                self.send_error(502)
                return
            with socket.create_connection((known[host], int(port))) as server:
                self.send_response(200)
                self.end_headers()
                _join(self.connection, server)
            self.close_connection = True

        def forward(self) -> None:
            parts = urlsplit(self.path)
            asked.append(parts.netloc)
            host = parts.hostname or ""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if host not in known:
                self.send_error(502)
                return
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in HOP_BY_HOP
            }
            there = http.client.HTTPConnection(known[host], parts.port or 80, timeout=60)
            try:
                target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
                there.request(self.command, target, body, headers)
                answer = there.getresponse()
                content = answer.read()
            finally:
                there.close()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            is_head = self.command == "HEAD"
            length = answer.headers.get("Content-Length", "0") if is_head else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield ForwardProxy(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def tls(endpoint: str, folder: Path) -> Iterator[TlsFront]:
    """The service at `endpoint`, over TLS, with a certificate of an authority that nobody knows."""
    authority, chain, key = certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    parts = urlsplit(endpoint)
    target = (parts.hostname or "", parts.port or 80)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=relay, args=(plain,), daemon=True).start()

    def relay(plain: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(plain, server_side=True) as client,
            socket.create_connection(target) as server,
        ):
            _join(client, server)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield TlsFront(f"https://127.0.0.1:{listener.getsockname()[1]}", authority)
    finally:
        listener.close()


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority's certificate, and one that it gave to 127.0.0.1, with its key."""
    authority, authority_key = folder / "authority.pem", folder / "authority-key.pem"
    chain, key, request = folder / "server.pem", folder / "server-key.pem", folder / "server.csr"
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run(*new, "-x509", "-days", "2", "-subj", "/CN=Lab authority",
        "-keyout", authority_key, "-out", authority)  # fmt: skip
    run(*new, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", request)
    extension = folder / "server.ext"
    extension.write_text("subjectAltName=IP:127.0.0.1\n")
    run("openssl", "x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key,
        "-CAcreateserial", "-days", "2", "-extfile", extension, "-out", chain)  # fmt: skip
    return authority, chain, key


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until both sides have ended."""

    def passed(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=passed, args=(other, one), daemon=True)
    back.start()
    passed(one, other)
    back.join()
