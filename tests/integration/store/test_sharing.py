"""Roles in one bucket, held by the service that can enforce them: Ceph, with users and policies."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from mcgitops.errors import StoreError
from mcgitops.store import policy as policies
from mcgitops.store.journal import START, Journal
from mcgitops.store.policy import ROLES
from mcgitops.store.records import FileRef, ReleaseRecord
from mcgitops.store.s3_url import parse
from mcgitops.store.store import Store, open_store
from mcgitops.store.transfer import copy_runs
from tests.conftest import Runner
from tests.integration.store.conftest import NOON, MakeRun, fingerprint
from tests.integration.store.test_services import entered
from tests.lab import ceph

pytestmark = pytest.mark.s3

TOPS = (
    "objects", "packs", "journal", "runs", "attempts", "commits", "releases", "deployments",
    "wanted", "reports", "marks", "trash", "damaged", "doctor",
)  # fmt: skip
PUBLISHING = {"objects", "packs", "journal", "marks", "doctor"}
WRITES: dict[str, set[str]] = {
    "reader": set(),
    "trainer": {*PUBLISHING, "runs", "attempts", "commits", "reports"},
    "releaser": {*PUBLISHING, "releases", "deployments", "wanted"},
    "keeper": set(TOPS),
}


Users = tuple[ceph.Ceph, dict[str, ceph.Ceph]]
"""The bucket's owner, and a user for each role."""
PolicyOf = Callable[[str, str, Sequence[str]], dict[str, Any]]


class Shared:
    """A bucket of its own, with a policy for each user: the bucket's, or one of his own."""

    def __init__(self, users: Users, of_role: PolicyOf, *, of_bucket: bool = True) -> None:
        server, self.users = users
        self.bucket = f"shared-{uuid4().hex}"
        self.url = f"s3://{self.bucket}/wine?endpoint_url={server.endpoint}"
        self.clients = {name: user.client() for name, user in self.users.items()}
        self.owner = server.client()
        self.owner.create_bucket(Bucket=self.bucket)
        statements: list[object] = []
        for name in self.users:
            arns = [f"arn:aws:iam:::user/{name}"] if of_bucket else []
            policy = of_role(name, self.url, arns)
            statements += policy["Statement"]
            if not of_bucket:
                server.allow(name, self.bucket, policy)
        if of_bucket:
            policy = {"Version": "2012-10-17", "Statement": statements}
            self.owner.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(policy))

    def may(self, name: str, act: str, key: str) -> bool:
        """Whether the service lets a user do it; any other refusal is an error."""
        client = self.clients[name]
        arguments = {"Bucket": self.bucket, "Key": key}
        try:
            if act == "put":
                client.put_object(**arguments, Body=b"{}")
            elif act == "get":
                client.get_object(**arguments)
            else:
                client.delete_object(**arguments)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied"
            return False
        return True


def computed(name: str, url: str, principals: Sequence[str]) -> dict[str, Any]:
    """The policy as the command has it."""
    place = parse(url, {})
    return policies.policy(policies.role(name), place.bucket, place.prefix, principals)


@pytest.fixture(scope="module")
def users(ceph_s3: ceph.Ceph) -> Users:
    return ceph_s3, {one.name: ceph_s3.user(one.name) for one in ROLES}


@pytest.fixture
def shared(users: Users) -> Shared:
    return Shared(users, computed)


@pytest.mark.parametrize("of_bucket", [True, False])
def test_the_service_lets_each_role_do_exactly_what_it_is_for(
    users: Users, run_mcgitops: Runner, tmp_path: Path, of_bucket: bool
) -> None:
    def printed(name: str, url: str, principals: Sequence[str]) -> dict[str, Any]:
        options = [word for arn in principals for word in ("--principal", arn)]
        argv = ("store", "policy", name, "--store", url, *options)
        found: dict[str, Any] = json.loads(run_mcgitops(*argv, cwd=tmp_path).stdout)
        assert found == computed(name, url, principals)
        return found

    shared = Shared(users, printed, of_bucket=of_bucket)
    for top in TOPS:
        for key in (f"wine/{top}/there", f"beer/{top}/there"):
            shared.owner.put_object(Bucket=shared.bucket, Key=key, Body=b"{}")
    for name, writes in WRITES.items():
        reads = {top for top in TOPS if shared.may(name, "get", f"wine/{top}/there")}
        assert reads == set(TOPS), name
        over = {top for top in TOPS if shared.may(name, "put", f"wine/{top}/there")}
        new = {top for top in TOPS if shared.may(name, "put", f"wine/{top}/{name}")}
        assert over == new == writes, name
        removed = {top for top in TOPS if shared.may(name, "delete", f"wine/{top}/{name}")}
        assert removed == ({"doctor"} & writes if name != "keeper" else set(TOPS)), name
        for act in ("get", "put", "delete"):
            assert not shared.may(name, act, "beer/runs/there"), name


def test_a_trainer_pushes_what_a_reader_pulls(
    shared: Shared, trained: Path, run_mcgitops: Runner, tmp_path: Path
) -> None:
    def as_role(name: str) -> dict[str, str]:
        return {**shared.users[name].env, "MCGITOPS_STORE": shared.url}

    refused = run_mcgitops("push", cwd=trained, env=as_role("reader"), check=False)
    assert refused.code == 1
    assert refused.stderr.count("\n") == 1
    assert "access was denied" in refused.stderr
    assert "s3:PutObject" in refused.stderr
    pushed = run_mcgitops("push", "--json", cwd=trained, env=as_role("trainer"))
    assert json.loads(pushed.stdout)["records"] == 2
    for path in (trained / ".mcgitops").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (trained / ".mcgitops").rename(tmp_path / "aside")
    run_mcgitops("pull", cwd=trained, env=as_role("reader"))
    assert (trained / "out/model.bin").read_text() == "model 1"


def release(store: Store, make_run: MakeRun) -> ReleaseRecord:
    run = make_run(store, 7, publish=False)
    digest, size = store.put_bytes(b"services: {}")
    return ReleaseRecord(
        project="wine", name="v1", commit="c" * 40, created=NOON, artifacts=run.outputs,
        compose=FileRef(path="compose.yml", digest=digest, size=size),
    )  # fmt: skip


def test_only_a_releaser_publishes_releases(
    shared: Shared, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered(shared.users["releaser"], monkeypatch)
    store = open_store(shared.url)
    made = release(store, make_run)
    assert store.publish_release(made)
    with pytest.raises(StoreError, match="access was denied"):
        make_run(store, 8)
    for name in ("reader", "trainer"):
        entered(shared.users[name], monkeypatch)
        other = open_store(shared.url)
        assert other.release("wine", "v1") == made
        with pytest.raises(StoreError, match="access was denied"):
            other.publish_release(made.model_copy(update={"name": "v2"}))
        with pytest.raises(StoreError, match="access was denied") as caught:
            other.backend.delete("releases/wine/v1.json")
        assert "s3:DeleteObject" in caught.value.hint


@pytest.mark.parametrize("name", list(WRITES))
def test_the_doctor_finds_a_role_well_equipped(
    shared: Shared, run_mcgitops: Runner, tmp_path: Path, name: str
) -> None:
    argv = ["store", "doctor", "--store", shared.url]
    env = shared.users[name].env
    if name == "reader":
        done = run_mcgitops(*argv, cwd=tmp_path, env=env, check=False)
        assert done.code == 1
        assert "mcgitops can't use this store as it is: write." in done.stdout
        argv.append("--read-only")
    assert run_mcgitops(*argv, cwd=tmp_path, env=env).stdout.endswith("Everything works.\n")
    left = shared.owner.list_objects_v2(Bucket=shared.bucket).get("Contents", [])
    assert left == []
    uploads = shared.owner.list_multipart_uploads(Bucket=shared.bucket).get("Uploads", [])
    assert uploads == []


def test_machines_and_projects_push_into_one_bucket_at_once(
    shared: Shared, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines with the same runs, one with others, one of another project; and a reader."""
    machines = {
        "a": ("wine", (1, 2)),
        "b": ("wine", (1, 2)),
        "c": ("wine", (3,)),
        "d": ("beer", (1,)),
    }
    entered(shared.users["trainer"], monkeypatch)
    program = (
        "import sys, pathlib; from mcgitops.store.store import open_store;"
        "from mcgitops.store.sync import push;"
        "a, b = map(open_store, sys.argv[1:3]); push(a, b, sys.argv[3], pathlib.Path(sys.argv[4]))"
    )
    pushing = []
    for name, (project, numbers) in machines.items():
        local = open_store(str(tmp_path / name))
        for number in numbers:
            run = make_run(local, number, publish=False)
            local.publish(run.model_copy(update={"project": project}))
        argv = (str(local.path), shared.url, project, str(tmp_path / f"{name}-cache"))
        pushing.append(subprocess.Popen([sys.executable, "-c", program, *argv]))
    entered(shared.users["reader"], monkeypatch)
    store = open_store(shared.url)
    while any(process.poll() is None for process in pushing):
        for run in store.runs("wine"):  # what is visible is whole
            assert not store.missing(file.digest for file in run.files)
        time.sleep(0.2)
    assert [process.returncode for process in pushing] == [0, 0, 0, 0]
    found = {
        project: {run.fingerprint for run in store.runs(project)} for project in ("wine", "beer")
    }
    assert found["wine"] == {fingerprint(1), fingerprint(2), fingerprint(3)}
    assert found["beer"] == {fingerprint(1)}
    back = open_store(str(tmp_path / "back"))
    assert copy_runs(store, back, store.runs("wine")).records == 3  # verified on the way
    told = Journal(open_store(shared.url).backend).since(START)
    named = {key for entry in told.entries for key in entry.records}
    assert {key.split("/")[1] for key in named} == {"wine", "beer"}
    assert len(named) == 4
