"""SSH hosts with engines of their own: containers that behave like small servers.

    with hosts.running(2) as fleet:
        fleet[0].ssh("docker", "version")

Nothing is written to `~/.ssh`: the key is generated, an ssh-agent holds it, and the host keys are
pinned in a file of their own (`fleet.env`).
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from tests.lab import down, images
from tests.lab.program import LABEL, LabError, output, run
from tests.lab.s3 import free_port

USER = "deploy"


@dataclass(frozen=True)
class Host:
    """One host: user `deploy` over SSH, an engine, and ways to make it slow, dead or cut off."""

    name: str
    port: int
    key: Path
    known_hosts: Path
    network: str
    user: str = USER

    @property
    def url(self) -> str:
        """As an environment's `hosts:` wants it."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """The host's address on the lab's network: its published ports are reachable there."""
        networks = down.api().inspect_container(self.name)["NetworkSettings"]["Networks"]
        return str(networks[self.network]["IPAddress"])

    def http(self, port: int) -> str:
        """The root URL of a port that a service publishes on this host."""
        return f"http://{self.address}:{port}"

    def ssh(
        self, *argv: str, stdin: str | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the host as `deploy`; arguments arrive as they are given."""
        return run(
            "ssh", "-F", "none", "-i", self.key, "-p", str(self.port),
            "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
            "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.known_hosts}",
            f"{self.user}@127.0.0.1", "--", shlex.join(argv),
            stdin=stdin, check=check, timeout=timeout,
        )  # fmt: skip

    def docker(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run docker on the host."""
        return self.ssh("docker", *argv, check=check)

    def root(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program on the host as root, around SSH."""
        return run("docker", "exec", self.name, *argv, check=check)

    def load(self, image: str) -> None:
        """Give the host's engine an image of this machine's engine."""
        saving = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        loading = subprocess.run(
            ["docker", "exec", "--interactive", self.name, "docker", "load", "--quiet"],
            stdin=saving.stdout, capture_output=True, text=True,
        )  # fmt: skip
        if saving.wait() or loading.returncode:
            raise LabError(f"{image} could not be loaded on {self.name}: {loading.stderr}")

    def wipe(self) -> None:
        """Take everything off the host: containers, images, volumes, networks, home folder."""
        self.root(
            "sh", "-c",
            "docker ps -aq | xargs -r docker rm -fv >/dev/null;"
            "docker system prune -af --volumes >/dev/null;"
            "docker volume ls -q | xargs -r docker volume rm -f >/dev/null;"
            f"find /home/{USER} -mindepth 1 -delete; rm -rf /tmp/*",
        )  # fmt: skip

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The host hangs: connections open, nothing answers."""
        run("docker", "pause", self.name)
        try:
            yield
        finally:
            run("docker", "unpause", self.name)

    @contextmanager
    def disconnected(self) -> Iterator[None]:
        """The host is cut off: no packet goes in or out. Afterwards it answers again."""
        run("docker", "network", "disconnect", self.network, self.name)
        try:
            yield
        finally:
            run("docker", "network", "connect", self.network, self.name)
            self.wait()

    def kill(self) -> None:
        """The host loses power. What it had on disk stays."""
        run("docker", "kill", self.name)

    def start(self) -> None:
        """The host boots again; returns when SSH and its engine answer."""
        run("docker", "start", self.name)
        self.wait()

    def wait(self, seconds: float = 60) -> None:
        """Wait until SSH and the engine behind it answer."""
        end = time.monotonic() + seconds
        while True:
            done = self.ssh("docker", "version", "--format", "{{.Server.Version}}", check=False)
            if done.returncode == 0:
                return
            if time.monotonic() > end:
                log = self.root("tail", "-n", "20", "/var/log/dockerd.log", check=False).stdout
                raise LabError(f"{self.name} is not ready after {seconds:g} s: {done.stderr}{log}")
            time.sleep(0.2)


@dataclass(frozen=True)
class Hosts(Sequence[Host]):
    """The hosts, and the environment with which plain `ssh` reaches them."""

    hosts: tuple[Host, ...]
    env: dict[str, str] = field(default_factory=dict)

    @overload
    def __getitem__(self, index: int) -> Host: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Host, ...]: ...
    def __getitem__(self, index: int | slice) -> Host | tuple[Host, ...]:
        return self.hosts[index]

    def __len__(self) -> int:
        return len(self.hosts)

    @property
    def urls(self) -> list[str]:
        """As an environment's `hosts:` wants them."""
        return [host.url for host in self.hosts]


@contextmanager
def running(count: int) -> Iterator[Hosts]:
    """Start `count` hosts on a network of their own; all of it is removed afterwards."""
    image = images.host_image()
    session = f"mclab-{secrets.token_hex(4)}"
    label = f"{LABEL}.session={session}"
    with tempfile.TemporaryDirectory(prefix="mclab-ssh-") as name:
        folder = Path(name)
        folder.chmod(0o700)
        key, known_hosts = folder / "key", folder / "known_hosts"
        _keygen(key, "lab user")
        try:
            run("docker", "network", "create", "--label", LABEL, "--label", label, session)
            fleet = tuple(
                _create(image, session, label, folder, number) for number in range(1, count + 1)
            )
            known_hosts.write_text(
                "".join(
                    f"[127.0.0.1]:{host.port} {(folder / f'{host.name}.pub').read_text()}"
                    for host in fleet
                )
            )
            for host in fleet:
                host.wait()
            with _agent(folder, key) as socket:
                env = {"SSH_AUTH_SOCK": str(socket), "MCGITOPS_KNOWN_HOSTS": str(known_hosts)}
                yield Hosts(fleet, env)
        finally:
            down.remove(label)


def _keygen(path: Path, comment: str) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)


def _create(image: str, session: str, label: str, folder: Path, number: int) -> Host:
    name = f"{session}-host{number}"
    host_key = folder / name
    _keygen(host_key, name)
    volume = f"{name}-docker"
    run("docker", "volume", "create", "--label", LABEL, "--label", label, volume)
    # The port is fixed before the start: a restarted host keeps it.
    for _ in range(5):
        port = free_port()
        run(
            "docker", "create", "--name", name, "--hostname", f"host{number}",
            "--label", LABEL, "--label", label, "--network", session,
            "--privileged", "--cgroupns=host", "--volume", f"{volume}:/var/lib/docker",
            "--publish", f"127.0.0.1:{port}:22", image,
        )  # fmt: skip
        for source, target in ((host_key, "host_key"), (folder / "key.pub", "authorized_keys")):
            run("docker", "cp", source, f"{name}:/lab-{target}")
        if run("docker", "start", name, check=False).returncode == 0:
            return Host(name, port, folder / "key", folder / "known_hosts", session)
        run("docker", "rm", "--force", name)
    raise LabError(f"{name} found no free port in five tries.")


@contextmanager
def _agent(folder: Path, key: Path) -> Iterator[Path]:
    """An ssh-agent that holds the lab's key, for programs that run plain `ssh`."""
    socket = folder / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 10
        while not output("ssh-add", key, env={"SSH_AUTH_SOCK": str(socket)}) and not _holds(socket):
            if time.monotonic() > end:
                raise LabError("ssh-agent doesn't answer.")
            time.sleep(0.05)
        yield socket
    finally:
        process.terminate()
        process.wait(10)


def _holds(socket: Path) -> bool:
    done = run("ssh-add", "-l", check=False, env={**os.environ, "SSH_AUTH_SOCK": str(socket)})
    return done.returncode == 0
