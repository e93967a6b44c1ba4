"""Training on another machine's engine, as docs/how-to/machines.md says: nothing is shared."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ProjectFactory, Runner
from tests.lab.hosts import Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]


COMPOSE = """
services:
  train:
    build: {context: ., args: {BASE_IMAGE: "${BASE_IMAGE}"}}
    command: sh train.sh
    working_dir: /job
    volumes: ["./data:/job/data:ro", "./out:/job/out"]
    x-mcgitops: {metrics: [out/metrics.json], outputs: [out/model.txt]}
"""
FILES = {
    "compose.yml": COMPOSE,
    "Dockerfile": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY train.sh /job/\n",
    ".dockerignore": "*\n!train.sh\n",
    ".gitignore": "/out/\n.mcgitops/\n",
    "train.sh": "cp data/rows.csv out/model.txt; echo '{\"accuracy\": 0.5}' > out/metrics.json\n",
    "data/rows.csv": "1,2\n",
}


def test_training_on_a_host_that_has_only_docker(
    run_mcgitops: Runner,
    project_factory: ProjectFactory,
    fresh_hosts: Hosts,
    mini_image: str,
    unique_name: Callable[..., str],
    tmp_path: Path,
):
    host = fresh_hosts[0]
    host.load(mini_image)
    # docker calls the ssh that is in PATH; this one knows the lab's host keys
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        f"#!/bin/sh\nexec {shutil.which('ssh')} -F none -i {host.key} -o BatchMode=yes "
        f'-o UserKnownHostsFile={host.known_hosts} "$@"\n'
    )
    ssh.chmod(0o755)
    folder = project_factory(FILES, name=unique_name("remote"))
    env = {
        "BASE_IMAGE": mini_image,
        "DOCKER_HOST": host.url,
        "PATH": f"{ssh.parent}{os.pathsep}{os.environ['PATH']}",
    }
    there = json.loads(run_mcgitops("train", "--json", cwd=folder, env=env).stdout)
    assert len(there["trained"]) == 1
    assert (folder / "out/model.txt").read_text() == "1,2\n"
    assert (folder / "out/model.txt").stat().st_uid == os.getuid()
    assert host.docker("ps", "--all", "--quiet").stdout == ""
    assert host.docker("volume", "ls", "--quiet").stdout == ""

    here = run_mcgitops("train", cwd=folder, env={"BASE_IMAGE": mini_image})
    assert "Nothing to do" in here.stdout


def test_a_host_that_cannot_be_reached_is_named_with_what_ssh_said(
    run_mcgitops: Runner, project_factory: ProjectFactory, mini_image: str
):
    folder = project_factory({**FILES, "Dockerfile": f"FROM {mini_image}\n"})
    env = {"DOCKER_HOST": "ssh://nobody@127.0.0.1:9", "BASE_IMAGE": mini_image}
    failed = run_mcgitops("train", cwd=folder, env=env, check=False)
    assert failed.code == 1
    assert "127.0.0.1" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "refused" in failed.stderr
