"""Images without a registry: out of an engine into the store, layer by layer, and back.

A layer is stored as the plain tar that its diff-id is the digest of, and a configuration under its
own digest. So a release's image is named by digests alone, the same layer is one object however
many images hold it, and an unchanged image is neither saved nor stored again.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from mcgitops.commands import image as image_commands
from mcgitops.commands.command import Command
from mcgitops.deferred import dataclass
from mcgitops.deploy.shipping.meter import megabytes as megabytes
from mcgitops.errors import EngineError
from mcgitops.facts.program import missing_program, output
from mcgitops.project.hosts import Pin
from mcgitops.run.process import execute
from mcgitops.store.records import ReleaseImage
from mcgitops.store.store import Store

LARGEST_CONFIG = 4 * 1024 * 1024
_OCI = "application/vnd.oci.image."
_FORMAT = tarfile.PAX_FORMAT
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class LocalImage:
    """What the local engine says of an image."""

    id: str
    diff_ids: tuple[str, ...]
    size: int


def find(reference: str, folder: Path) -> LocalImage | None:
    """The image in the local engine, or None."""
    answer = output(image_commands.inspect(reference), folder, check=False)
    if answer.code != 0:
        if "No such image" in answer.stderr or "No such object" in answer.stderr:
            return None
        raise EngineError(f"docker image inspect {reference} failed: {answer.stderr.strip()}")
    found = json.loads(answer.stdout)[0]
    layers = (found.get("RootFS") or {}).get("Layers") or ()
    return LocalImage(found["Id"], tuple(layers), int(found.get("Size") or 0))


def find_or_pull(reference: str, folder: Path) -> LocalImage:
    """The image in the local engine; fetched where it is only named."""
    if found := find(reference, folder):
        return found
    execute(Command(image_commands.pull(reference), reason=f"the release pins {reference}"), folder)
    pulled = find(reference, folder)
    if pulled is None:
        raise EngineError(f"{reference} is not in the engine, although docker has pulled it.")
    return pulled


def store_image(
    store: Store, service: str, reference: str, image: LocalImage, folder: Path
) -> ReleaseImage:
    """Put what the store lacks of an image into it, and pin it."""
    return store_images(store, [(service, reference, image)], folder)[0]


def store_images(
    store: Store, found: Sequence[tuple[str, str, LocalImage]], folder: Path
) -> tuple[ReleaseImage, ...]:
    """Put what the store lacks of images into it, and pin them: service, reference and image each.

    The engine writes whole images only, at some seconds a gigabyte. So those that lack something
    come in one archive, in which the layers that they share, often most of them, are once.
    """
    lacking = {i.id: i for _, _, i in found if store.missing((i.id, *i.diff_ids))}
    exported = _export(store, tuple(lacking.values()), folder) if lacking else {}
    return tuple(
        _pinned(store, service, reference, image, exported.get(image.id, image.id))
        for service, reference, image in found
    )


def _pinned(
    store: Store, service: str, reference: str, image: LocalImage, config: str
) -> ReleaseImage:
    declared = _layers_of(store, config)
    if lost := store.missing(declared):
        raise EngineError(
            f"{reference}: docker image save did not contain the layer {min(lost)}.",
            "Remove the image and build it again; engines older than 25 may need an upgrade.",
        )
    return ReleaseImage(
        service=service, reference=reference, config_digest=config, diff_ids=declared,
        size=image.size,
    )  # fmt: skip


def _layers_of(store: Store, config: str) -> tuple[str, ...]:
    return tuple(json.loads(store.read_bytes(config, LARGEST_CONFIG))["rootfs"]["diff_ids"])


def _export(store: Store, images: Sequence[LocalImage], folder: Path) -> dict[str, str]:
    """Stream `docker image save` into the store; gives each image's configuration, by its id."""
    names = " ".join(image.id for image in images)
    argv = image_commands.save(*(image.id for image in images))
    try:
        process = subprocess.Popen(
            argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise missing_program(argv[0]) from None
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    try:
        layers = {layer for image in images for layer in image.diff_ids}
        configs = _read_archive(store, process.stdout, layers, store.missing(layers))
        while process.stdout.read(65536):  # the padding after the archive's end
            pass
        said = process.stderr.read().decode("utf-8", "replace").strip()
        if process.wait() != 0:
            raise EngineError(f"docker image save {names} failed: {said}")
    except tarfile.TarError as error:
        process.kill()
        said = process.stderr.read().decode("utf-8", "replace").strip()
        raise EngineError(f"docker image save {names} failed: {said or error}") from None
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if len(images) == 1:
        return {images[0].id: configs[0]}
    exported: dict[str, str] = {}
    for image in images:
        # Where the engine keeps images in containerd's store, an id is not the configuration's
        # digest, and only the layers tell whose it is; if several have the same, ask for it alone.
        fitting = {c for c in configs if _layers_of(store, c) == image.diff_ids}
        if image.id in configs:
            exported[image.id] = image.id
        elif len(fitting) == 1:
            exported[image.id] = fitting.pop()
        else:
            exported |= _export(store, (image,), folder)
    return exported


def _read_archive(
    store: Store, stream: IO[bytes], layers: set[str], wanted: set[str]
) -> tuple[str, ...]:
    """Take layers to the store as they come; the configurations are named at the archive's end.

    Gives the digests of these, one for each image, in the archive's order.
    """
    small: dict[str, bytes] = {}
    manifest = b""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if not member.isreg():
                continue  # folders; older engines link a repeated layer to its first place
            content = archive.extractfile(member)
            assert content is not None  # noqa: S101  (a regular file has content)
            named = f"sha256:{Path(member.name).name}"
            if named in layers:
                if named in wanted:
                    _put_layer(store, content, named)
                continue
            start = content.read(4)
            rest = _Joined(start, content)
            if start.lstrip()[:1] in (b"{", b"[") and member.size <= LARGEST_CONFIG:
                small[member.name] = rest.read()
                if member.name == "manifest.json":
                    manifest = small[member.name]
            elif member.size > 1024 or start[:2] == _GZIP:
                _put_layer(store, rest, "")
    if not manifest:
        raise EngineError("docker image save gave an archive without manifest.json.")
    return tuple(store.put_bytes(small[str(i["Config"])])[0] for i in json.loads(manifest))


def _put_layer(store: Store, content: IO[bytes] | _Joined, expected: str) -> None:
    """Store one layer as plain tar, whatever it was packed with (containerd keeps it gzipped)."""
    start = content.read(4)
    joined = _Joined(start, content)
    if start == _ZSTD:
        raise EngineError(
            "The image has a layer packed with zstd, which can't be unpacked here.",
            "Build it with gzip layers (buildx: --output type=docker,compression=gzip).",
        )
    plain: Any = gzip.GzipFile(fileobj=joined) if start[:2] == _GZIP else joined
    digest, _ = store.put_stream(cast(BinaryIO, plain))
    if expected and digest != expected and start[:2] != _GZIP:
        raise EngineError(f"The layer {expected} came out of the engine damaged.", "Try again.")


class _Joined(io.RawIOBase):
    """A stream of which the first bytes were read already."""

    def __init__(self, start: bytes, rest: IO[bytes] | _Joined) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            start, self._start = self._start, b""
            return start + self._rest.read()
        if self._start:
            start, self._start = self._start[:size], self._start[size:]
            return start
        return self._rest.read(size)


@dataclass
class Sent:
    """What travelled to a host: the bytes that were sent and what they are unpacked."""

    bytes: int = 0
    unpacked: int = 0
    resumed: int = 0  # bytes that an earlier, broken connection had brought


def pins(project: str, images: Iterable[ReleaseImage]) -> tuple[Pin, ...]:
    """A record's images as the planner knows them."""
    from mcgitops.deploy.names import image_reference

    return tuple(
        Pin(
            image.service,
            image_reference(project, image.service, image.config_digest),
            image.config_digest,
            image.diff_ids,
        )
        for image in images
    )


def write_archive(store: Store, pins: Iterable[Pin], layers: set[str], target: IO[bytes]) -> Sent:
    """An archive for `docker load` with only these layers, as plain tars, streamed.

    The engine takes layers that the archive lacks from what it has.
    """
    counted = _Counted(target)
    unpacked = 0
    chosen = tuple(dict.fromkeys(pins))
    with tarfile.open(fileobj=cast(BinaryIO, counted), mode="w|", format=_FORMAT) as archive:
        _describe(archive, store, chosen)
        for layer in dict.fromkeys(layer for pin in chosen for layer in pin.diff_ids):
            if layer in layers:
                unpacked += _add_object(archive, store, layer)
    return Sent(counted.count, unpacked)


def description(store: Store, pins: Iterable[Pin]) -> bytes:
    """An image's archive without its layers."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=_FORMAT) as archive:
        _describe(archive, store, tuple(dict.fromkeys(pins)))
    return target.getvalue()


def _describe(archive: tarfile.TarFile, store: Store, pins: Sequence[Pin]) -> None:
    """All of an archive but the layers: an OCI layout with Docker's own manifest beside it.

    That is how `docker save` writes it: the containerd store reads the one, older engines the
    other.
    """
    index, manifest = [], []
    for pin in pins:
        config = store.read_bytes(pin.config_digest, LARGEST_CONFIG)
        _add(archive, _blob(pin.config_digest), config)
        layers = [_layer(store, layer) for layer in pin.diff_ids]
        described = _manifest(pin, config, layers)
        digest = f"sha256:{hashlib.sha256(described).hexdigest()}"
        _add(archive, _blob(digest), described)
        index.append({
            "mediaType": _OCI + "manifest.v1+json", "digest": digest, "size": len(described),
            "annotations": {
                "io.containerd.image.name": f"docker.io/{pin.reference}",
                "org.opencontainers.image.ref.name": pin.reference.rpartition(":")[2],
            },
        })  # fmt: skip
        manifest.append({
            "Config": _blob(pin.config_digest),
            "RepoTags": [pin.reference],
            "Layers": [_blob(str(layer["digest"])) for layer in layers],
        })  # fmt: skip
    _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    document = {"schemaVersion": 2, "mediaType": _OCI + "index.v1+json", "manifests": index}
    _add(archive, "index.json", json.dumps(document).encode())
    _add(archive, "manifest.json", json.dumps(manifest).encode())


def _layer(store: Store, layer: str) -> dict[str, object]:
    return {"mediaType": _OCI + "layer.v1.tar", "digest": layer, "size": store.size(layer)}


def _manifest(pin: Pin, config: bytes, layers: Sequence[dict[str, object]]) -> bytes:
    return json.dumps({
        "schemaVersion": 2,
        "mediaType": _OCI + "manifest.v1+json",
        "config": {
            "mediaType": _OCI + "config.v1+json", "digest": pin.config_digest, "size": len(config),
        },
        "layers": layers,
    }).encode()  # fmt: skip


class _Counted:
    """Counts what is written to another stream."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.count = 0

    def write(self, data: bytes) -> int:
        self._target.write(data)
        self.count += len(data)
        return len(data)


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644
    archive.addfile(member, io.BytesIO(content))


def _add_object(archive: tarfile.TarFile, store: Store, digest: str) -> int:
    member = tarfile.TarInfo(_blob(digest))
    member.size = store.size(digest)
    member.mode = 0o644
    with store.open_object(digest) as stream:
        archive.addfile(member, stream)
        stream.read()  # to the end: that is where a damaged object is noticed
    return member.size
