"""A socket on this machine whose connections end at an engine that is reached over SSH.

The Docker SDK speaks `ssh://` only with an SSH library of its own choice installed. Here every
connection is handed to `docker system dial-stdio`, which reaches the engine as all of docker's
commands do: through the system's ssh, with its configuration, keys and agent.
"""

from __future__ import annotations

import atexit
import shutil
import socketserver
import subprocess
import tempfile
import threading
from pathlib import Path


class _Handler(socketserver.BaseRequestHandler):
    """One connection: docker reads it as its standard input and writes to it as its output."""

    server: _Server

    def handle(self) -> None:
        connection = self.request.fileno()
        with subprocess.Popen(
            ["docker", "--host", self.server.address, "system", "dial-stdio"],
            stdin=connection,
            stdout=connection,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: what is cleaned up then needs connections
        ) as dialled:
            _, said = dialled.communicate()
            if dialled.returncode and said.strip():
                self.server.said = said.decode("utf-8", "replace").strip()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: Path, address: str) -> None:
        self.address = address
        self.said = ""
        super().__init__(str(path), _Handler)


class Tunnel:
    """Open until the program ends. `url` is what the SDK connects to."""

    def __init__(self, address: str) -> None:
        folder = Path(tempfile.mkdtemp(prefix="mcgitops-"))  # only we may enter it
        self._server = _Server(folder / "docker.sock", address)
        self.url = f"unix://{folder / 'docker.sock'}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        atexit.register(self._close, folder)

    @property
    def complaint(self) -> str:
        """What docker or ssh said of a connection that failed, its last line."""
        return self._server.said.splitlines()[-1] if self._server.said else ""

    def _close(self, folder: Path) -> None:
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(folder, ignore_errors=True)
