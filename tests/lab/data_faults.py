"""What `store_faults` does, for stores that are mended and for pinned data, while things break.

Scenarios of their own seeds, so that those of `store_faults` stay the same.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mcgitops.errors import McgitopsError
from mcgitops.project.model import Project
from mcgitops.project.pin import read_manifest
from mcgitops.project.spec import ProjectSpec
from mcgitops.run import data_add, data_pull, data_push
from mcgitops.run.workspace import Workspace
from mcgitops.store.objects import hashed
from mcgitops.store.records import RunRecord
from mcgitops.store.repair import repair
from mcgitops.store.store import Store, key_of, open_store
from mcgitops.store.transfer import references
from mcgitops.store.verify import verify
from tests.lab import store_faults
from tests.lab.s3 import S3Server
from tests.lab.store_faults import LARGE, PROJECT, Scenario, Work, differences

VERBS = ("repair", "data push", "data pull")
DATA = "data"
SMALL_FILES = 40
COMPOSE = "name: wine\nservices: {api: {image: example}}\n"


def scenarios(seed: int, count: int) -> list[Scenario]:
    """As those of `store_faults`, of these verbs."""
    return store_faults.scenarios(seed, count, VERBS)


def data_project(folder: Path, large: int = 0, compose: str = "") -> Path:
    """A project in git, with pinned data: small files, an empty one, and one of `large` bytes."""
    folder.mkdir(parents=True)
    (folder / "compose.yml").write_text(
        compose or "name: wine\nservices: {api: {image: example}}\n"
    )
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    chance = random.Random(large)
    for number in range(SMALL_FILES):
        place = folder / DATA / f"{number % 4}" / f"{number}.bin"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(chance.randbytes(chance.randrange(20_000)) if number else b"")
    if large:
        (folder / DATA / "large.bin").write_bytes(chance.randbytes(large))
    data_add.add(workspace(folder), DATA)
    return folder


def workspace(folder: Path, remote: Store | None = None) -> Workspace:
    """A data project as the program has it, with its local store."""
    project = Project(PROJECT, folder, (folder / "compose.yml",), {}, ProjectSpec(), {})
    return Workspace(project, open_store(str(folder / ".mcgitops/store")), remote)


def cloned(folder: Path, to: Path) -> Path:
    """The project as git has it: with pins, without data."""
    shutil.copytree(folder, to, ignore=lambda at, names: _left_out(at, names, folder))
    return to


def _left_out(at: str, names: list[str], folder: Path) -> set[str]:
    return {DATA, ".mcgitops"} & {*names} if Path(at) == folder else set()


def wrong_files(folder: Path, whole: Path) -> Iterator[str]:
    """What of a folder's data isn't as in another one; what isn't there is not looked at."""
    for path in sorted((folder / DATA).rglob("*")):
        other = whole / path.relative_to(folder)
        if path.is_file() and (not other.is_file() or path.read_bytes() != other.read_bytes()):
            yield f"{path} is no file of the data, or another one"


def missing_files(folder: Path, whole: Path) -> Iterator[str]:
    """Data that a folder lacks of another one's."""
    for other in sorted((whole / DATA).rglob("*")):
        if not (folder / other.relative_to(whole)).exists():
            yield f"{other.relative_to(whole)} isn't there"


def lacking(ours: Store, theirs: Store) -> set[str]:
    """Keys of records and digests that another store lacks of what ours has, or has otherwise."""
    bad = {key for key in ours.record_keys(PROJECT) if theirs.backend.get(key) is None}
    return bad | unreadable(
        theirs, {f.digest for run in ours.runs(PROJECT) for f in references(run)}
    )


def unreadable(store: Store, digests: Iterable[str]) -> set[str]:
    """Those that a store doesn't have whole."""
    bad = set()
    for digest in sorted(digests):
        try:
            with store.objects.open(digest) as stream:
                if hashed(stream)[0] != digest:
                    bad.add(digest)
        except McgitopsError:
            bad.add(digest)
    return bad


def harm(server: S3Server, prefix: str, run: RunRecord, chance: random.Random) -> None:
    """Flip a byte of a pack or object in the bucket, and remove a run's record and an index."""
    client, bucket = server.client(), server.bucket
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = sorted(one["Key"] for page in pages for one in page.get("Contents", []))
    values = [k for k in keys if "/packs/" in k or "/objects/" in k]
    indexes = [key for key in values if key.endswith(".index")]
    for key in chance.sample([key for key in values if key not in indexes], 1):
        value = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
        value[chance.randrange(len(value))] ^= 1 << chance.randrange(8)
        client.put_object(Bucket=bucket, Key=key, Body=bytes(value))
    if chance.random() < 0.3 and indexes:
        client.delete_object(Bucket=bucket, Key=chance.choice(indexes))
    client.delete_object(Bucket=bucket, Key=f"{prefix}/{key_of(run)}")


class _Repair(Work):
    """A damaged bucket is mended from the local store: what was good stays so at every moment."""

    def prepare(self) -> None:
        super().prepare()
        runs = list(self.source.runs(PROJECT))
        chance = random.Random(self.prefix)
        harm(self.server, self.prefix, chance.choice(runs), chance)
        self.bad = lacking(self.source, self.direct)
        self.is_sound = True

    def act(self, remote: Store) -> None:
        self.is_sound = repair(remote, verify(remote), [self.source]).is_sound

    def half_done(self) -> Iterator[str]:
        more = lacking(self.source, self.direct) - self.bad
        yield from (f"{one} was there before" for one in sorted(more))
        yield from store_faults.differences(self.source, self.source)

    def at_once(self) -> Iterator[str]:
        """It says itself whether all is well again."""
        yield from self.incomplete() if self.is_sound else self.half_done()

    def incomplete(self) -> Iterator[str]:
        yield from differences(self.source, self.direct)
        for finding in verify(self.direct).findings:
            yield finding.message


class _Data(Work):
    """What pushes and pulls of pinned data have."""

    @property
    def project(self) -> Path:
        """The project where the data was pinned: it stays as it is."""
        large = any(f.size == LARGE for run in self.source.runs(PROJECT) for f in run.files)
        place = Path(self.source.url).parent / f"data-{large}"
        return place if place.exists() else data_project(place, LARGE if large else 0)

    def manifest(self) -> str:
        """The digest that the pin names."""
        return workspace(self.project).data.pins[0].digest

    def whole(self) -> Iterator[str]:
        """What the bucket lacks of the data."""
        digests = {self.manifest()}
        manifest = workspace(self.project).local.read_bytes(self.manifest())
        digests |= {e.digest for e in read_manifest(manifest).entries if e.digest.startswith("sha")}
        yield from (f"the bucket lacks {d}" for d in sorted(unreadable(self.direct, digests)))


class _DataPush(_Data):
    def prepare(self) -> None:
        """The bucket is empty."""

    def act(self, remote: Store) -> None:
        done = data_push.push(workspace(self.project, remote))
        assert not done.elsewhere

    def half_done(self) -> Iterator[str]:
        """Whoever finds the manifest finds all of it."""
        if not self.direct.missing([self.manifest()]):
            yield from self.whole()

    def incomplete(self) -> Iterator[str]:
        yield from self.whole()


class _DataPull(_Data):
    def prepare(self) -> None:
        data_push.push(workspace(self.project, self.direct))
        self.clone = cloned(self.project, self.place / "clone")

    def act(self, remote: Store) -> None:
        _, edited = data_pull.pull(workspace(self.clone, remote), [])
        assert not edited

    def half_done(self) -> Iterator[str]:
        yield from wrong_files(self.clone, self.project)
        yield from self.whole()

    def incomplete(self) -> Iterator[str]:
        yield from self.half_done()
        yield from missing_files(self.clone, self.project)


class Ground(store_faults.Ground):
    """The same ground, for these verbs."""

    works: Mapping[str, type[Work]] = {
        "repair": _Repair, "data push": _DataPush, "data pull": _DataPull,
    }  # fmt: skip
