"""A Docker engine with Compose and buildx: found, started, or installed from Debian's packages.

Where all three answer, nothing is done. What is going to be installed is said before it is. Only
root on Debian or Ubuntu gets an installation; everybody else gets one clear sentence.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab import debian
from tests.lab.program import CACHE, LabError, output, run, say

MINIMUM = {"engine": (25, 0), "compose": (2, 31), "buildx": (0, 12)}
TITLES = {"engine": "Docker Engine", "compose": "Docker Compose", "buildx": "Docker buildx"}

# Debian 12's own engine is too old, and its Compose and buildx are missing. These are the first
# suites that have new enough ones which run on Debian 12's libc.
DEBIAN = {
    "client": "docker-cli/trixie",
    "engine": "docker.io/trixie",
    "compose": "docker-compose/sid",
    "buildx": "docker-buildx/sid",
}
UBUNTU = {
    "client": "docker.io",
    "engine": "docker.io",
    "compose": "docker-compose-v2",
    "buildx": "docker-buildx",
}
LOG = Path("/var/log/dockerd-mclab.log")


@dataclass(frozen=True)
class Found:
    """What answers on this machine; "" for what doesn't."""

    client: str
    engine: str
    compose: str
    buildx: str

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts that don't answer."""
        return tuple(name for name in DEBIAN if not getattr(self, name))


@dataclass(frozen=True)
class Engine:
    """The engine that the tests use."""

    version: str
    compose: str
    buildx: str


def bring_up() -> Engine:
    """Return an engine that answers, after whatever it takes on this machine."""
    found = look()
    if found.missing:
        if os.environ.get("DOCKER_HOST"):
            raise LabError(
                f"DOCKER_HOST is {os.environ['DOCKER_HOST']}, and {_named(found.missing)} doesn't "
                "answer there. Mend it, or unset DOCKER_HOST."
            )
        _provide(found)
        found = look()
    if found.missing:
        raise LabError(f"{_named(found.missing)} still doesn't answer. The log is {LOG}.")
    if old := too_old({name: getattr(found, name) for name in MINIMUM}):
        raise LabError(old)
    return Engine(found.engine, found.compose, found.buildx)


def look() -> Found:
    """Ask for versions; changes nothing."""
    client = output("docker", "--version", timeout=30)
    if not client:
        return Found("", "", "", "")
    return Found(
        client,
        output("docker", "version", "--format", "{{.Server.Version}}", timeout=30),
        output("docker", "compose", "version", "--short", timeout=30),
        output("docker", "buildx", "version", timeout=30),
    )


def too_old(versions: Mapping[str, str]) -> str:
    """One sentence about the parts that are older than what mcgitops needs, or ""."""
    old = [
        f"{TITLES[name]} {number(text)} is too old: {'.'.join(map(str, MINIMUM[name]))} is needed."
        for name, text in versions.items()
        if _numbers(text) < MINIMUM[name]
    ]
    return " ".join([*old, "Please upgrade."]) if old else ""


def number(text: str) -> str:
    """The version number within what a program says of itself."""
    found = re.search(r"\d+\.\d+(\.\d+)?", text)
    return found.group() if found else text


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number(text).split(".") if part.isdigit())


def _named(parts: tuple[str, ...]) -> str:
    return ", ".join(TITLES.get(part, f"the Docker {part}") for part in parts)


def _provide(found: Found) -> None:
    """Install what is missing and start the daemon; or say why not."""
    installed = bool(shutil.which("dockerd"))
    wanted = [part for part in found.missing if part != "engine" or not installed]
    family = debian.family()
    if (
        "engine" in found.missing
        and "permission denied" in run("docker", "version", check=False).stderr
    ):
        raise LabError(
            "A Docker engine runs here, but this user may not use it. Join the group docker, or "
            "run this as root."
        )
    if os.geteuid() != 0 or (wanted and not family):
        raise LabError(
            f"{_named(found.missing)} doesn't answer here. Install or start Docker "
            f"{MINIMUM['engine'][0]} or newer with the compose and buildx plugins, or run this as "
            "root on Debian or Ubuntu, where it installs them itself."
        )
    if wanted:
        packages = packages_for(tuple(wanted), family)
        say(
            f"Missing: {_named(tuple(wanted))}. Installing Debian packages: {', '.join(packages)} "
            "(a name after / is the suite; nothing else of the machine is upgraded)."
        )
        try:
            debian.install(packages)
        except debian.AptError as error:
            raise LabError(str(error)) from None
    if "engine" in found.missing:
        _start()


def packages_for(parts: tuple[str, ...], family: str) -> list[str]:
    """The packages that bring `parts`, each once."""
    table = UBUNTU if family == "ubuntu" else DEBIAN
    packages = [table[part] for part in parts]
    if "engine" in parts:
        packages.append("iptables")
    return list(dict.fromkeys(packages))


def _start() -> None:
    """Start dockerd: through systemd where that runs the machine, else as a background process."""
    if _answers(2):  # the package's own scripts may have started it
        return
    process = None
    if Path("/run/systemd/system").is_dir():
        run("systemctl", "start", "docker")
    else:
        say(f"Starting dockerd in the background; log: {LOG}; `make clean` stops it.")
        CACHE.mkdir(parents=True, exist_ok=True)
        with LOG.open("ab") as log:
            process = subprocess.Popen(
                ["dockerd"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        _pid_file().write_text(f"{process.pid}\n")
    if not _answers(60, process):
        tail = LOG.read_text(errors="replace").splitlines()[-10:] if LOG.is_file() else []
        raise LabError("\n  ".join(["dockerd was started, but doesn't answer:", *tail]))


def _answers(seconds: float, process: subprocess.Popen[bytes] | None = None) -> bool:
    end = time.monotonic() + seconds
    while True:
        if output("docker", "version", "--format", "{{.Server.Version}}", timeout=10):
            return True
        if time.monotonic() > end or (process and process.poll() is not None):
            return False
        time.sleep(0.3)


def _pid_file() -> Path:
    return CACHE / "dockerd.pid"


def stop() -> None:
    """Stop the dockerd that `bring_up` started from this checkout, and no other."""
    path = _pid_file()
    if not path.is_file():
        return
    pid = int(path.read_text())
    if _is_dockerd(pid):
        say("Stopping the dockerd that the lab started. Its packages stay installed.")
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 20
        while _is_dockerd(pid) and time.monotonic() < end:
            time.sleep(0.1)
    path.unlink()


def _is_dockerd(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    name, state = stat.rpartition(")")[0].partition("(")[2], stat.rpartition(")")[2].split()[0]
    return name == "dockerd" and state != "Z"
