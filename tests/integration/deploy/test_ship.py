"""Layers to real hosts, and all that breaks on the way: nothing is sent twice without need."""

from __future__ import annotations

import gzip
import io
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mcgitops.deploy.connection import HostUnreachable
from mcgitops.deploy.shipping import incoming
from mcgitops.errors import EngineError
from tests.integration.deploy.shipping import Shipping, layer, packed_size, sha256, shipping
from tests.lab.hosts import Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]

BIG = layer(1, 16_000_000)
SMALL = [layer(seed, 300_000, f"small{seed}") for seed in (2, 3, 4)]


@pytest.fixture
def place(
    tmp_path: Path, fresh_hosts: Hosts, mini_image: str, unique_name: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shipping:  # fmt: skip
    for name, value in fresh_hosts.env.items():
        monkeypatch.setenv(name, value)
    return shipping(tmp_path, fresh_hosts, mini_image, unique_name("ship"))


def left(place: Shipping) -> str:
    """What is left below the environment's folder."""
    host = place.hosts[0]
    below = Path(place.incoming(host)).parent
    return host.root("sh", "-c", f"find {below} -mindepth 1 2>/dev/null || true").stdout


def runs(place: Shipping, reference: str) -> bool:
    """Whether a container of the image really has its files."""
    argv = ("run", "--rm", "--network", "none", reference, "stat", "-c", "%s", "/data")
    return place.hosts[0].docker(*argv).stdout.strip() == "16000000"


def test_only_missing_layers_travel_and_nothing_is_left_behind(place: Shipping) -> None:
    host = place.hosts[0]
    assert host.root("sh", "-c", "command -v zstd", check=False).returncode != 0
    first, second = place.image(BIG, SMALL[0]), place.image(BIG, SMALL[1])
    with place.connections() as wire:
        whole = place.ship(wire, [first])
        assert runs(place, first.reference)
        small = place.ship(wire, [second])
        nothing = place.ship(wire, [first, second])
    assert 16_000_000 < whole.bytes < 18_000_000
    assert abs(small.bytes - packed_size(SMALL[1])) < 2000
    assert small.unpacked == len(SMALL[1])
    assert nothing.bytes == 0
    assert runs(place, second.reference)
    assert left(place) == ""


def kill_ssh(wire: Any) -> Callable[[], None]:
    """End the ssh processes that send, as a lost connection or the kernel does."""
    return lambda: [process.kill() for process in tuple(wire._streams)] and None


def test_a_connection_that_breaks_is_tried_again_from_where_it_stopped(place: Shipping) -> None:
    pin = place.image(BIG, *SMALL)
    with place.connections() as wire:
        wire.at, wire.after = 8_000_000, kill_ssh(wire)
        sent = place.ship(wire, [pin])
    assert wire.times == 0
    assert runs(place, pin.reference)
    assert [line for line in place.said if "the connection broke at" in line]
    assert sent.bytes <= 1.1 * packed_size(BIG, *SMALL, place.store.read_bytes(pin.diff_ids[0]))
    assert left(place) == ""


def test_a_host_that_is_cut_off_is_waited_for(place: Shipping) -> None:
    pin = place.image(BIG)
    host = place.hosts[0]
    with place.connections() as wire, ThreadPoolExecutor(1) as pool:

        def cut() -> None:
            cutting = host.disconnected()
            cutting.__enter__()
            pool.submit(cutting.__exit__, None, None, None)

        wire.at, wire.after = 8_000_000, cut
        sent = place.ship(wire, [pin])
    assert wire.times == 0
    assert sent.bytes <= 1.1 * packed_size(BIG, place.store.read_bytes(pin.diff_ids[0]))


def test_a_line_that_never_holds_is_given_up(place: Shipping) -> None:
    pin = place.image(BIG)
    with place.connections() as wire:
        wire.at, wire.times, wire.after = 0, 1000, kill_ssh(wire)
        wire.change = lambda data: b""  # nothing ever gets through
        with pytest.raises(HostUnreachable, match=r"the connection breaks \(4 tries\)") as failed:
            place.ship(wire, [pin])
    assert len([line for line in place.said if "the connection broke at" in line]) == 3
    assert "What has arrived is kept" in failed.value.hint


KILLED = """
import os, signal, sys
from pathlib import Path
from mcgitops.deploy.shipping import ship
from mcgitops.project.hosts import Host, Pin
from mcgitops.store.store import open_store
from tests.lab.wire import Wire
folder, url, project, *pin = sys.argv[1:]
with Wire(Path(folder), os.environ) as wire:
    wire.at, wire.after = 8_000_000, lambda: os.kill(os.getpid(), signal.SIGKILL)
    facts = wire.look(Host.parse(url), project, "production", f"{project}-production")
    wanted = Pin("api", pin[0], pin[1], tuple(pin[2:]))
    ship.ship(wire, facts, [wanted], open_store(folder + "/store"), "")
"""


def test_a_deployment_that_was_killed_goes_on_at_the_next(place: Shipping) -> None:
    pin = place.image(BIG)
    host = place.hosts[0]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(place.folder), host.url, place.project,
         pin.reference, pin.config_digest, *pin.diff_ids],
        env={**os.environ, **place.hosts.env}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    settled(place)
    before = place.arrived(host)
    assert before > 4_000_000
    sent = place.again([pin])
    assert runs(place, pin.reference)
    assert sent.resumed == before
    assert sent.bytes + before < packed_size(BIG, place.store.read_bytes(pin.diff_ids[0])) + 100_000


def settled(place: Shipping) -> None:
    """Wait until nobody on the host writes any more."""
    script = "pgrep -u deploy -x cat"
    end = time.monotonic() + 30
    while place.hosts[0].root("sh", "-c", script, check=False).returncode == 0:
        assert time.monotonic() < end
        time.sleep(0.05)


def interrupted(place: Shipping, pins: list[Any]) -> None:
    """A deployment that is ended when half has gone."""
    with place.connections() as wire:
        wire.at, wire.after = 8_000_000, wire.abort
        with pytest.raises(Exception, match="Interrupted"):
            place.ship(wire, pins)
    settled(place)
    assert 4_000_000 < place.arrived(place.hosts[0]) < 14_000_000


def test_a_damaged_part_is_noticed_and_sent_anew(place: Shipping) -> None:
    pin = place.image(BIG)
    interrupted(place, [pin])
    host = place.hosts[0]
    part = f"{place.incoming(host)}/parts/{pin.diff_ids[-1][7:]}"
    flip = f"printf X | dd of={part} bs=1 seek=5000000 conv=notrunc status=none"
    host.root("sh", "-c", flip)
    sent = place.again([pin])
    assert [line for line in place.said if "what lies there is damaged" in line]
    assert sent.bytes > 16_000_000
    assert runs(place, pin.reference)


def test_what_is_damaged_on_the_way_to_the_disk_is_sent_anew(place: Shipping) -> None:
    pin = place.image(BIG)
    with place.connections() as wire:
        flipped = []

        def change(data: bytes) -> bytes:
            if flipped or wire.out < 5_000_000:
                return data
            flipped.append(1)
            return data[:-1] + bytes([data[-1] ^ 1])

        wire.change = change
        place.ship(wire, [pin])
    assert [line for line in place.said if "arrived damaged: it is sent anew" in line]


def test_a_full_disk_is_named_and_what_arrived_is_kept(place: Shipping) -> None:
    pin = place.image(BIG)
    host = place.hosts[0]
    folder = place.incoming(host)
    host.ssh("mkdir", "-p", folder)
    host.root("mount", "-t", "tmpfs", "-o", "size=9m,mode=777", "tmpfs", folder)
    try:
        with pytest.raises(EngineError, match="its disk is full") as failed:
            place.again([pin])
        assert "Free some space" in failed.value.hint
        before = place.arrived(host)
        assert before > 5_000_000
        host.root("mount", "-o", "remount,size=200m", folder)
        sent = place.again([pin])
        assert sent.resumed == before
        assert sent.bytes < 18_000_000 - before
    finally:
        host.root("umount", folder)


def test_a_name_that_means_another_image_there_gets_the_pinned_one(place: Shipping) -> None:
    pin = place.image(BIG)
    host = place.hosts[0]
    with place.connections() as wire:
        place.ship(wire, [place.mini])
        host.docker("tag", place.mini.reference, pin.reference)
        place.ship(wire, [pin])
    shown = host.docker("image", "inspect", "--format", "{{.Id}}", pin.reference)
    assert shown.stdout.strip() == pin.config_digest


def test_hosts_and_environments_at_once_share_the_packing_and_nothing_else(
    place: Shipping,
) -> None:
    one, other = place.image(BIG, SMALL[0]), place.image(BIG, SMALL[1], service="web")
    opened: list[str] = []
    real = place.store.open_object

    def counted(digest: str) -> Any:
        opened.append(digest)
        return real(digest)

    place.store.open_object = counted  # type: ignore[method-assign]
    with place.connections() as wire, ThreadPoolExecutor(3) as pool:
        jobs = [
            pool.submit(place.ship, wire, [one], 0, environment="staging"),
            pool.submit(place.ship, wire, [other], 0, environment="production"),
            pool.submit(place.ship, wire, [one], 1, environment="production"),
        ]
        sent = [job.result() for job in jobs]
    assert all(each.bytes > 16_000_000 for each in sent)
    assert sorted(opened) == sorted({*one.diff_ids, *other.diff_ids})
    for environment in ("staging", "production"):
        folder = place.incoming(place.hosts[0], environment)
        assert place.hosts[0].root("ls", folder, check=False).returncode != 0


FAKE = """#!/bin/sh
[ "$*" = "image load --quiet" ] && exec cat >/loaded.tar
exit 9
"""


def test_busybox_has_all_that_a_host_needs(
    tmp_path: Path, mini_image: str, unique_name: Callable[..., str]
) -> None:
    name, root = unique_name("busybox"), "/home/it's here"
    layer_id = "sha256:" + "a" * 64
    packed = gzip.compress(b"hello world", mtime=0)

    def inside(script: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["docker", "exec", "--interactive", name, "sh", "-c", script],
            input=stdin, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    argv = ["docker", "run", "--detach", "--name", name, "--network", "none", mini_image]
    subprocess.run([*argv, "sleep", "600"], check=True, capture_output=True)
    inside("mkdir -p /usr/bin; cat >/usr/bin/docker; chmod 755 /usr/bin/docker", FAKE.encode())
    inside(incoming.look(root, [layer_id]))
    inside(incoming.receive(root, layer_id, anew=True), packed[:6])
    (part,) = incoming.parts(inside(incoming.look(root, [layer_id])))
    assert part == incoming.Part(layer_id, 6, sha256(packed[:6])[7:])
    said = inside(incoming.receive(root, layer_id, anew=False), packed[6:])
    assert incoming.received(said) == sha256(packed)[7:]
    described = io.BytesIO()
    with tarfile.open(fileobj=described, mode="w") as archive:
        folder = tarfile.TarInfo("blobs/sha256")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
    inside(incoming.load(root, [layer_id]), described.getvalue())
    loaded = subprocess.run(["docker", "cp", f"{name}:/loaded.tar", tmp_path / "loaded.tar"])
    assert loaded.returncode == 0
    with tarfile.open(tmp_path / "loaded.tar") as archive:
        content = archive.extractfile(f"./blobs/sha256/{layer_id[7:]}")
        assert content is not None and content.read() == b"hello world"
    inside(incoming.forget(root))
    assert inside(f"ls -A {shlex.quote(root)}") == ""
