"""Moving artifacts: many small ones and a large one, against rclone, `aws s3` and DVC.

One S3 server for all, rclone's, on this machine; the same files on the same disk. `SCALE=0.1` takes
a tenth of the files and bytes, for a try: bounds are for the full size. `REPEATS=1` shortens it.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.support import programs, projects
from benchmarks.support.measure import Sample, Series, Side, in_turn, measured
from benchmarks.support.table import Row, verdict
from mcgitops.store import layout
from mcgitops.store.records import CommitRecord, FileRef, ImageRef, RunRecord
from mcgitops.store.store import Store, open_store
from tests.lab import s3

SCALE = float(os.environ.get("SCALE", "1"))
REPEATS = int(os.environ.get("REPEATS", "3"))
MIB = 2**20
MEMORY = 300 * MIB
SOME, SOME_SIZE = int(5_000 * SCALE), 10 * 1024
MANY, MANY_SIZE = int(20_000 * SCALE), 4 * 1024
LARGE_SIZE = int(1024 * MIB * SCALE)
A_FOLDER = 500
BATCH = 1_000
FINGERPRINT = "f" * 64

COMPOSE = """\
name: bench
services:
  train:
    profiles: [train]
    image: example
    volumes: ["./out:/app/out"]
    x-mcgitops: {metrics: [out/metrics.json], outputs: [out/data]}
"""


@dataclass
class Work:
    """What one kind of data is moved with: a project of ours, a project of DVC's, a folder."""

    name: str
    folder: Path
    data: Path
    server: s3.S3Server
    tools: Tools
    keeps: bool = True
    """Whether what the turns leave stays until the end, so that nothing is removed in between.

    ext4 without a journal doesn't use the inodes of removed files again for a minute, and looks
    through all of them for each new file: whoever then writes many files would be measured with it.
    """
    turns: Iterator[int] = field(default_factory=itertools.count)

    @property
    def ours(self) -> Path:
        """Our project: a commit with one run, whose files lie in the local store."""
        return self.folder / "ours"

    @property
    def dvc(self) -> Path:
        """DVC's project: the same files under `dvc add`, in its cache."""
        return self.folder / "dvc"

    def env(self, turn: object) -> dict[str, str]:
        """Our store for one turn."""
        place = self.server.url(f"ours-{self.name}-{turn}")
        return {**self.tools.env, "MCGITOPS_STORE": place}

    def push(self) -> Sample:
        """Ours, into a store that is empty."""
        return measured([self.tools.ours, "push"], self.ours, self.env(next(self.turns)))

    def push_again(self, *options: str) -> Sample:
        """Ours, where the store has everything."""
        return measured([self.tools.ours, "push", *options], self.ours, self.env("base"))

    def pull(self) -> Sample:
        """Ours, into a fresh clone."""
        with self._fresh("pull-ours") as clone:
            projects.git(self.folder, "clone", "--quiet", str(self.ours), str(clone))
            return measured([self.tools.ours, "pull"], clone, self.env("base"))

    def dvc_push(self) -> Sample:
        """DVC, into a remote that is empty."""
        remote = self.dvc_remote(f"turn{next(self.turns)}")
        return measured([self.tools.dvc, "push", "--remote", remote], self.dvc, self.tools.env)

    def dvc_push_again(self) -> Sample:
        """DVC, where the remote has everything."""
        return measured([self.tools.dvc, "push", "--remote", "base"], self.dvc, self.tools.env)

    def dvc_pull(self) -> Sample:
        """DVC, into a fresh clone."""
        with self._fresh("pull-dvc") as clone:
            projects.git(self.folder, "clone", "--quiet", str(self.dvc), str(clone))
            shutil.copyfile(self.dvc / ".dvc" / "config", clone / ".dvc" / "config")
            return measured([self.tools.dvc, "pull", "--remote", "base"], clone, self.tools.env)

    def rclone_push(self) -> Sample:
        """rclone, 16 transfers at once."""
        return self._rclone(str(self.data), f"lab:{self.server.bucket}/rclone-{next(self.turns)}")

    def rclone_pull(self) -> Sample:
        """rclone, into a folder that isn't there yet."""
        with self._fresh("pull-rclone") as target:
            return self._rclone(f"lab:{self.server.bucket}/rclone-base-{self.name}", str(target))

    def aws_push(self) -> Sample:
        """`aws s3 cp --recursive`."""
        target = f"s3://{self.server.bucket}/aws-{next(self.turns)}"
        options = ["--endpoint-url", self.server.endpoint, "s3", "cp", "--quiet", "--recursive"]
        argv: list[str | Path] = [self.tools.aws, *options, self.data, target]
        return measured(argv, self.folder, self.tools.env)

    def set_up(self, files: Mapping[str, tuple[str, int]]) -> None:
        """The two projects; files: path below the data → digest and size."""
        make_ours(self.ours, self.data, files)
        self.dvc.mkdir()
        projects.git(self.dvc, "init", "--quiet", "--initial-branch=main")
        measured([self.tools.dvc, "init", "--quiet"], self.dvc, self.tools.env)
        shutil.copytree(self.data, self.dvc / "data", copy_function=os.link)
        measured([self.tools.dvc, "add", "--quiet", "data"], self.dvc, self.tools.env)
        projects.commit(self.dvc)
        self.dvc_remote("base")

    def dvc_remote(self, name: str) -> str:
        """Add a remote with a prefix of its own."""
        url = f"s3://{self.server.bucket}/dvc-{self.name}-{name}"
        for argv in (["add", name, url], ["modify", name, "endpointurl", self.server.endpoint]):
            measured([self.tools.dvc, "remote", *argv], self.dvc, self.tools.env)
        return name

    def fill(self, *, rclone: bool = False, dvc: bool = False) -> None:
        """Have everything in the bucket, for what is pulled or pushed again."""
        measured([self.tools.ours, "push"], self.ours, self.env("base"))
        if dvc:
            self.dvc_push_again()
        if rclone:
            self._rclone(str(self.data), f"lab:{self.server.bucket}/rclone-base-{self.name}")

    def clear(self) -> None:
        """Remove what the turns left in the bucket, so that the disk doesn't fill up."""
        for place in (self.tools.bucket).iterdir():
            if "base" not in place.name and not self.keeps:
                shutil.rmtree(place)

    def _rclone(self, source: str, target: str) -> Sample:
        argv = ["copy", "--transfers", "16", source, target]
        return measured([self.tools.rclone, *argv], self.folder, self.tools.env)

    @contextmanager
    def _fresh(self, name: str) -> Iterator[Path]:
        """A path at which there is nothing."""
        path = self.folder / f"{name}-{next(self.turns)}"
        yield path
        if not self.keeps:
            shutil.rmtree(path)


@dataclass(frozen=True)
class Tools:
    """The programs and their environment; `bucket` is the server's folder."""

    ours: Path
    dvc: Path
    rclone: Path
    aws: Path
    env: dict[str, str]
    bucket: Path


def main() -> int:
    """1 where a bound is missed."""
    with projects.workplace() as folder:
        _refuse_full_disk(folder)
        server_folder = folder / "server"
        with s3.rclone(server_folder) as server:
            tools = find_tools(folder, server, server_folder / server.bucket)
            rows = [*some(folder, server, tools), *many(folder, server, tools)]
            rows += large(folder, server, tools)
    size = "" if SCALE == 1 else f" (at {SCALE:g} of the size: bounds are for the whole)"
    return verdict(f"Moving artifacts to and from one S3 server{size}", rows)


def some(folder: Path, server: s3.S3Server, tools: Tools) -> list[Row]:
    """5,000 × 10 KiB: pushed, and pushed again."""
    work = prepared("some", folder, server, tools, write_small(folder / "some", SOME, SOME_SIZE))
    say(f"pushing {SOME:,} × 10 KiB …")
    ours, rclone, aws, dvc = turns(work, work.push, work.rclone_push, work.aws_push, work.dvc_push)
    work.fill(dvc=True)
    say("pushing nothing new …")
    nothing, asked, dvc_nothing = turns(
        work, work.push_again, lambda: work.push_again("--again"), work.dvc_push_again
    )
    name = f"push {SOME:,} × 10 KiB"
    return [
        Row(f"{name} / rclone, 16 transfers", ours, rclone, "ratio", 0.25, MEMORY),
        Row(f"{name} / dvc push", ours, dvc, "ratio", 0.05, MEMORY),
        Row(f"{name} / aws s3 cp --recursive", ours, aws),
        Row("push, nothing new / dvc push", nothing, dvc_nothing, "ratio", 0.1, MEMORY),
        Row("push --again, nothing new / dvc push", asked, dvc_nothing),
    ]


def many(folder: Path, server: s3.S3Server, tools: Tools) -> list[Row]:
    """20,000 × 4 KiB: pulled."""
    work = prepared("many", folder, server, tools, write_small(folder / "many", MANY, MANY_SIZE))
    say(f"pulling {MANY:,} × 4 KiB …")
    work.fill(dvc=True, rclone=True)
    ours, dvc, rclone = turns(work, work.pull, work.dvc_pull, work.rclone_pull)
    name = f"pull {MANY:,} × 4 KiB"
    return [
        Row(f"{name} / dvc pull", ours, dvc, "ratio", 0.1, MEMORY),
        Row(f"{name} / rclone, 16 transfers", ours, rclone),
    ]


def large(folder: Path, server: s3.S3Server, tools: Tools) -> list[Row]:
    """1 GiB in one file: pushed and pulled."""
    work = prepared("large", folder, server, tools, write_large(folder / "large", LARGE_SIZE))
    work.keeps = False
    say(f"pushing and pulling one file of {LARGE_SIZE / MIB:.0f} MiB …")
    work.fill(rclone=True)
    push, rclone_push = turns(work, work.push, work.rclone_push)
    pull, rclone_pull = turns(work, work.pull, work.rclone_pull)
    name = f"{LARGE_SIZE / MIB:.0f} MiB in one file"
    return [
        Row(f"push {name} / rclone", push, rclone_push, "ratio", 1.1, MEMORY),
        Row(f"pull {name} / rclone", pull, rclone_pull, "ratio", 1.1, MEMORY),
    ]


def turns(work: Work, *sides: Side) -> tuple[Series, ...]:
    """The sides in turn. Where they move much, what each leaves is removed before the next.

    With small files each turn is taken twice, and the second one counts. While the others have
    theirs, half a minute of it, programs and files leave the memory of some machines, which then
    are measured reading them from the disk again: 8 MiB in small pieces for the start of ours
    alone. A large file comes from the disk and goes there, for each side.
    """

    def turn(side: Side) -> Side:
        def run() -> Sample:
            work.clear()
            if work.keeps:
                side()
            return side()

        return run

    return in_turn(REPEATS, *map(turn, sides), warm_up=0)


def prepared(
    name: str,
    folder: Path,
    server: s3.S3Server,
    tools: Tools,
    files: Mapping[str, tuple[str, int]],
) -> Work:
    """The data in both projects."""
    work = Work(name, folder / f"work-{name}", folder / name, server, tools)
    work.folder.mkdir()
    work.set_up(files)
    return work


def find_tools(folder: Path, server: s3.S3Server, bucket: Path) -> Tools:
    """All programs installed, and executed once so that none compiles later."""
    ours, peers = programs.mcgitops(), programs.store_peers()
    env = {
        **programs.dvc_environment(folder / "dvc-settings"),
        **server.env,
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_LAB_TYPE": "s3",
        "RCLONE_CONFIG_LAB_PROVIDER": "Rclone",
        "RCLONE_CONFIG_LAB_ENDPOINT": server.endpoint,
        "RCLONE_CONFIG_LAB_ACCESS_KEY_ID": server.access_key,
        "RCLONE_CONFIG_LAB_SECRET_ACCESS_KEY": server.secret_key,
    }
    tools = Tools(ours, peers / "dvc", peers / "rclone", programs.aws(), env, bucket)
    for program in (tools.ours, tools.dvc, tools.aws):
        measured([program, "--version"], folder, env)
    return tools


def write_small(folder: Path, count: int, size: int) -> dict[str, tuple[str, int]]:
    """Files that don't shrink, no two of them equal; path → digest and size."""
    found = {}
    for number in range(count):
        path = f"part{number // A_FOLDER:03}/item{number:05}.bin"
        content = b"%08d" % number + os.urandom(size - 8)
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        found[path] = (f"sha256:{hashlib.sha256(content).hexdigest()}", size)
    return found


def write_large(folder: Path, size: int) -> dict[str, tuple[str, int]]:
    """One file that doesn't shrink."""
    folder.mkdir()
    digest = hashlib.sha256()
    with (folder / "large.bin").open("wb") as stream:
        for _ in range(-(-size // MIB)):
            block = os.urandom(MIB)
            digest.update(block)
            stream.write(block)
    return {"large.bin": (f"sha256:{digest.hexdigest()}", -(-size // MIB) * MIB)}


def make_ours(folder: Path, data: Path, files: Mapping[str, tuple[str, int]]) -> None:
    """A project with one run of its commit, as a training leaves it."""
    folder.mkdir()
    (folder / "compose.yml").write_text(COMPOSE)
    (folder / ".gitignore").write_text("/.mcgitops\n/out\n")
    projects.commit(folder)
    store = open_store(str(folder / ".mcgitops" / "store"))
    put_all(store, ((digest, data / path) for path, (digest, _) in files.items()))
    refs = tuple(
        FileRef(path=f"out/data/{path}", digest=digest, size=size)
        for path, (digest, size) in files.items()
    )
    commit = _head(folder)
    when = datetime.datetime.now(datetime.UTC)
    store.publish(
        RunRecord(
            project="bench", stage="train", fingerprint=FINGERPRINT, state="succeeded",
            exit_code=0, commit=commit, started=when, image=ImageRef(reference="example"),
            outputs=refs,
        )
    )  # fmt: skip
    store.publish_commit(
        CommitRecord(
            commit=commit, project="bench", stage="train",
            runs=(FINGERPRINT,), selected=FINGERPRINT,
        )
    )  # fmt: skip


def put_all(store: Store, files: Iterable[tuple[str, Path]]) -> None:
    """Files into a local store, small ones many at a time: one by one waits for the disk each."""
    waiting: list[tuple[str, bytes]] = []
    for digest, path in files:
        if path.stat().st_size > MIB:
            store.put_file(path)
            continue
        waiting.append((layout.object_key(digest), path.read_bytes()))
        if len(waiting) == BATCH:
            store.backend.put_many(waiting)
            waiting.clear()
    store.backend.put_many(waiting)


def say(text: str) -> None:
    """Tell what goes on, beside the table."""
    print(text, file=sys.stderr)


def _head(folder: Path) -> str:
    reference = (folder / ".git" / "refs" / "heads" / "main").read_text()
    return reference.strip()


def _refuse_full_disk(folder: Path) -> None:
    needed = int(14 * 2**30 * SCALE) + 2**30
    if shutil.disk_usage(folder).free < needed:
        raise SystemExit(f"{folder} needs {needed / 2**30:.0f} GiB. TMPDIR names another place.")


if __name__ == "__main__":
    sys.exit(main())
