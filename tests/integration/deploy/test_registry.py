"""A registry that wants a login: it gets one, and nobody else sees it."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcgitops.deploy.shipping import ship
from mcgitops.errors import EngineError, UsageError
from tests.integration.deploy.shipping import Shipping, layer, shipping
from tests.integration.deploy.test_ways import tunnel
from tests.lab import arguments
from tests.lab.hosts import Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]

USER, PASSWORD = "ada", "canary-registry-password"
CONFIG = """
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
auth: {htpasswd: {realm: lab, path: /users}}
"""


def docker(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, input=stdin, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def registry(registry_image: str, unique_name: Callable[..., str], tmp_path: Path) -> Iterator[int]:
    """Debian's own image registry with one user; its port on 127.0.0.1."""
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "config.yml").write_text(CONFIG)
    name = unique_name("registry")
    made = ("run", "--rm", "--interactive", "--entrypoint", "htpasswd", registry_image)
    (folder / "users").write_text(docker(*made, "-inB", USER, stdin=PASSWORD) + "\n")
    docker("run", "--detach", "--label", "mclab", "--name", name, "--publish", "127.0.0.1::5000",
           "--volume", f"{folder / 'users'}:/users:ro",
           "--volume", f"{folder / 'config.yml'}:/config.yml:ro", registry_image)  # fmt: skip
    port = int(docker("port", name, "5000").rpartition(":")[2])
    end = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).close()
            pytest.fail("the registry lets everybody in")
        except urllib.error.HTTPError as error:
            assert error.code == 401
            break
        except OSError:
            assert time.monotonic() < end, docker("logs", name)
            time.sleep(0.1)
    yield port


@pytest.fixture
def place(
    tmp_path: Path, fresh_hosts: Hosts, mini_image: str, unique_name: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shipping:  # fmt: skip
    for name, value in fresh_hosts.env.items():
        monkeypatch.setenv(name, value)
    own = tmp_path / "docker"
    own.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return shipping(tmp_path, fresh_hosts, mini_image, unique_name("registry"))


def test_a_login_reaches_the_registry_and_nothing_else(
    place: Shipping, registry: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pin, host = place.image(layer(1, 100_000)), place.hosts[0]
    prefix = f"127.0.0.1:{registry}/team"

    def deploy() -> None:
        with place.connections() as wire, tunnel(host, registry):
            facts = place.look(wire)
            ship.ship(wire, facts, [pin], place.store, prefix, say=place.said.append)

    # nobody has logged in
    with pytest.raises(EngineError, match="no basic auth credentials") as refused:
        deploy()
    assert f"docker login 127.0.0.1:{registry}" in refused.value.hint

    monkeypatch.setenv("MCGITOPS_REGISTRY_USER", USER)
    with pytest.raises(UsageError, match="MCGITOPS_REGISTRY_PASSWORD is not set"):
        deploy()

    # every argument list, here and there, is written down while it works
    monkeypatch.setenv("MCGITOPS_REGISTRY_PASSWORD", PASSWORD)
    with arguments.watched(seconds=0) as seen:  # the hosts' processes are seen from here
        deploy()
    lines = "\n".join(seen)
    assert "--password" not in lines and PASSWORD not in lines
    assert base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode() not in lines
    assert "docker image pull" in lines  # else it looked away

    shown = host.docker("image", "inspect", "--format", "{{.Id}} {{json .RepoDigests}}",
                        pin.reference).stdout  # fmt: skip
    identity, _, digests = shown.partition(" ")
    assert identity == pin.config_digest
    assert json.loads(digests)[0].startswith(f"{prefix}/{place.project}/api@sha256:")

    # no login stays behind, on either side, and none was said
    left = host.root("sh", "-c", f"grep -rl -e {PASSWORD} -e auths /home/deploy /tmp || true")
    assert left.stdout == ""
    assert [path.name for path in (tmp_path / "docker").iterdir()] == []
    assert list((tmp_path / "tmp").glob("mcg*")) == []
    assert PASSWORD not in "\n".join(place.said)


def test_the_login_of_docker_itself_is_enough(place: Shipping, registry: int) -> None:
    pin, host = place.image(layer(2, 100_000)), place.hosts[0]
    where = f"127.0.0.1:{registry}"
    docker("login", "--username", USER, "--password-stdin", where, stdin=PASSWORD)
    with place.connections() as wire, tunnel(host, registry):
        facts = place.look(wire)
        with pytest.raises(EngineError, match="no basic auth credentials") as refused:
            ship.ship(wire, facts, [pin], place.store, f"{where}/team")
        assert refused.value.message.startswith(facts.host.label)
        host.ssh("docker", "login", "--username", USER, "--password-stdin", where, stdin=PASSWORD)
        ship.ship(wire, facts, [pin], place.store, f"{where}/team")
    assert pin.config_digest in host.docker("image", "inspect", pin.reference).stdout
