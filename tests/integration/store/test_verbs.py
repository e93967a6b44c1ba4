"""push, pull, runs and show as people run them, against a real S3 server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from mcgitops.store import layout
from mcgitops.store.records import FileRef
from mcgitops.store.s3_upload import PART
from mcgitops.store.store import open_store
from tests.conftest import ProjectFactory, Runner
from tests.integration.store.conftest import MakeRun, fingerprint
from tests.integration.store.proxy import breaking
from tests.lab.s3 import S3Server

pytestmark = [pytest.mark.s3, pytest.mark.engine, pytest.mark.usefixtures("engine")]


def env_of(server: S3Server, prefix: str) -> dict[str, str]:
    return {**server.env, "MCGITOPS_STORE": server.url(prefix)}


def test_a_run_reaches_another_machine(
    trained: Path,
    project_factory: ProjectFactory,
    run_mcgitops: Runner,
    rclone_s3: S3Server,
    tmp_path: Path,
) -> None:
    env = env_of(rclone_s3, uuid4().hex)
    pushed = run_mcgitops("push", cwd=trained, env=env)
    assert "Pushed 2 records and 3 files" in pushed.stdout
    assert rclone_s3.secret_key not in pushed.stdout + pushed.stderr

    other = tmp_path / "other"
    project_factory.git(tmp_path, "clone", "--quiet", str(trained), str(other))
    assert fingerprint(1)[:12] in run_mcgitops("runs", cwd=other, env=env).stdout
    assert project_factory.git(other, "status", "--porcelain") == ""
    pulled = run_mcgitops("pull", cwd=other, env=env)
    assert "Wrote 2 files" in pulled.stdout
    assert (other / "out/model.bin").read_text() == "model 1"
    assert json.loads((other / "out/metrics.json").read_text()) == {"accuracy": 0.5}

    again = json.loads(run_mcgitops("pull", "--json", cwd=other, env=env).stdout)
    assert (again["written"], again["objects"], again["records"]) == ([], 0, 0)
    assert project_factory.git(other, "status", "--porcelain") == ""  # .mcgitops is hidden

    listed = run_mcgitops("runs", cwd=other, env=env).stdout
    assert fingerprint(1)[:12] in listed
    assert "accuracy 0.5" in listed
    shown = json.loads(
        run_mcgitops("show", fingerprint(1)[:8], "--json", cwd=other, env=env).stdout
    )
    assert shown["fingerprint"] == fingerprint(1)
    text = run_mcgitops("show", fingerprint(1)[:8], cwd=other, env=env).stdout
    assert "out/model.bin" in text


def test_runs_of_few_files_come_and_go_without_boto3(
    trained: Path,
    project_factory: ProjectFactory,
    run_mcgitops: Runner,
    rclone_s3: S3Server,
    make_run: MakeRun,
    tmp_path: Path,
) -> None:
    prefix = uuid4().hex
    env = {**env_of(rclone_s3, prefix), "PYTHONPROFILEIMPORTTIME": "1"}
    here = open_store(str(trained / ".mcgitops/store"))
    value = os.urandom(2 * PART + 7)
    digest, size = here.put_bytes(value)
    large = FileRef(path="out/large.bin", digest=digest, size=size)
    here.publish(make_run(here, 2, publish=False).model_copy(update={"outputs": (large,)}))
    # of somebody else: services answer otherwise where a bucket has any at all
    theirs = rclone_s3.client().create_multipart_upload(Bucket=rclone_s3.bucket, Key="theirs")
    other = tmp_path / "other"
    project_factory.git(tmp_path, "clone", "--quiet", str(trained), str(other))
    for verb, folder, said in (("push", trained, "6 files"), ("pull", other, "Wrote 2 files")):
        done = run_mcgitops(verb, cwd=folder, env=env)
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert said in done.stdout
        assert "mcgitops.store.s3" in loaded
        unwanted = loaded & {"boto3", "botocore", "botocore.exceptions", "urllib3"}
        assert not unwanted, verb
    assert (other / "out/model.bin").read_text() == "model 1"
    key = f"{prefix}/{layout.object_key(digest)}"
    there = rclone_s3.client().get_object(Bucket=rclone_s3.bucket, Key=key)["Body"].read()
    assert there == value
    rclone_s3.client().abort_multipart_upload(
        Bucket=rclone_s3.bucket, Key="theirs", UploadId=theirs["UploadId"]
    )


def test_a_second_push_needs_no_network(
    trained: Path, run_mcgitops: Runner, rclone_s3: S3Server
) -> None:
    env = env_of(rclone_s3, uuid4().hex)
    run_mcgitops("push", cwd=trained, env=env)
    offline = {**env, "AWS_ACCESS_KEY_ID": "", "HTTP_PROXY": "http://127.0.0.1:1"}
    assert "Nothing to push" in run_mcgitops("push", cwd=trained, env=offline).stdout


def test_nothing_to_push_is_told_without_reading_the_project(
    trained: Path, run_mcgitops: Runner, rclone_s3: S3Server, make_run: MakeRun
) -> None:
    prefix = uuid4().hex
    env = env_of(rclone_s3, prefix)
    here = open_store(str(trained / ".mcgitops/store"))

    def push(*options: str, env: dict[str, str] = env) -> tuple[str, bool]:
        """What was said, and whether it was looked into what there is to push."""
        verbose = {**env, "PYTHONPROFILEIMPORTTIME": "1"}
        done = run_mcgitops("push", *options, cwd=trained, env=verbose)
        nonlocal is_read
        is_read = "mcgitops.project.load" in done.stderr
        return done.stdout.split(" to push")[0], "mcgitops.store.sync" in done.stderr

    is_read = False
    assert push()[1]
    assert is_read  # Compose has to be asked once
    assert push() == ("Nothing", True)
    assert push() == ("Nothing", False)
    assert push("--json")[1]
    # a run more
    make_run(here, 7)
    assert push()[0].startswith("Pushed 1 record")
    assert not is_read  # what its name and store are is known from before
    assert push() == ("Nothing", False)
    # what garbage collection has taken out of the note
    notes = [file for file in (trained / ".mcgitops/cache").glob("pushed-*") if file.is_file()]
    for note in notes:
        note.write_text("")
    assert push() == ("Nothing", True)
    assert push() == ("Nothing", False)
    # other words for the store, another store, another file
    assert push(env={**env, "AWS_REGION": "eu-west-1"})[1]
    assert push(env=env_of(rclone_s3, uuid4().hex))[0].startswith("Pushed 3 records")
    assert push() == ("Nothing", False)
    compose = trained / "compose.yml"
    compose.write_text(compose.read_text() + "\n# changed\n")
    assert push() == ("Nothing", True)
    assert is_read
    compose.write_text(compose.read_text().replace("name: wine", "name: beer"))
    assert push()[1]
    assert is_read
    compose.write_text(compose.read_text().replace("name: beer", "name: wine"))
    push()
    push()
    assert push() == ("Nothing", False)
    # data that was pinned since
    (trained / "set.csv").write_text("a,b\n")
    run_mcgitops("data", "add", "set.csv", cwd=trained, env=env)
    said, loaded = push()
    assert said.startswith("Pushed to")
    assert loaded
    push()
    assert push() == ("Nothing", False)
    pin = trained / "set.csv.mcgitops"
    pin.write_text(pin.read_text().replace("digest: sha256:", "digest: sha256:0")[:-1])
    assert run_mcgitops("push", cwd=trained, env=env, check=False).code == 2


def test_push_again_finds_out_what_the_store_has_lost(
    trained: Path, run_mcgitops: Runner, rclone_s3: S3Server
) -> None:
    prefix = uuid4().hex
    env = env_of(rclone_s3, prefix)
    run_mcgitops("push", cwd=trained, env=env)
    client = rclone_s3.client()
    listed = client.list_objects_v2(Bucket=rclone_s3.bucket, Prefix=f"{prefix}/objects/")
    lost = listed["Contents"][0]["Key"]
    client.delete_object(Bucket=rclone_s3.bucket, Key=lost)
    again = json.loads(run_mcgitops("push", "--again", "--json", cwd=trained, env=env).stdout)
    assert (again["objects"], again["records"]) == (1, 0)


@pytest.mark.parametrize(
    ("settings", "more"),
    [("", {}), ("&checksums=on", {}), ("", {"MCGITOPS_STORE_BANDWIDTH": "1MB"})],
    ids=["plainly", "by boto3", "at a pace"],
)
def test_ctrl_c_ends_a_push_soon_and_the_next_one_completes_it(
    trained: Path,
    run_mcgitops: Runner,
    moto_s3: S3Server,
    settings: str,
    more: dict[str, str],
) -> None:
    store = open_store(str(trained / ".mcgitops/store"))
    runs = list(store.runs("wine"))
    files = []
    for number in range(4):
        digest, size = store.put_bytes(os.urandom(20_000_000))
        files.append(FileRef(path=f"out/{number}", digest=digest, size=size))
    changes = {"fingerprint": "e" * 64, "outputs": tuple(files)}
    store.publish(runs[0].model_copy(update=changes))
    prefix = uuid4().hex
    # A part takes 25 s at least, and there are several on their way.
    with breaking(moto_s3.endpoint, slowly=0.2) as proxy:
        url = f"s3://{moto_s3.bucket}/{prefix}?endpoint_url={proxy.endpoint}{settings}"
        process = subprocess.Popen(
            [sys.executable, "-m", "mcgitops", "push"], cwd=trained,
            env={**os.environ, **moto_s3.env, **more, "MCGITOPS_STORE": url},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        client = moto_s3.client()
        while not client.list_multipart_uploads(Bucket=moto_s3.bucket, Prefix=prefix).get(
            "Uploads"
        ):
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("Interrupted. Nothing half-done is left.\n")
    assert time.monotonic() - began < 10
    env = env_of(moto_s3, prefix)
    assert "Pushed 3 records" in run_mcgitops("push", cwd=trained, env=env).stdout
    left = client.list_multipart_uploads(Bucket=moto_s3.bucket, Prefix=prefix)
    assert left.get("Uploads", []) == []  # what was begun was gone on with


def test_pull_does_not_lose_a_file_that_no_store_has(trained: Path, run_mcgitops: Runner) -> None:
    (trained / "out").mkdir()
    (trained / "out/model.bin").write_text("mine")
    refused = run_mcgitops("pull", cwd=trained, check=False)
    assert refused.code == 1
    assert "out/model.bin would be overwritten" in refused.stderr
    assert (trained / "out/model.bin").read_text() == "mine"
    assert not (trained / "out/metrics.json").exists()
    run_mcgitops("pull", "--force", cwd=trained)
    assert (trained / "out/model.bin").read_text() == "model 1"


def test_pull_of_a_commit_without_runs_says_what_to_do(project: Path, run_mcgitops: Runner) -> None:
    answer = run_mcgitops("pull", cwd=project, check=False)
    assert answer.code == 1
    assert "has no runs of" in answer.stderr
    assert "mcgitops train" in answer.stderr


def test_push_into_the_folders_own_store_has_nothing_to_do(
    trained: Path, run_mcgitops: Runner
) -> None:
    assert "Nothing to push" in run_mcgitops("push", cwd=trained).stdout


def test_an_ambiguous_prefix_names_the_runs(
    trained: Path, run_mcgitops: Runner, make_run: MakeRun
) -> None:
    make_run(open_store(str(trained / ".mcgitops/store")), 2)
    answer = run_mcgitops("show", "0000", cwd=trained, check=False)
    assert answer.code == 2
    assert "begins 2 runs: 00000001ffffffff, 00000002ffffffff" in answer.stderr
    missing = run_mcgitops("show", "abcd", cwd=trained, check=False)
    assert missing.code == 2
    assert "No run or release 'abcd'" in missing.stderr


def test_runs_are_listed_newest_first_and_failed_ones_too(
    trained: Path, run_mcgitops: Runner, make_run: MakeRun
) -> None:
    store = open_store(str(trained / ".mcgitops/store"))
    make_run(store, 3)
    failed = make_run(store, 2, publish=False).model_copy(update={"state": "failed"})
    store.attempt(failed)
    records = json.loads(run_mcgitops("runs", "--json", cwd=trained).stdout)
    assert [record["fingerprint"] for record in records] == [
        fingerprint(3),
        fingerprint(2),
        fingerprint(1),
    ]
    assert records[0]["metrics"]["out/metrics.json"]["loss"] == {"float": "nan"}
    assert len(json.loads(run_mcgitops("runs", "-n", "1", "--json", cwd=trained).stdout)) == 1
    wrong = run_mcgitops("runs", "trian", cwd=trained, check=False)
    assert wrong.code == 2
    assert "Did you mean train?" in wrong.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://models?endpoint=http://127.0.0.1:1", "Did you mean endpoint_url?"),
        ("s3://key:hush@models", "holds credentials"),
        ("s3://models?endpoint_url=http://key:hush@127.0.0.1", "holds credentials"),
    ],
)
def test_a_wrong_url_is_a_sentence(
    trained: Path, run_mcgitops: Runner, url: str, said: str
) -> None:
    answer = run_mcgitops("push", cwd=trained, env={"MCGITOPS_STORE": url}, check=False)
    assert answer.code == 2
    assert said in answer.stderr
    assert "hush" not in answer.stderr
