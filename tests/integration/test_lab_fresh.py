"""A machine with nothing but Debian and Python becomes one with an engine, and says so before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.lab.program import ROOT

pytestmark = pytest.mark.engine


@pytest.fixture
def machine(base_image: str, unique_name: Callable[..., str]) -> Iterator[Callable[..., str]]:
    """A fresh Debian 12, as a container; a function that runs a program there as root."""
    name = unique_name("fresh")
    certificates = [variable for variable in os.environ if "CERT" in variable]
    subprocess.run(
        ["docker", "run", "--detach", "--init", "--name", name, "--privileged", "--cgroupns=host",
         "--volume", f"{name}-docker:/var/lib/docker",
         *(word for variable in certificates for word in ("--env", variable)),
         base_image, "sleep", "infinity"],
        check=True, capture_output=True,
    )  # fmt: skip
    for path in ("tests", "requirements", "pyproject.toml"):
        subprocess.run(["docker", "exec", name, "mkdir", "-p", "/src"], check=True)
        subprocess.run(["docker", "cp", "-q", str(ROOT / path), f"{name}:/src/"], check=True)

    def run(*argv: str, code: int = 0) -> str:
        done = subprocess.run(
            ["docker", "exec", "--workdir", "/src", name, *argv],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    yield run


def test_an_engine_is_installed_started_found_and_stopped(machine: Callable[..., str]) -> None:
    machine("useradd", "somebody")
    lab = ("python3", "-m", "tests.lab")
    refused = machine("su", "somebody", "-s", "/bin/sh", "-c", " ".join((*lab, "engine")), code=2)
    assert "run this as root on Debian or Ubuntu" in refused
    assert refused.count("\n") == 1

    refused = machine("su", "somebody", "-s", "/bin/sh", "-c", " ".join((*lab, "ceph")), code=2)
    assert "Ceph's gateway can't be tried here: run this as root on Debian or Ubuntu" in refused
    assert refused.count("\n") == 1

    said = machine(*lab, "engine").splitlines()
    assert said[0].startswith("Missing: the Docker client, Docker Engine, Docker Compose, ")
    assert "docker.io/trixie" in said[0]
    assert said[1].startswith("Starting dockerd in the background")
    assert said[2].startswith("engine ")
    # Nothing but what was announced, and what it needs, comes from the newer suites.
    versions = machine("dpkg-query", "--show", "--showformat", "${Package} ${Version}\n", "libc6")
    assert "deb12" in versions

    again = machine(*lab, "engine")
    assert again.splitlines() == said[2:], "a second call only looks"
    machine("docker", "run", "--help")
    machine(*lab, "down", "--engine")
    machine("docker", "info", code=1)
    assert machine(*lab, "engine").splitlines() == said[1:], "an installed engine is only started"
