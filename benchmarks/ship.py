"""Images to a host through ssh, against `docker save | gzip | ssh docker load` on the same host.

The image has 300 MB: libraries, as they are in the lab's base image, weights that can't be
compressed, and 1 MB of code, which is what changes. Bytes are counted by the host's own network
interface, so that ssh's share and what a broken connection lost are among them.
"""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.support import projects
from benchmarks.support.volume import Bound, Row, Trip, middle, verdict
from mcgitops.deploy.shipping import images, ship
from mcgitops.deploy.shipping.layers import Stopped
from mcgitops.project.hosts import Host, Pin
from mcgitops.store.store import Store, open_store
from tests.lab import down, hosts
from tests.lab import images as lab_images
from tests.lab.hosts import Host as LabHost
from tests.lab.hosts import Hosts
from tests.lab.wire import Wire

REPEATS = 3
LIBRARIES, WEIGHTS, CODE = 239_000_000, 60_000_000, 1_000_000
MOST_OF_A_CHANGE = 3.0  # MB
MOST_OF_NOTHING = 0.1  # MB: the questions to the host
MOST_IN_TWO_PARTS = 1.1
PEER = "docker save | gzip | ssh docker load"
DOCKERFILE = """\
FROM {mini}
COPY libraries /libraries
COPY weights /weights
COPY code /code
"""


def main() -> int:
    """1 where a bound is missed."""
    # a name of its own: another benchmark may end meanwhile, and clear away what is called as its
    name = f"mclab-ship-{secrets.token_hex(4)}"
    with projects.workplace() as folder, cleared(name), hosts.running(1) as fleet:
        os.environ.update(fleet.env)
        print("an image of 300 MB, and the same with other code: building …", file=sys.stderr)
        first, second = build(folder, name)
        store = open_store(str(folder / "store"))
        began = time.perf_counter()
        before = into_store(store, first, folder)
        released = time.perf_counter() - began
        after = into_store(store, second, folder)
        both = Sides(folder, store, fleet)
        rows = both.measure((before, first), (after, second))
    print(f"into the store, once a release: {released:.1f} s", file=sys.stderr)
    return verdict("A 300 MB image to a host", rows, PEER)


class Sides:
    """Both ways to the same host, in turn."""

    def __init__(self, folder: Path, store: Store, fleet: Hosts) -> None:
        self._folder = folder
        self._store = store
        self._host = fleet[0]

    def measure(self, before: tuple[Pin, str], after: tuple[Pin, str]) -> list[Row]:
        """All cases."""
        first: list[tuple[Trip, Trip]] = []
        change: list[tuple[Trip, Trip]] = []
        nothing: list[tuple[Trip, Trip]] = []
        parts: list[Trip] = []
        for number in range(REPEATS):
            print(f"round {number + 1} of {REPEATS} …", file=sys.stderr)
            self._wipe()
            ours = [self._ours(pin) for pin in (before[0], after[0], after[0])]
            self._wipe()
            peer = [self._peer(name) for name in (before[1], after[1], after[1])]
            for taken, pair in zip(
                (first, change, nothing), zip(ours, peer, strict=True), strict=True
            ):
                taken.append(pair)
            self._wipe()
            parts.append(self._cut(before[0], middle([ours[0]]).bytes // 2))
        whole = middle([ours for ours, _ in first])
        return [
            _row("first deploy", first, lambda ours, peer: (
                Bound("seconds / peer's", ours.seconds / peer.seconds, 1.0),
                Bound("bytes / peer's", ours.bytes / peer.bytes, 1.05),
            )),
            _row("1 MB of code changed", change, lambda ours, peer: (
                Bound("travelled", ours.bytes / 1e6, MOST_OF_A_CHANGE, " MB"),
                Bound("seconds / peer's", ours.seconds / peer.seconds, 1.0),
            )),
            _row("nothing changed", nothing, lambda ours, peer: (
                Bound("travelled", ours.bytes / 1e6, MOST_OF_NOTHING, " MB"),
            )),
            Row("first deploy, cut at 50 %, deployed again", parts, bounds=(
                Bound("bytes / one transfer", middle(parts).bytes / whole.bytes,
                      MOST_IN_TWO_PARTS),
            )),
        ]  # fmt: skip

    def _ours(self, pin: Pin) -> Trip:
        """As a deployment does it: look at the host, send, load, check."""

        def act() -> None:
            with Wire(self._folder, os.environ) as wire:
                self._ship(wire, pin)

        return self._measured(act)

    def _cut(self, pin: Pin, at: int) -> Trip:
        def act() -> None:
            with Wire(self._folder, os.environ) as wire:
                wire.at, wire.after = at, wire.abort
                try:
                    self._ship(wire, pin)
                except Stopped:
                    pass
                else:
                    raise SystemExit("The transfer was over before it was cut.")
            with Wire(self._folder, os.environ) as wire:
                self._ship(wire, pin)

        return self._measured(act)

    def _ship(self, wire: Wire, pin: Pin) -> None:
        facts = wire.look(Host.parse(self._host.url), "bench", "production", "bench-production")
        ship.ship(wire, facts, [pin], self._store, "")

    def _peer(self, image: str) -> Trip:
        return self._measured(lambda: save_gzip_load(self._host, image))

    def _measured(self, act: Callable[[], None]) -> Trip:
        came, began = received(self._host), time.perf_counter()
        act()
        seconds = time.perf_counter() - began
        return Trip(received(self._host) - came, seconds)

    def _wipe(self) -> None:
        self._host.wipe()


@contextmanager
def cleared(name: str) -> Iterator[None]:
    """What carries a name in this machine's engine goes at the end."""
    try:
        yield
    finally:
        down.remove_named(name)


def build(folder: Path, name: str) -> tuple[str, str]:
    """Two images in this machine's engine that differ in their code."""
    context = folder / "context"
    context.mkdir()
    projects.base_image()
    (context / "Dockerfile").write_text(DOCKERFILE.format(mini=lab_images.mini_image()))
    with (context / "libraries").open("wb") as file:
        argv = ["docker", "run", "--rm", "--network", "none", lab_images.base_image(),
                "tar", "-cf", "-", "-C", "/usr/lib", "."]  # fmt: skip
        tar = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert tar.stdout is not None
        file.write(tar.stdout.read(LIBRARIES))
        tar.kill()
        tar.wait()
    if (context / "libraries").stat().st_size < LIBRARIES:
        raise SystemExit("The lab's base image has fewer libraries than expected.")
    noise = random.Random(7)
    (context / "weights").write_bytes(noise.randbytes(WEIGHTS))
    names = []
    for number in (1, 2):
        (context / "code").write_bytes(noise.randbytes(CODE))
        names.append(f"{name}:v{number}")
        done = subprocess.run(
            ["docker", "buildx", "build", "--quiet", "--load", "--tag", names[-1], str(context)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.stderr)
    return names[0], names[1]


def into_store(store: Store, image: str, folder: Path) -> Pin:
    """What `mcgitops release` does with an image."""
    found = images.find(image, folder)
    assert found is not None
    record = images.store_image(store, "api", image, found, folder)
    return images.pins("bench", [record])[0]


def save_gzip_load(host: LabHost, image: str) -> None:
    """What people do by hand."""
    saving = subprocess.Popen(["docker", "image", "save", image], stdout=subprocess.PIPE)
    packing = subprocess.Popen(["gzip"], stdin=saving.stdout, stdout=subprocess.PIPE)
    loading = subprocess.run(
        ["ssh", "-F", "none", "-i", str(host.key), "-p", str(host.port), "-o", "BatchMode=yes",
         "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={host.known_hosts}",
         f"{host.user}@127.0.0.1", "docker", "image", "load", "--quiet"],
        stdin=packing.stdout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if saving.wait() or packing.wait() or loading.returncode:
        raise SystemExit(f"{PEER} failed: {loading.stderr}")


def received(host: LabHost) -> int:
    """Bytes that came in at the host's network interface since it started."""
    return int(host.root("cat", "/sys/class/net/eth0/statistics/rx_bytes").stdout)


def _row(
    name: str, pairs: list[tuple[Trip, Trip]],
    bounds: Callable[[Trip, Trip], tuple[Bound, ...]],
) -> Row:  # fmt: skip
    ours, peer = [one for one, _ in pairs], [other for _, other in pairs]
    return Row(name, ours, peer, bounds(middle(ours), middle(peer)))


if __name__ == "__main__":
    sys.exit(main())
