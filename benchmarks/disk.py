"""The place that data and artifacts take on the disk, on ext4, Btrfs and XFS of our own.

Each file system is made in a file and mounted, which takes root and a kernel that has it; where one
can't be had its rows say so. What is measured is how much fuller the file system is after a call.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from benchmarks.support import programs, projects
from benchmarks.support.measure import clean_environment
from mcgitops.store.link import LINKS

MIB = 2**20
SIZE = int(os.environ.get("SIZE", "256")) * MIB
"""Of the file of data, and of the one that the stage writes; SIZE is in MiB."""
ONCE = 1.1
NOTHING = 0.1
COMPOSE = """\
name: {name}
services:
  train:
    image: {image}
    command: sh -c "dd if=/dev/urandom of=out/model.bin bs=1M count={count} && echo 1 > out/n.txt"
    working_dir: /app
    volumes: ["./data:/app/data:ro", "./out:/app/out"]
    x-mcgitops: {{outputs: [out/model.bin, out/n.txt]}}
x-mcgitops: {{store: "{store}"}}
"""


@dataclass(frozen=True)
class Kind:
    """A file system and how it is used. `shares`: two files can have the same blocks."""

    name: str
    system: str
    shares: bool = False
    links: bool = False

    def bound(self, call: str) -> float | None:
        """How much fuller the disk may be after a call, in sizes of the file; None: reported."""
        if self.shares:
            return NOTHING if call == "data add" else ONCE
        return ONCE if self.links and call == "data pull" else None


KINDS = (
    Kind("ext4", "ext4"),
    Kind(f"ext4, {LINKS}=data", "ext4", links=True),
    Kind("Btrfs", "btrfs", shares=True),
    Kind("XFS", "xfs", shares=True),
)


class Absent(Exception):
    """This machine can't have the file system; the text says why."""


def main() -> int:
    """The table; 1 where a bound is missed."""
    rows: list[list[str]] = []
    is_kept = True
    with projects.workplace() as folder:
        program = programs.mcgitops()
        for number, kind in enumerate(KINDS):
            try:
                with mounted(kind.system, folder / f"{number}") as place:
                    for call, share in calls(kind, program, place, folder / f"bucket-{number}"):
                        bound = kind.bound(call)
                        kept = bound is None or share <= bound
                        is_kept &= kept
                        said = "–" if bound is None else f"≤ {bound:.1f}"
                        verdict = "" if bound is None else "kept" if kept else "MISSED"
                        rows.append([kind.name, call, f"{share:.2f}", said, verdict])
            except Absent as absent:
                rows.append([kind.name, f"not run: {absent}", "–", "–", ""])
    heads = ["file system", "call", f"place taken / {SIZE // MIB} MiB", "bound", ""]
    print(tabulate(rows, heads, disable_numparse=True))
    return 0 if is_kept else 1


def calls(kind: Kind, program: Path, place: Path, bucket: Path) -> Iterator[tuple[str, float]]:
    """Each call, and by how much fuller the disk is after it, in sizes of the file."""
    env = clean_environment(**({LINKS: "data"} if kind.links else {}))

    def grown(folder: Path, *words: str) -> float:
        before = used(place)
        done = subprocess.run(
            [program, "-C", folder, *words], env=env, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{kind.name}: {' '.join(words)} failed: {done.stderr}")
        return (used(place) - before) / SIZE

    ours, theirs = place / "ours", place / "theirs"
    (ours / "data").mkdir(parents=True)
    compose = COMPOSE.format(
        name=f"{projects.PREFIX}-disk", image=projects.base_image(), count=SIZE // MIB, store=bucket
    )
    (ours / "compose.yml").write_text(compose)
    (ours / ".gitignore").write_text("/out\n/data/\n")
    projects.commit(ours)
    with (ours / "data/large").open("wb") as stream:
        for _ in range(SIZE // MIB):
            stream.write(os.urandom(MIB))
    yield "data add", grown(ours, "data", "add", "--push", "data")
    projects.commit(ours)
    yield "train", grown(ours, "train")
    projects.git(place, "clone", "--quiet", os.fspath(ours), os.fspath(theirs))
    yield "data pull", grown(theirs, "data", "pull")
    yield "pull", grown(theirs, "pull")
    if not kind.links:
        for name in ("data/large", "out/model.bin"):
            edited(theirs / name)
    # what was done to the folder's files doesn't show in the store's
    subprocess.run(
        [program, "-C", theirs, "verify", "--store", "local"],
        env=env, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    own = theirs / ".mcgitops/store" / "objects"
    if any(path.stat().st_mode & 0o222 for path in own.rglob("*") if path.is_file()):
        raise SystemExit(f"{kind.name}: an object of the store can be written to.")


def edited(path: Path) -> None:
    """Change one byte in place."""
    with path.open("r+b") as stream:
        first = stream.read(1)
        stream.seek(0)
        stream.write(bytes([first[0] ^ 1]))


def used(place: Path) -> int:
    """Bytes that are taken on the file system, once all is written."""
    subprocess.run(["sync", "--file-system", place], check=True)
    state = os.statvfs(place)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


@contextmanager
def mounted(system: str, folder: Path) -> Iterator[Path]:
    """A new file system in a file, mounted beside it. Raises `Absent`."""
    if os.geteuid() != 0:
        raise Absent("only root can mount")
    make = shutil.which(f"mkfs.{system}", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if make is None:
        raise Absent(f"there is no mkfs.{system}")
    folder.mkdir()
    image, place = folder / "image", folder / "mounted"
    place.mkdir()
    with image.open("wb") as stream:
        stream.truncate(8 * SIZE + 1024 * MIB)
    _tried([make, "-q", image])
    _tried(["mount", "-o", "loop", image, place])
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
        image.unlink()


def _tried(argv: Sequence[str | Path]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"{argv[0]} failed"
        raise Absent(said.splitlines()[-1][:200])


if __name__ == "__main__":
    sys.exit(main())
