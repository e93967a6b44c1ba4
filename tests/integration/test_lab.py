"""The lab's components are real: engines that run containers, S3 over HTTP, hosts over SSH."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable

import pytest

from tests.lab import engine as lab_engine
from tests.lab import images
from tests.lab.hosts import Hosts
from tests.lab.s3 import S3Server


@pytest.mark.engine
def test_a_second_bring_up_finds_what_is_there(engine: lab_engine.Engine) -> None:
    assert lab_engine.bring_up() == engine


@pytest.mark.engine
def test_the_base_image_trains(base_image: str) -> None:
    assert images.base_image() == base_image
    script = "import joblib, sklearn.datasets, yaml\nprint(sklearn.datasets.load_wine().data.shape)"
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", base_image, "python3", "-c", script],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "(178, 13)", done.stderr


@pytest.mark.engine
def test_what_carries_a_handed_out_name_is_removed(
    mini_image: str, unique_name: Callable[..., str]
) -> None:
    from tests.lab import down

    mine, other = unique_name("mine"), unique_name("other")
    for name in (mine, other):
        subprocess.run(
            ["docker", "run", "--detach", "--label", f"com.docker.compose.project={name}-0",
             "--volume", f"{name}-data:/data", mini_image, "sleep", "60"],
            check=True, capture_output=True,
        )  # fmt: skip
        subprocess.run(["docker", "tag", mini_image, f"{name}/train:1"], check=True)
    down.remove_named(mine)
    left = "".join(
        subprocess.run(["docker", *argv], capture_output=True, text=True, check=True).stdout
        for argv in (
            ["ps", "--all", "--format", '{{.Label "com.docker.compose.project"}}'],
            ["volume", "ls", "--quiet"],
            ["image", "ls"],
        )
    )
    assert mine not in left
    assert left.count(other) == 3


@pytest.mark.s3
def test_s3_servers_check_signatures(s3_server: S3Server) -> None:
    client = s3_server.client()
    key = f"{uuid.uuid4().hex}/object"
    client.put_object(Bucket=s3_server.bucket, Key=key, Body=b"weights")
    assert client.get_object(Bucket=s3_server.bucket, Key=key)["Body"].read() == b"weights"


@pytest.mark.s3
def test_rclone_refuses_a_wrong_key(rclone_s3: S3Server) -> None:
    import dataclasses

    from botocore.exceptions import ClientError

    stranger = dataclasses.replace(rclone_s3, secret_key="wrong").client()
    with pytest.raises(ClientError):
        stranger.put_object(Bucket=rclone_s3.bucket, Key="x", Body=b"")


@pytest.mark.hosts
def test_hosts_have_engines_of_their_own(ssh_hosts: Hosts, mini_image: str) -> None:
    first, second, _ = ssh_hosts
    first.load(mini_image)
    assert mini_image in first.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout
    assert mini_image not in second.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout
    assert first.ssh("id", "-un").stdout.strip() == "deploy"
    first.wipe()
    assert first.docker("images", "--quiet").stdout == ""


@pytest.mark.hosts
def test_plain_ssh_reaches_hosts_with_their_environment(ssh_hosts: Hosts) -> None:
    host = ssh_hosts[1]
    done = subprocess.run(
        ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes",
         "-o", f"UserKnownHostsFile={ssh_hosts.env['MCGITOPS_KNOWN_HOSTS']}", "-p", str(host.port),
         "deploy@127.0.0.1", "hostname"],
        env={**os.environ, **ssh_hosts.env}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "host2\n", done.stderr


@pytest.mark.hosts
def test_a_host_can_hang_vanish_and_lose_power(ssh_hosts: Hosts) -> None:
    host = ssh_hosts[0]
    with host.paused():
        assert host.ssh("true", check=False, timeout=2).returncode != 0
    with host.disconnected():
        assert host.ssh("true", check=False, timeout=8).returncode != 0
    host.ssh("touch", "still-here")
    host.kill()
    assert host.ssh("true", check=False, timeout=8).returncode != 0
    host.start()
    assert host.ssh("ls").stdout.split() == ["still-here"]
    host.wipe()
