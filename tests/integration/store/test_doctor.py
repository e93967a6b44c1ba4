"""`mcgitops store doctor` on every kind of store, as people call it."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import Runner
from tests.lab.s3 import S3Server, free_port

pytestmark = pytest.mark.s3


def test_each_service_is_tried_and_left_as_it_was(
    s3_server: S3Server, run_mcgitops: Runner, tmp_path: Path
) -> None:
    prefix = uuid4().hex
    url = s3_server.url(prefix)
    argv = ("store", "doctor", "--store", url)
    said = run_mcgitops(*argv, "--json", cwd=tmp_path, env=s3_server.env)
    found = json.loads(said.stdout)
    states = {finding["name"]: finding["state"] for finding in found["findings"]}
    is_exact = s3_server.kind != "rclone"  # which ignores If-None-Match
    assert states.pop("conditions") == ("works" if is_exact else "limited")
    assert set(states.values()) == {"works"}
    assert found["healthy"] and found["store"] == url.replace("%3A", ":").replace("%2F", "/")
    assert found["upload_bytes_per_second"] > 0 and found["latency_seconds"] > 0
    listed = s3_server.client().list_objects_v2(Bucket=s3_server.bucket, Prefix=prefix)
    assert listed.get("Contents", []) == []


def test_a_project_asks_of_its_own_store(run_mcgitops: Runner, tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("name: wine\nservices: {a: {image: x}}\n")
    said = run_mcgitops("store", "doctor", cwd=tmp_path).stdout
    assert said.startswith(str(tmp_path / ".mcgitops/store"))
    assert said.endswith("\nEverything works.\n")


def test_a_service_that_is_not_there_is_one_sentence(
    rclone_s3: S3Server, run_mcgitops: Runner, tmp_path: Path
) -> None:
    url = f"s3://models?endpoint_url=http://127.0.0.1:{free_port()}"
    env = {**rclone_s3.env, "AWS_MAX_ATTEMPTS": "1"}
    said = run_mcgitops("store", "doctor", "--store", url, cwd=tmp_path, env=env, check=False)
    assert said.code == 1
    assert said.stderr == ""
    assert "can't be reached" in said.stdout
    assert said.stdout.endswith("mcgitops can't use this store as it is: list.\n")


def test_a_wrong_url_is_wrong_usage(run_mcgitops: Runner, tmp_path: Path) -> None:
    said = run_mcgitops("store", "doctor", "--store", "s3://", cwd=tmp_path, check=False)
    assert said.code == 2
    assert "names no bucket" in said.stderr
