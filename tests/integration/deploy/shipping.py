"""Images out of a store to real hosts."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mcgitops.deploy.connection import Connections
from mcgitops.deploy.shipping import images, ship
from mcgitops.deploy.shipping.images import Sent
from mcgitops.project.hosts import Host, HostFacts, Pin
from mcgitops.store.store import Store, open_store
from tests.lab.hosts import Host as LabHost
from tests.lab.hosts import Hosts
from tests.lab.wire import Wire

ENVIRONMENT = "production"


@dataclass
class Shipping:
    """A store with images, and hosts."""

    folder: Path
    store: Store
    hosts: Hosts
    mini: Pin
    project: str
    said: list[str] = field(default_factory=list)

    def image(self, *layers: bytes, service: str = "api") -> Pin:
        """An image of these layers on top of busybox; put into the store only."""
        config = json.loads(self.store.read_bytes(self.mini.config_digest))
        for content in layers:
            config["rootfs"]["diff_ids"].append(self.store.put_bytes(content)[0])
            config.setdefault("history", []).append({"created_by": "test"})
        digest, _ = self.store.put_bytes(json.dumps(config).encode())
        return Pin(
            service, f"mcgitops/{self.project}/{service}:sha256-{digest[7:23]}", digest,
            tuple(config["rootfs"]["diff_ids"]),
        )  # fmt: skip

    def connections(self) -> Wire:
        return Wire(self.folder, {**os.environ, **self.hosts.env})

    def look(self, wire: Connections, number: int = 0, environment: str = ENVIRONMENT) -> HostFacts:
        host = Host.parse(self.hosts[number].url)
        return wire.look(host, self.project, environment, f"{self.project}-{environment}")

    def ship(self, wire: Connections, pins: Sequence[Pin], number: int = 0, **look: Any) -> Sent:
        facts = self.look(wire, number, **look)
        return ship.ship(wire, facts, pins, self.store, "", say=self.said.append)

    def again(self, pins: Sequence[Pin]) -> Sent:
        """With new connections, as the next deploy has them."""
        with self.connections() as wire:
            return self.ship(wire, pins)

    def incoming(self, host: LabHost, environment: str = ENVIRONMENT) -> str:
        return f"/home/{host.user}/.local/share/mcgitops/{self.project}/{environment}/incoming"

    def arrived(self, host: LabHost) -> int:
        """Bytes of layers that lie on a host."""
        script = f"cat {self.incoming(host)}/parts/* 2>/dev/null | wc -c"
        return int(host.root("sh", "-c", script).stdout)


def shipping(folder: Path, hosts: Hosts, mini: str, project: str) -> Shipping:
    """A store that has the small image."""
    store = open_store(str(folder / "store"))
    found = images.find(mini, folder)
    assert found is not None
    stored = images.store_image(store, "api", mini, found, folder)
    return Shipping(folder, store, hosts, images.pins(project, [stored])[0], project)


def layer(seed: int, size: int, name: str = "data") -> bytes:
    """A layer that can't be compressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = size
        archive.addfile(member, io.BytesIO(random.Random(seed).randbytes(size)))
    return buffer.getvalue()


def packed_size(*layers: bytes) -> int:
    """About what they are as gzip."""
    return sum(_packed(content) for content in layers)


@cache
def _packed(content: bytes) -> int:
    return len(gzip.compress(content, 1))


def sha256(content: bytes) -> str:
    """The digest's name."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
