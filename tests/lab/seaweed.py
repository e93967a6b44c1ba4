"""SeaweedFS with its S3 gateway on 127.0.0.1: master, volumes, filer and gateway in one process.

with seaweed.running(folder) as server: …
"""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.program import LabError
from tests.lab.s3 import BUCKET, S3Server, quiet_ports, serving

SPACE = 64  # MB that a volume gets before there is another one


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """A server of its own below `folder`, with generated keys and one empty bucket."""
    access, secret = f"LAB{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    owner = {
        "name": "owner",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin"],
    }
    data = folder / "data"
    data.mkdir(parents=True)
    keys = folder / "keys.json"
    keys.touch(0o600)
    keys.write_text(json.dumps({"identities": [owner]}))
    program = Path(sys.executable).parent / "weed"
    master, master_rpc, volume, volume_rpc, filer, filer_rpc, s3, s3_rpc = quiet_ports(8)
    # A path to a socket may have 107 bytes, which pytest's folders come near.
    with tempfile.TemporaryDirectory(prefix="mclab-") as sockets:
        argv = [
            str(program if program.exists() else "weed"), "-logtostderr=true", "server",
            f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={master}", f"-master.port.grpc={master_rpc}",
            "-master.telemetry=false", f"-master.volumeSizeLimitMB={SPACE}",
            f"-volume.port={volume}", f"-volume.port.grpc={volume_rpc}",
            "-volume.max=200", "-volume.minFreeSpace=1", "-volume.preStopSeconds=0",
            "-filer", f"-filer.port={filer}", f"-filer.port.grpc={filer_rpc}",
            f"-filer.localSocket={sockets}/filer",
            "-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_rpc}",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.localSocket={sockets}/s3", f"-s3.config={keys}",
        ]  # fmt: skip
        server = S3Server("seaweed", f"http://127.0.0.1:{s3}", access, secret)
        with serving(argv, s3, folder / "seaweed.log", {}, patience=0):  # nothing is to be kept
            _answering(server)
            yield server


def _answering(server: S3Server, seconds: float = 60) -> None:
    """Have the bucket, and a volume that takes something: they come some moments after the port."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = server.client()
    end = time.monotonic() + seconds
    while True:
        try:
            if BUCKET not in [each.get("Name") for each in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="first", Body=b"x")
            client.delete_object(Bucket=BUCKET, Key="first")
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > end:
                raise LabError(f"SeaweedFS doesn't answer: {error}") from None
            time.sleep(0.1)
        else:
            return
