"""Other ways for an image: through a registry, and into an engine that uses containerd's store."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.deploy.conftest import MakeApp, get, points
from tests.lab import hosts
from tests.lab.hosts import Host, Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]

CONFIG = """
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
"""


@pytest.fixture
def registry(registry_image: str, unique_name: Callable[..., str], tmp_path: Path) -> Iterator[int]:
    """Debian's own image registry; its port on 127.0.0.1."""
    (tmp_path / "config.yml").write_text(CONFIG)
    name = unique_name("registry")
    _docker("run", "--detach", "--label", "mclab", "--name", name, "--publish", "127.0.0.1::5000",
            "--volume", f"{tmp_path / 'config.yml'}:/config.yml:ro", registry_image)  # fmt: skip
    port = int(_docker("port", name, "5000").rpartition(":")[2])
    end = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).close()
            break
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < end, _docker("logs", name)
            time.sleep(0.1)
    yield port


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def tunnel(host: Host, port: int) -> Iterator[None]:
    """The registry's port as the host's own: engines trust 127.0.0.1 without TLS."""
    process = subprocess.Popen(
        ["ssh", "-F", "none", "-N", "-i", str(host.key), "-p", str(host.port),
         "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes",
         "-o", f"UserKnownHostsFile={host.known_hosts}",
         "-R", f"{port}:127.0.0.1:{port}", f"{host.user}@127.0.0.1"],
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def test_images_go_through_a_registry_by_digest(
    make_app: MakeApp, fresh_hosts: Hosts, registry: int
) -> None:
    host = fresh_hosts[0]
    app = make_app([host.url], fresh_hosts.env, afresh=True)
    compose = (app.folder / "compose.yml").read_text()
    place = f"127.0.0.1:{registry}/team"
    compose = compose.replace("health_timeout", f'registry: "{place}", health_timeout')
    app.release("v1", {"compose.yml": compose})
    # the engine that released has forgotten the image: the store has it
    built = _docker("image", "ls", "--quiet", f"mcgitops/{app.name}/api").split()
    _docker("image", "rm", "--force", *built)
    with tunnel(host, registry):
        done = app("deploy", "--release", "v1")
    assert f"ship through {place}" in done.stderr
    assert get(host.http(18080) + "/cgi-bin/predict?x=3") == "6.00"
    with urllib.request.urlopen(f"http://127.0.0.1:{registry}/v2/_catalog", timeout=5) as answer:
        assert f"team/{app.name}/api" in json.load(answer)["repositories"]


def test_an_engine_with_the_containerd_store_gets_only_what_it_lacks(make_app: MakeApp) -> None:
    with hosts.running(1) as fleet:
        host = fleet[0]
        settings = json.dumps({"features": {"containerd-snapshotter": True}})
        host.root("sh", "-c", f"mkdir -p /etc/docker; echo '{settings}' > /etc/docker/daemon.json")
        host.kill()
        host.start()
        assert "io.containerd.snapshotter" in host.docker("info").stdout
        app = make_app([host.url], fleet.env)
        app.release("v1")
        app("deploy", "--release", "v1")
        app.release("v2", {"data/points.csv": points(5)})
        done = app("deploy", "--release", "v2")
        assert re.search(r"ship \d+ kB of 4.0 MB", done.stderr), done.stderr
        assert get(host.http(18080) + "/cgi-bin/predict?x=3") == "15.00"
        again = app("deploy", "--release", "v2")
        assert "Nothing to do" in again.stdout, again.stderr
        assert app("status").code == 0
