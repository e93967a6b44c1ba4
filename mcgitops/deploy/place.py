"""A release folder: made here, checked by Compose here, then put on a host whole or not at all.

On the host, below the environment's folder:

    releases/NAME/DIGEST/   compose.yml, .env, env files, release.json; never changed, but for the
                            time of `committed`: when it became current last
    files/DIGEST            what services mount, by content; shared between releases
    secrets/DIGEST          files of secrets, likewise, 0700: an unchanged one recreates nothing
    rejected/NAME           releases that were rolled back here
    state/PATH              mounted folders without content in the release: the services' own
    current, previous       symlinks to release folders
    attempt                 the release folder of a rollout that isn't committed
    journal                 who made which release current, or rejected it (commands.journal)
    lock/                   who is rolling out
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import shlex
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from mcgitops.commands import compose_host
from mcgitops.deferred import dataclass
from mcgitops.deploy import composefile, private, yamlfile
from mcgitops.deploy.composefile import OUR_KEY, Document, Rendering
from mcgitops.deploy.names import compose_project, image_reference
from mcgitops.deploy.shipping.images import pins as images_of
from mcgitops.deploy.values import Values, dotenv, gather, masked, reason, sensitive
from mcgitops.errors import UsageError
from mcgitops.facts.program import output
from mcgitops.plan import policy
from mcgitops.project.hosts import Placement, WantedService, segment
from mcgitops.project.load import unescape
from mcgitops.project.serving import ServingSpec
from mcgitops.store.records import FileRef, ReleaseRecord
from mcgitops.store.store import Store
from mcgitops.typed.jsontext import plain

MANIFEST = "release.json"
LARGEST_COMPOSE = 16 * 1024 * 1024
_PLACEHOLDERS = frozenset({".gitkeep", ".keep", ".gitignore"})


@dataclass(frozen=True)
class Mounted:
    """What a service mounts from a release: one file or a folder, named by its content."""

    source: str  # in the project folder
    name: str  # below files/
    files: tuple[tuple[str, FileRef], ...]  # path below `name` → object

    @property
    def path(self) -> str:
        """What to mount, below the environment's folder."""
        single = [below for below, file in self.files if file.path == self.source]
        return f"files/{self.name}/{single[0]}" if single else f"files/{self.name}"


@dataclass(frozen=True, repr=False)
class Prepared:
    """A release folder before it is anywhere. Holds values: has no readable form."""

    project: str
    environment: str
    placement: Placement
    mounted: tuple[Mounted, ...]
    entries: Mapping[str, tuple[bytes, int]]  # path in the folder → content, mode
    secrets: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)  # below secrets/
    states: tuple[str, ...] = ()  # folders to be there, below the environment's folder
    sensitive: frozenset[str] = frozenset()  # values that no message may show

    @property
    def folder(self) -> str:
        """The folder below `releases/`."""
        return self.placement.folder


def prepare(
    folder: Path, store: Store, record: ReleaseRecord, environment: str,
    services: Sequence[str] | None = None, files: Sequence[str] = (),
) -> Prepared:  # fmt: skip
    """The release folder of an environment, with the caller's values. Starts nothing.

    `files` are those of the environment's `values:`.
    """
    document = yamlfile.read(store.read_bytes(record.compose.digest, LARGEST_COMPOSE).decode())
    if unknown := sorted(set(services or ()) - set(document.get("services") or ())):
        raise UsageError(
            f"environments.{environment}.services: {unknown[0]} is not in release {record.name}.",
            f"It has: {', '.join(sorted(document['services']))}.",
        )
    document = composefile.restricted(document, services)
    if not document["services"]:
        raise UsageError(
            f"Release {record.name} has no service that {environment} would run.",
            "A deployed service is one without x-mcgitops and without profiles.",
        )
    needs = composefile.needs(document)
    values = gather(folder, needs, files=files)
    mounted = tuple(_mounted(needs.mounts, record.files))
    names = _names(values)
    pins = {image.service: image for image in record.images}
    rendering = Rendering(
        project=record.project,
        pins={service: image.config_digest for service, image in pins.items()},
        mounted={one.source: one.path for one in mounted},
        env_files={path: names[path] for path in values.env_files},
        secret_files={path: f"secrets/{names[path]}" for path in values.secret_files},
        values=values.variables,
        contents={path: _sha256(file.content) for path, file in values.secret_files.items()},
    )
    rendered = composefile.host_form(document, rendering)
    entries: dict[str, tuple[bytes, int]] = {
        "compose.yml": (yamlfile.write(composefile.checkable(rendered)).encode(), 0o600),
        ".env": (dotenv(values.variables).encode(), 0o600),
        **{names[path]: (file.content, 0o600) for path, file in values.env_files.items()},
    }
    secrets = {
        # who may read a secret inside a container is decided by the file's mode; outside, nobody
        # gets past the folder's own 0700
        names[path]: (file.content, file.mode)
        for path, file in values.secret_files.items()
    }
    variables = tuple(values.names)
    resolved = _resolved(entries, secrets, record, environment, values)
    digests = {
        name: composefile.configuration(resolved, name, document, rendering)
        for name in rendered["services"]
    }
    entries["compose.yml"] = (
        yamlfile.write(composefile.finished(rendered, digests)).encode(), 0o600
    )  # fmt: skip
    wanted = wanted_services(record.project, resolved, rendering.pins, digests)
    digest = _digest(entries, wanted)
    running = {service.image for service in wanted}
    images = tuple(
        pin for pin in images_of(record.project, record.images) if pin.reference in running
    )
    placement = Placement(
        record.name, digest, wanted, variables, images=images, commit=record.commit,
        files=tuple((path, _sha256(content)) for path, (content, _) in sorted(entries.items())),
    )  # fmt: skip
    entries[MANIFEST] = (_manifest(record.project, placement), 0o600)
    have = {one.source for one in mounted}
    states = tuple(
        f"state/{composefile.inside(source)}" for source in needs.mounts if source not in have
    )
    shown = {record.project, environment, record.name, *(one.name for one in wanted)}
    return Prepared(
        record.project, environment, placement, mounted, entries, secrets, states,
        sensitive(values, shown),
    )  # fmt: skip


def write_archive(
    store: Store, prepared: Prepared, absent_files: Iterable[str], target: IO[bytes]
) -> None:
    """The folder and the files that the host lacks, as a tar stream, gzipped."""
    absent = set(absent_files)
    with (
        private.folder() as folder,
        tarfile.open(fileobj=target, mode="w|gz", format=tarfile.PAX_FORMAT) as archive,
    ):
        for one in prepared.mounted:
            if one.name not in absent:
                continue
            absent.discard(one.name)  # two mounts of the same content are one folder
            _add_folder(archive, f"files/{one.name}")
            folders: set[str] = set()
            for below, file in one.files:
                for parent in _parents(below):
                    if parent not in folders:
                        folders.add(parent)
                        _add_folder(archive, f"files/{one.name}/{parent}")
                _add_object(archive, store, file, f"files/{one.name}/{below}", folder)
        base = f"releases/{prepared.folder}"
        placed = {
            **{f"{base}/{path}": entry for path, entry in prepared.entries.items()},
            **{f"secrets/{path}": entry for path, entry in prepared.secrets.items()},
        }
        for path, (content, mode) in sorted(placed.items()):
            member = tarfile.TarInfo(path)
            member.size, member.mode, member.mtime = len(content), mode, 0
            archive.addfile(member, io.BytesIO(content))


def receive_script(root: str, prepared: Prepared, token: str) -> str:
    """Shell: unpack an archive from standard input aside, then move everything into place."""
    incoming = f"incoming.{token}"
    final = shlex.quote(f"releases/{prepared.folder}")
    made = " ".join(shlex.quote(path) for path in prepared.states)
    return "\n".join((
        "set -e",
        "umask 077",
        f"mkdir -p {shlex.quote(root)} && cd {shlex.quote(root)}",
        # what a killed rollout left; a live one holds the lock
        f"rm -rf incoming.* && mkdir {incoming}",
        f"trap 'rm -rf {incoming}' EXIT",
        f"tar -xzpof - -C {incoming}",
        "mkdir -p files releases secrets state",
        "chmod 755 files state",
        "chmod 700 secrets",
        f"for item in {incoming}/files/* {incoming}/secrets/*; do",
        '  [ -e "$item" ] || continue',
        f'  place=${{item#{incoming}/}}',
        '  [ -e "$place" ] || mv "$item" "$place"',
        "done",
        f"mkdir -p releases/{shlex.quote(segment(prepared.placement.release))}",
        # one that is there and is placed again was damaged: its files are replaced one by one,
        # since it may be the current one
        f"if [ -f {final}/{MANIFEST} ]; then",
        f"  (cd {incoming}/{final} && find . -type f) | while read -r item; do",
        f'    mkdir -p "$(dirname {final}/"$item")"',
        f'    mv -f {incoming}/{final}/"$item" {final}/"$item"',
        "  done",
        f"else rm -rf {final}; mv {incoming}/{final} {final}; fi",
        *((f"(umask 022; mkdir -p {made})",) if made else ()),
    ))  # fmt: skip


def _mounted(sources: Iterable[str], files: Sequence[FileRef]) -> Iterable[Mounted]:
    for source in sources:
        inside = [file for file in files if _is_within(file.path, source)]
        if not inside or all(posixpath.basename(f.path) in _PLACEHOLDERS for f in inside):
            continue  # no content: a folder of the service's own
        pairs = [
            (posixpath.basename(f.path) if f.path == source else _below(f.path, source), f)
            for f in sorted(inside, key=lambda file: file.path)
        ]
        summary = json.dumps([[below, f.digest, f.executable] for below, f in pairs])
        name = hashlib.sha256(summary.encode()).hexdigest()[:20]
        yield Mounted(source, name, tuple(pairs))


def _is_within(path: str, source: str) -> bool:
    if source == ".":
        return not path.startswith("../")
    return path == source or path.startswith(source + "/")


def _below(path: str, source: str) -> str:
    return path if source == "." else path[len(source) + 1 :]


def _names(values: Values) -> dict[str, str]:
    """Where env files lie in the folder, numbered since paths may clash; and secrets' files below
    `secrets/`, by content."""
    names = {}
    for number, path in enumerate(sorted(values.env_files)):
        names[path] = f"env/{number}-{posixpath.basename(path)}"
    for path, file in values.secret_files.items():
        digest = _sha256(file.content + f"\0{file.mode:o}".encode())
        names[path] = f"{digest[:20]}/{posixpath.basename(path)}"
    return names


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wanted_services(
    project: str, resolved: Document, pins: Mapping[str, str], digests: Mapping[str, str]
) -> tuple[WantedService, ...]:
    """What a release wants of each service, from the file as Compose reads it.

    pins: configuration digest of the image by service. digests: of each service's configuration.
    """
    services = resolved["services"]
    serving = {
        name: ServingSpec.model_validate(service[OUR_KEY]) if OUR_KEY in service else None
        for name, service in services.items()
    }
    behind = policy.behind(serving)
    return tuple(
        WantedService(
            name,
            replicas=composefile.replicas(service),
            image=image_reference(project, name, pins[name]) if name in pins else "",
            config_digest=pins.get(name, ""),
            configuration=digests.get(name, ""),
            after=policy.after(service),
            update=policy.update(service, name in behind),
            back=policy.back(service, name in behind),
            grace=policy.grace(service),
            behind=behind.get(name),
            serving=serving[name],
        )
        for name, service in services.items()
    )


def _digest(entries: Mapping[str, tuple[bytes, int]], services: Sequence[WantedService]) -> str:
    whole = hashlib.sha256(repr(services).encode())
    for path, (content, mode) in sorted(entries.items()):
        whole.update(f"{path}\0{mode:o}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()[:16]


def _manifest(project: str, placement: Placement) -> bytes:
    return json.dumps({
        "format": 1,
        "project": project,
        "release": placement.release,
        "commit": placement.commit,
        "digest": placement.digest,
        "placed": datetime.now(UTC).isoformat(timespec="seconds"),
        "variables": list(placement.variables),
        "services": {
            one.name: {key: value for key, value in plain(one).items() if key != "name"}
            for one in placement.services
        },
        "images": [asdict(pin) for pin in placement.images],
        "files": dict(placement.files),  # so that an edit is seen
    }).encode()  # fmt: skip


def _resolved(
    entries: Mapping[str, tuple[bytes, int]], secrets: Mapping[str, tuple[bytes, int]],
    record: ReleaseRecord, environment: str, values: Values,
) -> Document:  # fmt: skip
    """Let Compose read the folder here, as the host will: a missing value must not reach a host.

    Gives the file with all values in it, so it is for this process only.
    """
    with private.folder() as place:
        folder = place / "releases" / "x" / "y"
        placed = {
            **{folder / path: content for path, (content, _) in entries.items()},
            **{place / "secrets" / path: content for path, (content, _) in secrets.items()},
        }
        for target, content in placed.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        argv = compose_host.compose(
            str(folder), compose_project(record.project, environment), values.names,
            "config", "--no-path-resolution",
        )  # fmt: skip
        answer = output(argv, folder, check=False)
    if answer.code != 0:
        said = masked(reason(answer.stderr), sensitive(values, (record.name, environment)))
        raise UsageError(
            f"Release {record.name} can't run in {environment}: {said}.",
            "Set the missing variables in the environment, in .env or in a file under values:.",
        )
    return dict(unescape(yamlfile.read(answer.stdout)))


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _add_folder(archive: tarfile.TarFile, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, 0
    archive.addfile(member)


def _add_object(
    archive: tarfile.TarFile, store: Store, file: FileRef, name: str, folder: Path
) -> None:
    copy = folder / "object"
    store.fetch(file.digest, copy)  # verified before a byte of it is sent
    try:
        member = tarfile.TarInfo(name)
        member.size = copy.stat().st_size
        member.mode, member.mtime = 0o755 if file.executable else 0o644, 0
        with copy.open("rb") as stream:
            archive.addfile(member, stream)
    finally:
        copy.unlink()
