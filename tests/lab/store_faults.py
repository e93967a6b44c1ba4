"""Stores that are copied, looked after and cleaned up while things break; and what is left then.

`Scenario.run` does one thing through a network that breaks, looks at the store with its own eyes,
does the same again on a network that works, and looks again: then everything must be there, whole,
and nothing that was there before may be lost.
"""

from __future__ import annotations

import datetime
import random
import shutil
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from mcgitops.errors import McgitopsError
from mcgitops.store import layout
from mcgitops.store.objects import hashed
from mcgitops.store.records import CommitRecord, FileRef, ImageRef, RunRecord
from mcgitops.store.s3 import S3Backend
from mcgitops.store.store import Store, open_store
from mcgitops.store.sync import pull, push
from mcgitops.store.transfer import references
from tests.lab.faulty import FAULTS, Plan, faulty
from tests.lab.s3 import S3Server

PROJECT = "wine"
STAGE = "train"
COMMIT = "c0ffee" * 6 + "c0ff"
VERBS = ("push", "pull", "gc", "verify")
RATES = (0.01, 0.03, 0.1, 0.3)
LARGE = 18_000_000  # more than one part, and more than one range
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Scenario:
    """One verb, through one kind of bad network."""

    number: int
    seed: int
    verb: str
    rate: float
    large: bool
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How it went. `said`: the error of the call that met the faults; "" where it was right."""

    scenario: Scenario
    said: str
    faults: int
    problems: tuple[str, ...]


def scenarios(seed: int, count: int, verbs: tuple[str, ...] = VERBS) -> list[Scenario]:
    """All verbs and rates, and each kind of fault both alone and among others."""
    chance = random.Random(seed)
    return [
        Scenario(
            number,
            chance.randrange(1_000_000),
            verbs[number % len(verbs)],
            RATES[number // len(verbs) % len(RATES)],
            chance.random() < 0.15,
            (chance.choice(FAULTS),) if chance.random() < 0.3 else FAULTS,
        )
        for number in range(count)
    ]


def direct(server: S3Server, prefix: str, clients: dict[str, Any] = {}) -> Store:  # noqa: B006
    """A store in a server's bucket; nothing is remembered of it but the client, which is costly."""
    store = open_store(server.url(prefix))
    assert isinstance(store.backend, S3Backend)
    store.backend._opened = clients.get(server.endpoint)
    clients[server.endpoint] = store.backend._client
    return store


class Work:
    """What all scenarios have."""

    def __init__(self, source: Store, place: Path, server: S3Server, prefix: str) -> None:
        self.source, self.place, self.server, self.prefix = source, place, server, prefix

    @property
    def direct(self) -> Store:
        """The bucket, seen anew over a network that works."""
        return direct(self.server, self.prefix)

    def prepare(self) -> None:
        """What has to be there before."""
        push(self.source, self.direct, PROJECT, self.place / "note")

    def act(self, remote: Store) -> None:
        """The verb."""
        raise NotImplementedError

    def half_done(self) -> Iterator[str]:
        """What must not be, whatever broke: by default, that anything is lost."""
        yield from self.incomplete()

    def incomplete(self) -> Iterator[str]:
        """What must not be after the next call."""
        yield from differences(self.source, self.direct)

    def at_once(self) -> Iterator[str]:
        """What must not be where the call that met the faults said that it succeeded."""
        yield from self.incomplete()


class _Push(Work):
    def prepare(self) -> None:
        """The bucket is empty."""

    def act(self, remote: Store) -> None:
        # Noted by the address, which is the proxy's the first time: both times all is pushed.
        push(self.source, remote, PROJECT, self.place / "note")

    def half_done(self) -> Iterator[str]:
        """What is visible is whole."""
        yield from dangling(self.direct)


class _Pull(Work):
    def act(self, remote: Store) -> None:
        pull(remote, open_store(str(self.place / "local")), PROJECT, COMMIT)

    def half_done(self) -> Iterator[str]:
        yield from dangling(open_store(str(self.place / "local")))
        yield from differences(self.source, self.direct)

    def incomplete(self) -> Iterator[str]:
        yield from differences(self.source, open_store(str(self.place / "local")))


class _Collect(Work):
    """A collection without grace: what is needed stays, what isn't goes in the end."""

    def prepare(self) -> None:
        super().prepare()
        self.garbage, _ = self.direct.put_bytes(b"nobody needs this")

    def act(self, remote: Store) -> None:
        from mcgitops.store import gc
        from mcgitops.store.reach import Roots

        roots = Roots(PROJECT, commits=frozenset([COMMIT]), keep_runs=1)
        facts = gc.look(remote)
        gc.collect(remote, gc.plan(remote, facts, roots, 0.0), facts, roots, 0.0)

    def half_done(self) -> Iterator[str]:
        """What a collection that broke moved away is to be there again after the next one."""
        return iter(())

    def at_once(self) -> Iterator[str]:
        """Where it could not see clearly, it says what it put back, and removes nothing."""
        yield from differences(self.source, self.direct)

    def incomplete(self) -> Iterator[str]:
        yield from differences(self.source, self.direct)
        if not self.direct.missing([self.garbage]):
            yield "garbage is still there"


class _Verify(Work):
    """A look at everything: what is damaged is never called sound, and nothing is changed."""

    def prepare(self) -> None:
        super().prepare()
        self.bad, _ = self.direct.put_bytes(b"x" * 5000)
        key = f"{self.prefix}/{layout.object_key(self.bad)}"
        client = self.server.client()
        client.put_object(Bucket=self.server.bucket, Key=key, Body=b"y" * 5000)
        self.found: list[str] = []

    def act(self, remote: Store) -> None:
        from mcgitops.store.verify import verify

        self.found = []
        found = verify(remote)
        self.found = [one.digest or one.message for one in found.findings]

    def half_done(self) -> Iterator[str]:
        yield from differences(self.source, self.direct)

    def incomplete(self) -> Iterator[str]:
        yield from differences(self.source, self.direct)
        if self.found != [self.bad]:
            yield f"found {self.found} instead of {self.bad}"


class Ground:
    """A server, a folder, and what is moved between the two."""

    works: Mapping[str, type[Work]] = {
        "push": _Push, "pull": _Pull, "gc": _Collect, "verify": _Verify,
    }  # fmt: skip

    def __init__(self, folder: Path, server: S3Server) -> None:
        self.folder, self.server = folder, server
        self.sources = {large: self._made(large) for large in (False, True)}

    def run(self, scenario: Scenario) -> Outcome:
        """All of it. Never raises for what it is to find."""
        place = self.folder / f"{scenario.number}-{uuid4().hex[:6]}"
        prefix = f"f{uuid4().hex[:12]}"
        source = self.sources[scenario.large]
        work = self.works[scenario.verb](source, place, self.server, prefix)
        plan = Plan(scenario.seed, scenario.rate, scenario.kinds)
        problems: list[str] = []
        said = ""
        work.prepare()
        with faulty(self.server.endpoint, plan) as proxy:
            try:
                work.act(open_store(_url(self.server, prefix, proxy.endpoint)))
            except McgitopsError as error:
                said = str(error)
                if not error.message or "Traceback" in said or "\n" in error.message:
                    problems.append(f"no clear sentence: {said!r}")
            except Exception:  # noqa: BLE001  (that is what is looked for)
                problems.append(f"no sentence at all: {traceback.format_exc()[-1500:]}")
            faults = sum(proxy.done.values())
        try:
            seen = work.half_done() if said else work.at_once()
            problems += [f"after the faults: {text}" for text in seen]
            work.act(direct(self.server, prefix))
            problems += [f"after the next call: {text}" for text in work.incomplete()]
        except Exception:  # noqa: BLE001  (that is what is looked for)
            problems.append(f"the next call failed: {traceback.format_exc()[-1500:]}")
        shutil.rmtree(place, ignore_errors=True)
        return Outcome(scenario, said, faults, tuple(problems))

    def _made(self, large: bool) -> Store:
        """A local store with runs of a commit."""
        store = open_store(str(self.folder / f"source-{large}"))
        chance = random.Random(large)
        runs = []
        for number in range(4):
            files = []
            sizes = [30, 900, 40_000, *([LARGE] if large and not number else [])]
            for at, size in enumerate(sizes):
                digest, stored = store.put_bytes(chance.randbytes(size))
                files.append(FileRef(path=f"out/{number}-{at}", digest=digest, size=stored))
            run = RunRecord(
                project=PROJECT,
                stage=STAGE,
                fingerprint=f"{number:064x}",
                state="succeeded",
                commit=COMMIT,
                started=START + datetime.timedelta(minutes=number),
                image=ImageRef(reference="example"),
                metrics={"m.json": {"accuracy": chance.random()}},
                outputs=tuple(files),
            )
            store.publish(run)
            runs.append(run.fingerprint)
        store.publish_commit(
            CommitRecord(
                project=PROJECT, stage=STAGE, commit=COMMIT, runs=tuple(runs), selected=runs[0]
            )
        )
        return store


def differences(ours: Store, theirs: Store) -> Iterator[str]:
    """What another store lacks of what ours has, or has otherwise; every byte is read."""
    for key in ours.record_keys(PROJECT):
        if theirs.backend.get(key) != ours.backend.get(key):
            yield f"{key} is missing or another one"
    for digest in sorted(_digests(ours.runs(PROJECT))):
        try:
            with theirs.objects.open(digest) as stream:
                if hashed(stream)[0] != digest:
                    yield f"{digest} is another one"
        except McgitopsError as error:
            yield str(error)


def dangling(store: Store, sha: str = COMMIT) -> Iterator[str]:
    """What a store's visible records name and it doesn't have, whole."""
    for digest in sorted(_digests(store.runs(PROJECT))):
        try:
            with store.objects.open(digest) as stream:
                hashed(stream)
        except McgitopsError as error:
            yield str(error)
    for commit in store.commits(sha, PROJECT):
        for fingerprint in commit.runs:
            if store.run(PROJECT, STAGE, fingerprint) is None:
                yield f"run {fingerprint[:12]} is named and not there"


def _digests(runs: Iterable[RunRecord]) -> set[str]:
    return {file.digest for run in runs for file in references(run)}


def _url(server: S3Server, prefix: str, endpoint: str) -> str:
    return server.url(prefix).replace(
        server.endpoint.replace(":", "%3A").replace("/", "%2F"),
        endpoint.replace(":", "%3A").replace("/", "%2F"),
    )
