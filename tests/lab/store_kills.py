"""The program killed with SIGKILL at some moment while it works on stores; and what is left then.

`Yard.run` starts a real `mcgitops`, kills it, looks at the stores, starts it once more without
killing it, and looks again: nothing visible is half there, and the next call heals.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from mcgitops.run import data_push
from mcgitops.store.records import CommitRecord, FileRef, ImageRef, RunRecord
from mcgitops.store.store import Store, open_store
from mcgitops.store.verify import verify
from tests.lab import data_faults
from tests.lab.program import ROOT
from tests.lab.s3 import S3Server
from tests.lab.store_faults import PROJECT, STAGE, START, dangling, differences, direct

Act = tuple[Callable[[], None], list[str], Callable[[bool], Iterator[str]]]
"""What prepares a call, its arguments, and what is wrong (True: after the next call)."""
COMPOSE = """
name: wine
services:
  train:
    profiles: [train]
    image: {image}
    command: ["sh", "-c", "sleep 0.3; mkdir -p out; echo $SEED >out/model.txt; echo '{{\\"a\\": 1}}' >out/m.json"]
    environment: {{SEED: "0"}}
    volumes: ["./out:/out"]
    x-mcgitops: {{metrics: [out/m.json], outputs: [out/model.txt], params: [params.yaml]}}
"""  # noqa: E501


@dataclass(frozen=True)
class Kill:
    """One verb, killed after `part` of the time that it takes when nobody does."""

    number: int
    verb: str
    part: float


@dataclass(frozen=True)
class Killed:
    """How it went. `code` of the killed call: -9 unless it was quicker than the kill."""

    kill: Kill
    after: float  # seconds
    code: int
    problems: tuple[str, ...]


def kills(seed: int, counts: Mapping[str, int]) -> list[Kill]:
    """So many of each verb, spread over its whole time, with chance in it."""
    chance = random.Random(seed)
    found: list[Kill] = []
    for verb, count in counts.items():
        for number in range(count):
            found.append(Kill(len(found), verb, (number + chance.random()) / count))
    return found


class Yard:
    """A project in git, with runs in its local store, and a bucket."""

    def __init__(self, folder: Path, server: S3Server, image: str = "example") -> None:
        self.folder, self.server = folder, server
        self.project = folder / "project"
        self._takes: dict[str, float] = {}
        self.project.mkdir(parents=True)
        (self.project / "compose.yml").write_text(COMPOSE.format(image=image))
        (self.project / "params.yaml").write_text("lr: 0\n")
        (self.project / ".gitignore").write_text("/out\n/.mcgitops\n")
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "Start"]):
            self._git(*words)
        self.commit = self._git("rev-parse", "HEAD")
        self.source = open_store(str(folder / "source"))
        self._fill(self.source)

    def run(self, kill: Kill) -> Killed:
        """All of it."""
        prefix = f"k{uuid4().hex[:12]}"
        local = self.project / ".mcgitops"
        shutil.rmtree(local, ignore_errors=True)
        work = {
            "push": self._push, "pull": self._pull, "gc": self._gc, "train": self._train,
            "repair": self._repair, "data pull": self._data_pull,
        }  # fmt: skip
        prepare, argv, look = work[kill.verb](prefix, kill.number)
        if kill.verb not in self._takes:
            prepare()
            began = time.monotonic()
            self._call(argv, prefix)
            self._takes[kill.verb] = time.monotonic() - began
            shutil.rmtree(local, ignore_errors=True)
            prefix = f"k{uuid4().hex[:12]}"
            prepare, argv, look = work[kill.verb](prefix, kill.number + 1000)
        prepare()
        after = 0.05 + kill.part * self._takes[kill.verb]
        began = time.monotonic()
        code, _ = self._call(argv, prefix, after)
        if code != -signal.SIGKILL:  # it was quicker than the one that was measured
            took = time.monotonic() - began
            self._takes[kill.verb] = min(self._takes[kill.verb], took)
        problems = [f"after the kill: {text}" for text in look(False)]
        second, said = self._call(argv, prefix)
        if second:
            problems.append(f"the next call: exit {second}: {said[-600:]}")
        problems += [f"after the next call: {text}" for text in look(True)]
        return Killed(kill, after, code, tuple(problems))

    # the verbs: what has to be there before, the arguments, what has to be true after

    def _push(self, prefix: str, _: int) -> Act:
        def look(whole: bool) -> Iterator[str]:
            remote = direct(self.server, prefix)
            yield from differences(self.source, remote) if whole else dangling(remote, self.commit)
            yield from differences(self.source, self._local)

        return self._fill_local, ["push"], look

    def _pull(self, prefix: str, _: int) -> Act:
        def prepare() -> None:
            self._fill_bucket(prefix)
            shutil.rmtree(self.project / "out", ignore_errors=True)

        def look(whole: bool) -> Iterator[str]:
            yield from dangling(self._local, self.commit)
            yield from differences(self.source, direct(self.server, prefix))
            found = {path.name for path in (self.project / "out").glob("*")}
            wanted = {"model.txt", "m.json", "large.bin"}
            if found - wanted or (whole and found != wanted):
                yield f"the folder holds {sorted(found)}"
            for file in self._outputs if whole else ():
                if (self.project / file.path).stat().st_size != file.size:
                    yield f"{file.path} is another one"

        return prepare, ["pull"], look

    def _gc(self, prefix: str, _: int) -> Act:
        def prepare() -> None:
            self._fill_bucket(prefix)
            remote = direct(self.server, prefix)
            for number in range(3):
                self._made(remote, 100 + number, commit="")

        def look(whole: bool) -> Iterator[str]:
            remote = direct(self.server, prefix)
            if whole:  # what a killed one had moved away is back
                yield from differences(self.source, remote)
                if len(list(remote.runs(PROJECT))) != 1:
                    yield "what nobody needs is still there"

        words = ["gc", "--yes", "--offline", "--keep-runs", "0", "--grace", "0s"]
        return prepare, words, look

    def _train(self, prefix: str, number: int) -> Act:
        def prepare() -> None:
            shutil.rmtree(self.project / "out", ignore_errors=True)
            (self.project / "params.yaml").write_text(f"lr: {number} # {prefix}\n")

        def look(whole: bool) -> Iterator[str]:
            remote = direct(self.server, prefix)
            for store in (self._local, remote):
                yield from dangling(store, self.commit)
                if whole and len(list(store.runs(PROJECT))) != 1:
                    yield f"{store.url} hasn't the run"
            if whole and not (self.project / "out/model.txt").exists():
                yield "the output isn't there"

        return prepare, ["train"], look

    def _repair(self, prefix: str, number: int) -> Act:
        bad: set[str] = set()

        def prepare() -> None:
            self._fill_bucket(prefix)
            self._fill_local()
            shutil.rmtree(self.project / "out", ignore_errors=True)  # of other runs, or none
            run = next(self.source.runs(PROJECT))
            data_faults.harm(self.server, prefix, run, random.Random(number))
            bad.update(data_faults.lacking(self.source, direct(self.server, prefix)))

        def look(whole: bool) -> Iterator[str]:
            remote = direct(self.server, prefix)
            yield from differences(self.source, self._local)
            more = data_faults.lacking(self.source, remote) - (set() if whole else bad)
            yield from (f"{one} isn't there" for one in sorted(more))
            if whole:
                yield from (finding.message for finding in verify(remote).findings)

        return prepare, ["verify", "--repair"], look

    def _data_pull(self, prefix: str, _: int) -> Act:
        added, clone = self.folder / "data-added", self.folder / "data-clone"

        def prepare() -> None:
            if not added.exists():
                data_faults.data_project(added, large=10_000_000)
            remote = direct(self.server, prefix)
            data_push.push(data_faults.workspace(added, remote))
            shutil.rmtree(clone, ignore_errors=True)
            data_faults.cloned(added, clone)

        def look(whole: bool) -> Iterator[str]:
            yield from data_faults.wrong_files(clone, added)
            if whole:
                yield from data_faults.missing_files(clone, added)

        return prepare, ["-C", str(clone), "data", "pull"], look

    # private

    @property
    def _local(self) -> Store:
        return open_store(str(self.project / ".mcgitops/store"))

    @property
    def _outputs(self) -> tuple[FileRef, ...]:
        return next(self.source.runs(PROJECT)).files

    def _fill(self, store: Store) -> None:
        run = self._made(store, 0, self.commit)
        store.publish_commit(
            CommitRecord(
                project=PROJECT, stage=STAGE, commit=self.commit, runs=(run,), selected=run
            )
        )

    def _made(self, store: Store, number: int, commit: str) -> str:
        chance = random.Random(number)
        sizes = {"out/model.txt": 3000, "out/m.json": 200, "out/large.bin": 300_000}
        if commit:
            sizes["out/large.bin"] = 10_000_000  # more than one part
        files = []
        for path, size in sizes.items():
            digest, stored = store.put_bytes(chance.randbytes(size))
            files.append(FileRef(path=path, digest=digest, size=stored))
        run = RunRecord(
            project=PROJECT, stage=STAGE, fingerprint=f"{number:064x}", state="succeeded",
            commit=commit, started=START, image=ImageRef(reference="example"),
            outputs=tuple(files),
        )  # fmt: skip
        store.publish(run)
        return run.fingerprint

    def _fill_local(self) -> None:
        shutil.copytree(self.folder / "source", self.project / ".mcgitops/store")

    def _fill_bucket(self, prefix: str) -> None:
        from mcgitops.store.sync import push

        push(self.source, direct(self.server, prefix), PROJECT, self.folder / prefix)
        shutil.rmtree(self.folder / prefix, ignore_errors=True)

    def _call(self, words: list[str], prefix: str, after: float | None = None) -> tuple[int, str]:
        """Its exit code and what it said on standard error."""
        process = subprocess.Popen(
            [sys.executable, "-m", "mcgitops", *words],
            cwd=self.project,
            env={
                **os.environ,
                **self.server.env,
                "MCGITOPS_STORE": self.server.url(prefix),
                "PYTHONPATH": str(ROOT),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=after if after is not None else 120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
        return process.returncode, said

    def _git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *words],
            cwd=self.project, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()
