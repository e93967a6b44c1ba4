"""Containers must answer before they get traffic: real servers, through real SSH connections."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcgitops.deploy import gates
from mcgitops.deploy.connection import Connections, HostUnreachable
from mcgitops.project.hosts import ContainerFact, Host
from mcgitops.project.serving import ServingSpec
from mcgitops.run.process import Cancelled
from tests.lab.hosts import Host as LabHost
from tests.lab.hosts import Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]

# a model server of busybox alone: the state and the prediction are what files say
HANDLER = r"""
read -r method path version
length=0
while read -r line; do
  line=${line%$(printf '\r')}
  [ -z "$line" ] && break
  case "$line" in [Cc]ontent-[Ll]ength:*) length=${line#*: } ;; esac
done
[ "$length" -gt 0 ] && head -c "$length" >/dev/null
case "$path" in
  /v2/*/ready) status=$(cat /ready); body="" ;;
  *) status="200 OK"; body="{\"model_name\": \"wine\", \"outputs\": [{\"data\": [$ANSWER]}]}" ;;
esac
printf 'HTTP/1.1 %s\r\nContent-Type: application/json\r\n\r\n%s' "$status" "$body"
"""
SERVER = (
    'echo ${FIRST:-200 OK} >/ready; echo "$HANDLER" >/handler; exec nc -ll -p 8080 -e sh /handler'
)
SERVING = {
    "inference": {"port": 8080, "models": ["wine"]},
    "smoke": [
        {
            "port": 8080,
            "path": "/v2/models/wine/infer",
            "body": {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [13.2]}]},
            "expect": {"outputs": [{"data": [1]}]},
            "tolerance": 0.01,
        }
    ],
}


@dataclass
class Place:
    """Where containers run, and how they are asked there."""

    host: Host
    connections: Connections
    docker: Callable[..., subprocess.CompletedProcess[str]]
    image: str
    name: str

    def start(self, number: int, *words: str, script: str = SERVER, **env: str) -> ContainerFact:
        """One container of the model server; `words` are more options of `docker run`."""
        name = f"{self.name}-{number}"
        variables = [
            w for k, v in {"HANDLER": HANDLER, **env}.items() for w in ("--env", f"{k}={v}")
        ]
        self.docker(
            "run", "--detach", "--name", name, "--label", f"mclab.test={self.name}", *variables,
            *words, self.image, "sh", "-c", script,
        )  # fmt: skip
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        shown = self.docker("inspect", "--format", template, name).stdout.split()
        return ContainerFact(name, "model", state="running", addresses=tuple(shown))

    def ready(self, container: ContainerFact, status: str = "200 OK") -> None:
        self.docker("exec", container.name, "sh", "-c", f"echo {status} >/ready")

    def check(
        self, *containers: ContainerFact, seconds: float = 60, cancel: Any = None, **keys: Any
    ) -> tuple[str, ...]:
        serving = ServingSpec.model_validate(keys or SERVING)
        return gates.check(
            self.connections, self.host, containers, serving, seconds=seconds, cancel=cancel
        )


@pytest.fixture
def on_host(
    fresh_hosts: Hosts, mini_image: str, tmp_path: Path, unique_name: Callable[..., str]
) -> Iterator[Place]:
    lab = fresh_hosts[0]
    lab.load(mini_image)
    with connected(lab, fresh_hosts, tmp_path) as connections:
        yield Place(Host.parse(lab.url), connections, lab.docker, mini_image, unique_name("gate"))


def connected(lab: LabHost, hosts: Hosts, folder: Path) -> Connections:
    key = {"MCGITOPS_SSH_KEY": str(lab.key)}
    return Connections(folder, {**hosts.env, **key})


@pytest.fixture
def here(
    mini_image: str, tmp_path: Path, unique_name: Callable[..., str], engine: object
) -> Iterator[Place]:
    def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)

    with Connections(tmp_path, {}) as connections:
        yield Place(Host.parse("local://"), connections, docker, mini_image, unique_name("gate"))


@pytest.fixture(params=["on_host", "here"])
def place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


def test_only_containers_that_answer_as_expected_pass(place: Place) -> None:
    good, wrong = place.start(1, ANSWER="1.004"), place.start(2, ANSWER="2")
    assert place.check(good) == ()
    began = time.monotonic()
    assert place.check(good, wrong, seconds=200) == (
        f"{wrong.name}: POST /v2/models/wine/infer: outputs.0.data.0 is 2, expected 1 (±0.01)",
    )
    assert time.monotonic() - began < 100, "a wrong prediction is final"


def test_a_model_that_loads_is_waited_for(place: Place) -> None:
    slow = place.start(1, FIRST="503 Service Unavailable", ANSWER="1")
    assert place.check(slow, seconds=1) == (
        f"{slow.name}: GET /v2/health/ready: status 503, expected 200, after 1 s",
    )
    loading = threading.Timer(1, place.ready, (slow,))
    loading.start()
    assert place.check(slow) == ()
    loading.join()


def test_a_server_that_is_not_up_yet_is_waited_for(place: Place) -> None:
    slow = place.start(1, script=f"while [ ! -e /go ]; do sleep 0.1; done; {SERVER}", ANSWER="1")
    assert place.check(slow, seconds=1) == (
        f"{slow.name}: GET /v2/health/ready: nothing listens on port 8080, after 1 s",
    )
    smoke = SERVING["smoke"]
    asked = threading.Timer(1, place.docker, ("exec", slow.name, "touch", "/go"))
    asked.start()
    assert place.check(slow, smoke=smoke) == ()  # without readiness, the port is waited for
    asked.join()


def test_a_container_that_ends_is_not_waited_for(place: Place) -> None:
    ended = place.start(1, script="sleep 1; exit 3")
    assert place.check(ended, seconds=200) == (f"{ended.name}: it exited (3) before it answered",)
    place.docker("rm", ended.name)
    assert place.check(ended, seconds=200) == (f"{ended.name}: it no longer exists",)


def test_a_prediction_that_ends_the_container_is_told_as_such(here: Place) -> None:
    handler = HANDLER.replace("  *) status=", "  *infer) kill -TERM 1; exit ;;\n  *) status=")
    script = SERVER.replace("exec", "trap 'exit 7' TERM;") + " & wait"
    dying = here.start(1, script=script, HANDLER=handler)
    assert here.check(dying, seconds=200) == (f"{dying.name}: it exited (7) before it answered",)


def test_a_container_without_a_network_is_asked_from_inside(place: Place) -> None:
    alone = place.start(1, "--network", "none", ANSWER="1")
    assert alone.addresses == ()
    assert place.check(alone) == ()
    place.ready(alone, "503 Service Unavailable")
    (said,) = place.check(alone, seconds=1)
    assert "status 503" in said


def test_a_container_without_any_program_says_what_to_do(place: Place) -> None:
    alone = place.start(1, "--network", "none", script="rm /bin/sh; exec /bin/sleep 600")
    wait(lambda: "\nsh\n" not in place.docker("exec", alone.name, "ls", "/bin").stdout)
    (said,) = place.check(alone, seconds=200)
    assert said.startswith(f"{alone.name}: GET /v2/health/ready: the container can't be reached: ")
    assert "AllowTcpForwarding local" in said


def test_a_restarted_container_is_found_at_its_new_address(here: Place) -> None:
    network = f"{here.name}-net"
    here.docker("network", "create", network)
    first = here.start(1, "--network", network, ANSWER="1")
    here.docker("stop", "--time", "0", first.name)
    second = here.start(2, "--network", network, ANSWER="1")  # takes the address
    assert second.addresses == first.addresses
    here.docker("start", first.name)
    assert here.check(first) == ()


def test_where_forwarding_is_forbidden_the_host_relays(on_host: Place, fresh_hosts: Hosts) -> None:
    bare = "rm /bin/sh; " + SERVER.replace("-e sh", "-e busybox sh")  # nothing to enter it with
    good = on_host.start(1, script=bare, ANSWER="1")
    wrong = on_host.start(2, script=bare, ANSWER="2")
    with forbidden(fresh_hosts[0]):
        assert on_host.check(good) == ()
        assert on_host.check(good, wrong) == (
            f"{wrong.name}: POST /v2/models/wine/infer: outputs.0.data.0 is 2, expected 1 (±0.01)",
        )
        late = on_host.start(3, script="exec sleep 600")
        (said,) = on_host.check(late, seconds=1)
        assert said.startswith(f"{late.name}: GET /v2/health/ready: nothing listens on port 8080")


def test_a_host_that_is_gone_is_not_a_wrong_answer(on_host: Place, fresh_hosts: Hosts) -> None:
    good = on_host.start(1, ANSWER="1")
    fresh_hosts[0].kill()
    try:
        with pytest.raises(HostUnreachable):
            on_host.check(good)
    finally:
        fresh_hosts[0].start()


def test_whoever_waits_can_stop_waiting(here: Place) -> None:
    hanging = here.start(1, script="exec nc -ll -p 8080 -e sleep 600")
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    with pytest.raises(Cancelled):
        here.check(hanging, seconds=200, cancel=cancel)


def forbidden(lab: LabHost) -> Any:
    """sshd there allows no TCP forwarding."""
    return _Forbidden(lab)


class _Forbidden:
    def __init__(self, lab: LabHost) -> None:
        self.lab = lab

    def __enter__(self) -> None:
        self._set("cp /etc/ssh/sshd_config /root/kept; echo AllowTcpForwarding no >>")

    def __exit__(self, *_: object) -> None:
        self._set("cp /root/kept")

    def _set(self, words: str) -> None:
        self.lab.root("sh", "-c", f"{words} /etc/ssh/sshd_config; pkill -HUP -o -x sshd")
        self.lab.wait()


def wait(until: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.1)
