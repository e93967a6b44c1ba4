"""Real S3 servers on 127.0.0.1: rclone's (SigV4; no conditional writes) and moto's (AWS semantics).

with s3.rclone(folder) as server: …
"""

from __future__ import annotations

import functools
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.lab.program import LabError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BUCKET = "models"


@dataclass(frozen=True)
class S3Server:
    """A running server with one empty bucket, and what a client needs to know of it."""

    kind: str
    endpoint: str
    access_key: str
    secret_key: str
    bucket: str = BUCKET
    region: str = "us-east-1"

    @property
    def env(self) -> dict[str, str]:
        """Credentials as AWS tools find them. The endpoint is in `url()`."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def url(self, prefix: str = "") -> str:
        """The URL of a store in this server's bucket."""
        place = f"{self.bucket}/{prefix}" if prefix else self.bucket
        return f"s3://{place}?endpoint_url={quote(self.endpoint, safe='')}&region={self.region}"

    def client(self) -> S3Client:
        """A boto3 client, independent of the code under test."""
        import boto3
        from botocore.config import Config

        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}),
        )
        return client


def read_descriptions_once() -> None:
    """Have all clients of this process share what botocore reads of its descriptions of services.

    A program makes one client, and a process that tests makes hundreds, each of which would read
    megabytes of JSON: a tenth of a second.
    """
    from botocore import loaders

    if not hasattr(loaders.create_loader, "cache_info"):
        loaders.create_loader = functools.cache(loaders.create_loader)


@contextmanager
def rclone(folder: Path) -> Iterator[S3Server]:
    """`rclone serve s3` over `folder` (a bucket is a folder in it), with generated keys."""
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    access, secret = f"LAB{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    port = free_port()
    program = Path(sys.executable).parent / "rclone"
    argv = [
        str(program if program.exists() else "rclone"), "serve", "s3", str(folder),
        "--addr", f"127.0.0.1:{port}", "--config", os.devnull, "--vfs-cache-mode", "off",
    ]  # fmt: skip
    server = S3Server("rclone", f"http://127.0.0.1:{port}", access, secret)
    # The key pair goes through the environment, as a CSV field: arguments can be read by everybody.
    env = {"RCLONE_AUTH_KEY": f'"{access},{secret}"'}
    with serving(argv, port, folder.parent / "rclone.log", env):
        yield server


@contextmanager
def moto(folder: Path) -> Iterator[S3Server]:
    """moto's server, a process of its own, with one empty bucket."""
    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = S3Server("moto", f"http://127.0.0.1:{port}", "LABMOTO", "lab-moto-secret")
    with serving(argv, port, folder / "moto.log", {}):
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@contextmanager
def serving(
    argv: Sequence[str],
    port: int,
    log: Path,
    env: Mapping[str, str],
    seconds: float = 30,
    *,
    patience: float = 10,
) -> Iterator[None]:
    """A server process that listens on `port` of 127.0.0.1; ended with its whole group.

    It is given `patience` seconds to end by itself.
    """
    with log.open("ab") as sink:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + seconds
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > end:
                tail = log.read_text(errors="replace")[-800:]
                raise LabError(f"{argv[0]} doesn't listen on port {port}:\n{tail}")
            time.sleep(0.05)
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def quiet_ports(count: int) -> list[int]:
    """Free ports of 127.0.0.1 that no outgoing connection is given before a server has taken them.

    Some seconds may pass until then, in which other tests make many connections: Linux takes their
    ports from 32768 on.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(20_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in ports:
                ports.append(port)
    return ports


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
