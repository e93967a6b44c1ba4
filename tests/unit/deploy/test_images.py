"""Layers between archives and the store; the archives are as real engines write them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from mcgitops.deploy.shipping import images
from mcgitops.errors import EngineError
from mcgitops.project.hosts import Pin
from mcgitops.store.store import Store, open_store


def layer(name: str, size: int = 3000) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = size
        archive.addfile(member, io.BytesIO(name.encode().ljust(size, b".")))
    return buffer.getvalue()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


LAYERS = [layer("a"), layer("b"), layer("c")]
DIFF_IDS = tuple(digest(content) for content in LAYERS)
CONFIG = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": DIFF_IDS}}).encode()


def archive(entries: list[tuple[str, bytes]]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def blob(content: bytes) -> str:
    return f"blobs/sha256/{digest(content)[7:]}"


def oci(packed: bool) -> io.BytesIO:
    """As engine 25 and newer write it; packed: as the containerd store keeps layers."""
    contents = [gzip.compress(each, mtime=0) if packed else each for each in LAYERS]
    manifest = [{"Config": blob(CONFIG), "RepoTags": None, "Layers": [blob(c) for c in contents]}]
    return archive([
        *((blob(content), content) for content in contents),
        (blob(CONFIG), CONFIG),
        ("index.json", b"{}"),
        ("manifest.json", json.dumps(manifest).encode()),
        ("oci-layout", b"{}"),
    ])  # fmt: skip


def legacy() -> io.BytesIO:
    """As engines before 25 write it."""
    manifest = [{
        "Config": f"{digest(CONFIG)[7:]}.json",
        "Layers": [f"{number}/layer.tar" for number in range(len(LAYERS))],
    }]  # fmt: skip
    entries = []
    for number, content in enumerate(LAYERS):
        entries += [(f"{number}/VERSION", b"1.0"), (f"{number}/json", b"{}")]
        entries += [(f"{number}/layer.tar", content)]
    return archive([
        *entries, (f"{digest(CONFIG)[7:]}.json", CONFIG),
        ("manifest.json", json.dumps(manifest).encode()),
    ])  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.mark.parametrize("form", ["oci", "packed", "legacy"])
def test_layers_are_stored_under_their_diff_ids(store: Store, form: str) -> None:
    stream = legacy() if form == "legacy" else oci(packed=form == "packed")
    config = images._read_archive(store, stream, set(DIFF_IDS), store.missing(DIFF_IDS))
    assert config == digest(CONFIG)
    assert store.missing([config, *DIFF_IDS]) == set()
    assert store.read_bytes(DIFF_IDS[1]) == LAYERS[1]


def test_an_archive_that_ends_early_is_an_error(store: Store) -> None:
    whole = oci(packed=False).getvalue()
    with pytest.raises((tarfile.TarError, EngineError)):
        images._read_archive(store, io.BytesIO(whole[:5000]), set(DIFF_IDS), set(DIFF_IDS))


def whole_pin(store: Store) -> Pin:
    for content in (*LAYERS, CONFIG):
        store.put_bytes(content)
    return Pin("api", "mcgitops/wine/api:x", digest(CONFIG), DIFF_IDS)


def test_an_archive_holds_only_the_layers_asked_for(store: Store) -> None:
    pin = whole_pin(store)
    target = io.BytesIO()
    sent = images.write_archive(store, [pin, pin], {DIFF_IDS[2]}, target)
    assert sent.bytes == len(target.getvalue())
    assert sent.unpacked == len(LAYERS[2])
    target.seek(0)
    with tarfile.open(fileobj=target) as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert [name for name in names if name == blob(LAYERS[2])] == [blob(LAYERS[2])]
    assert blob(LAYERS[0]) not in names
    assert manifest[0]["RepoTags"] == ["mcgitops/wine/api:x"]
    assert len(manifest[0]["Layers"]) == 3


def test_a_description_names_each_layer_as_every_image_does(store: Store) -> None:
    pin = whole_pin(store)
    described = images.description(store, [pin, pin])
    with tarfile.open(fileobj=io.BytesIO(described)) as tar:
        contents = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    (docker,) = json.loads(contents["manifest.json"])
    (listed,) = json.loads(contents["index.json"])["manifests"]
    manifest = json.loads(contents[f"blobs/sha256/{listed['digest'][7:]}"])
    assert docker["Layers"] == [blob(layer) for layer in LAYERS]
    assert [(one["digest"], one["size"]) for one in manifest["layers"]] == [
        (diff_id, 3000 + 7240) for diff_id in DIFF_IDS
    ]
    assert {one["mediaType"].rpartition(".")[2] for one in manifest["layers"]} == {"tar"}
    assert contents[blob(CONFIG)] == CONFIG
    assert not any(blob(content) in contents for content in LAYERS)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.0 MB"), (12, "1 kB"), (3_400, "3 kB"), (1_149_000, "1.1 MB"), (311_900_000, "312 MB")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert images.megabytes(size) == text
