"""`mcgitops store doctor` on every kind of store, as people call it."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import botocore.loaders
import pytest
from botocore import xform_name

from mcgitops.store import s3
from mcgitops.store.doctor import examine
from mcgitops.store.s3 import S3Backend
from mcgitops.store.store import open_store
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
    # nor does it know If-Match, or copies in parts
    assert states.pop("same version") == ("works" if is_exact else "limited")
    assert states.pop("copy in parts") == ("works" if is_exact else "limited")
    assert set(states.values()) == {"works"}
    assert found["healthy"] and found["store"] == url.replace("%3A", ":").replace("%2F", "/")
    assert found["upload_bytes_per_second"] > 0 and found["latency_seconds"] > 0
    client = s3_server.client()
    listed = client.list_objects_v2(Bucket=s3_server.bucket, Prefix=prefix)
    assert listed.get("Contents", []) == []
    begun = client.list_multipart_uploads(Bucket=s3_server.bucket, Prefix=prefix)
    assert begun.get("Uploads", []) == []


def test_what_is_too_large_to_be_copied_at_once_is_moved_on_each_service(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts, or at once where the service knows no such parts."""
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3, "LARGEST_COPY", 10 * 2**20)
    backend = open_store(s3_server.url(uuid4().hex)).backend
    large = os.urandom(18 * 2**20)
    backend.put("damaged/here", large)
    assert backend.move("damaged/here", "trash/there")
    assert backend.get("trash/there") == large
    assert backend.get("damaged/here") is None
    assert not backend.move("damaged/here", "trash/there")


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


def test_all_that_is_asked_of_a_bucket_is_tried(
    moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call, or an argument of one, that the store begins to use has to be tried as well."""
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    used = dict(_used())
    assert {"get_object", "upload_part_copy", "plain PUT", "IfNoneMatch", "Range"} <= used.keys()
    tried: set[str] = set()

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        tried.update({xform_name(model.name), *params})

    real = s3._connect

    def connected(*args: Any, **options: Any) -> Any:
        client = real(*args, **options)
        client.meta.events.register("provide-client-params.s3", note)
        return client

    monkeypatch.setattr(s3, "_connect", connected)
    backend = open_store(moto_s3.url(uuid4().hex)).backend
    assert isinstance(backend, S3Backend)
    plain = backend._direct.ask

    def asked(method: str, *args: Any, **options: Any) -> Any:
        answer = plain(method, *args, **options)
        if answer is not None:
            given = {**(options.get("headers") or {}), **(options.get("query") or {})}
            tried.update({f"plain {method}", *(ARGUMENTS[name.lower()] for name in given)})
        return answer

    monkeypatch.setattr(backend._direct, "ask", asked)
    assert examine(backend).healthy
    assert {name: place for name, place in used.items() if name not in tried} == {}


S3 = botocore.loaders.Loader().load_service_model("s3", "service-2")
METHODS = {xform_name(name): (xform_name(name),) for name in S3["operations"]} | {
    "copy": ("upload_part_copy", "copy_object", "head_object"),  # as boto3 makes it
}
ARGUMENTS = {  # of requests for objects, as Python or the wire has it → as Python has it
    name: member
    for operation in ("GetObject", "PutObject", "ListObjectsV2", "UploadPart", "CopyObject")
    for member, shape in S3["shapes"][f"{operation}Request"]["members"].items()
    for name in (member, shape.get("locationName", member).lower())
} | {"list-type": "Prefix"}  # which version of the call it is


def _used() -> Iterator[tuple[str, str]]:
    """What the store asks of buckets, but for what tries it: calls and arguments, with the place.

    Arguments are what is named so where the client is known, be it given, or kept to be given.
    """
    for path in sorted(Path(s3.__file__).parent.glob("*.py")):
        text = path.read_text()
        if path.name in ("doctor.py", "s3_doctor.py") or "client" not in text:
            continue
        tree = ast.parse(text)
        answers = set()  # what is looked for in an answer
        for node in ast.walk(tree):
            match node:
                case ast.Subscript(slice=constant, ctx=ast.Load()):
                    answers.add(constant)
                case ast.Call(func=ast.Attribute(attr="get"), args=[constant, *_]):
                    answers.add(constant)
                case ast.Assign(targets=[ast.Name(id="EXPECTED")]):
                    answers.update(ast.walk(node))
        for node in ast.walk(tree):
            if node in answers:
                continue
            place = f"{path.name}:{getattr(node, 'lineno', 0)}"
            match node:
                case ast.Attribute(value=ast.Attribute(attr="client" | "_client"), attr=name):
                    yield from ((one, place) for one in METHODS.get(name, ()))
                case ast.Attribute(value=ast.Name(id="client"), attr=name):
                    yield from ((one, place) for one in METHODS.get(name, ()))
                case ast.Call(
                    func=ast.Attribute(attr="get_paginator" | "generate_presigned_url"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    yield name, place
                case ast.Call(
                    func=ast.Attribute(attr="ask"), args=[ast.Constant(value=str(name)), *_]
                ):
                    yield f"plain {name}", place
                case ast.keyword(arg=str(name)) if name in ARGUMENTS and name[0].isupper():
                    yield name, place
                case ast.Constant(value=str(name)) if name in ARGUMENTS and name[0].isupper():
                    yield name, place
                case ast.Constant(value=str(name)) if "-" in name and name.lower() in ARGUMENTS:
                    yield ARGUMENTS[name.lower()], place
