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
    assert config == (digest(CONFIG),)
    assert store.missing([*config, *DIFF_IDS]) == set()
    assert store.read_bytes(DIFF_IDS[1]) == LAYERS[1]


def test_an_archive_that_ends_early_is_an_error(store: Store) -> None:
    whole = oci(packed=False).getvalue()
    with pytest.raises((tarfile.TarError, EngineError)):
        images._read_archive(store, io.BytesIO(whole[:5000]), set(DIFF_IDS), set(DIFF_IDS))


def config_of(layers: list[bytes], name: str) -> bytes:
    ids = [digest(content) for content in layers]
    return json.dumps({"name": name, "rootfs": {"type": "layers", "diff_ids": ids}}).encode()


def saved(*made: tuple[list[bytes], bytes]) -> bytes:
    """Images in one archive, each as layers and configuration."""
    contents = {content for layers, _ in made for content in layers}
    manifest = [{"Config": blob(config), "Layers": []} for _, config in made]
    return archive([
        *((blob(content), content) for content in (*contents, *(config for _, config in made))),
        ("manifest.json", json.dumps(manifest).encode()),
    ]).getvalue()  # fmt: skip


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a `docker image save` that prints `IDS.tar`, and notes what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f"""#!/bin/sh
    shift 2
    cd {folder}
    echo "$*" >> asked
    exec cat "$(echo $* | tr ' ' _).tar"
    """
    (folder / "docker").write_text(script)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


@pytest.mark.parametrize("ids", ["configuration", "another"])
def test_images_of_a_release_are_saved_together(
    store: Store, docker: Path, tmp_path: Path, ids: str
) -> None:
    made = [(LAYERS[:2], "api"), (LAYERS[:1], "proxy"), (LAYERS, "known")]
    found = []
    for layers, name in made:
        config = config_of(layers, name)
        image = digest(config) if ids == "configuration" else digest(name.encode())
        layer_ids = tuple(digest(content) for content in layers)
        found.append((name, f"{name}:1", images.LocalImage(image, layer_ids, 1)))
    if ids == "configuration":  # one that the store has is not asked for
        for content in (*LAYERS, config_of(LAYERS, "known")):
            store.put_bytes(content)
        made.pop()
    archives = [(layers, config_of(layers, name)) for layers, name in reversed(made)]
    asked = [image.id for _, _, image in found[: len(made)]]
    (docker / f"{'_'.join(asked)}.tar").write_bytes(saved(*archives))
    pinned = images.store_images(store, found, tmp_path)
    assert [(pin.service, pin.config_digest) for pin in pinned] == [
        ("api", digest(config_of(LAYERS[:2], "api"))),
        ("proxy", digest(config_of(LAYERS[:1], "proxy"))),
        ("known", digest(config_of(LAYERS, "known"))),
    ]
    assert [len(pin.diff_ids) for pin in pinned] == [2, 1, 3]
    assert (docker / "asked").read_text().splitlines() == [" ".join(asked)]


def test_images_that_their_layers_do_not_tell_apart_are_asked_for_alone(
    store: Store, docker: Path, tmp_path: Path
) -> None:
    api, web = config_of(LAYERS, "api"), config_of(LAYERS, "web")
    one, two = digest(b"1"), digest(b"2")
    (docker / f"{one}_{two}.tar").write_bytes(saved((LAYERS, web), (LAYERS, api)))
    (docker / f"{one}.tar").write_bytes(saved((LAYERS, api)))
    (docker / f"{two}.tar").write_bytes(saved((LAYERS, web)))
    found = [(n, n, images.LocalImage(i, DIFF_IDS, 1)) for n, i in (("api", one), ("web", two))]
    pinned = images.store_images(store, found, tmp_path)
    assert [pin.config_digest for pin in pinned] == [digest(api), digest(web)]
    assert (docker / "asked").read_text().splitlines() == [f"{one} {two}", one, two]


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
