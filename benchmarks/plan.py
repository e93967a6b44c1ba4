"""Looking: at files as they were, against `dvc status`; for the first time, against `dvc add`.

`FILES=2000 MIB=64 MANY=10000 REPEATS=3` measures less. `ONLY=look` and `ONLY=many` measure one of
the two: the comparison with DVC, or the million small files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.support import programs, projects
from benchmarks.support.measure import Sample, clean_environment, in_turn, measured
from benchmarks.support.table import Row, verdict

REPEATS = int(os.environ.get("REPEATS", "7"))
RATIO = 0.25
FIRST_TO_SHA256SUM, FIRST_TO_DVC_ADD = 1.3, 0.25
MANY_TO_WALK, MANY_TO_TENTH = 10.0, 10.0
MOST_BYTES = 300 * 1024**2
FILES, FILE_SIZE, FILES_A_FOLDER = int(os.environ.get("FILES", "20000")), 4 * 1024, 500
LARGE = 8
LARGE_SIZE = int(os.environ.get("MIB", "2048")) * 1024**2 // LARGE
MANY = int(os.environ.get("MANY", "1000000"))
ONLY = os.environ.get("ONLY", "")
CORES = len(os.sched_getaffinity(0))
SHA256SUM = f"find data -type f -print0 | xargs -0 -P {CORES} -n 64 sha256sum >/dev/null"
"""All cores, as it is done by hand; in portions, so that none of them ends alone."""
WALK = """\
import os
pending = ["data"]
while pending:
    with os.scandir(pending.pop()) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            else:
                entry.stat(follow_symlinks=False)
"""
"""The bare walk: Python's own, since mcgitops is a Python program."""
BLOCK = 1024**2

DVC_STAGE = """\
stages:
  train:
    cmd: sh train.sh
    deps: [data, train.sh]
    params: [lr, epochs]
    outs: [out/model.txt]
    metrics: [out/metrics.json]
"""


def main() -> int:
    """1 where a bound is missed."""
    if ONLY not in ("", "look", "many"):
        raise SystemExit(f"ONLY is {ONLY!r}. Write look or many, or unset it.")
    ours = programs.mcgitops()
    missed = 0
    with projects.workplace() as folder:
        _refuse_full_disk(folder)
        if ONLY != "many":
            missed = look(ours, programs.dvc(), folder / "look")
            shutil.rmtree(folder / "look")
        return missed if ONLY == "look" else max(missed, many(ours, folder / "many"))


def look(ours: Path, peer: Path, folder: Path) -> int:
    """20,000 small files and 2 GiB: nothing to do, and seen for the first time."""
    what = f"{FILES:,} files of 4 KiB and {LARGE * LARGE_SIZE / 1024**3:g} GiB"
    print(f"{what} of data: writing …", file=sys.stderr)
    folder.mkdir()
    data = folder / "data"
    write_data(data)
    env = programs.dvc_environment(folder / "dvc-settings")
    stage = dvc_stage(peer, folder / "dvc-stage", data, env)
    tracked = dvc_tracked(peer, folder / "dvc-tracked", data, env)
    project = projects.make(folder / "ours", f"{projects.PREFIX}-plan")
    link(data, project / "data")
    print("train once, so that there is nothing to do …", file=sys.stderr)
    measured([ours, "train"], project)
    small = projects.make(folder / "small", f"{projects.PREFIX}-small")
    measured([ours, "train"], small)
    _require(ours, project, "Nothing to do.", "plan")
    _require(peer, stage, "up to date", "status", env=env)
    _require(peer, tracked, "up to date", "status", env=env)
    plan, status, status_tracked, plan_small = in_turn(
        REPEATS,
        lambda: measured([ours, "plan"], project),
        lambda: measured([peer, "status"], stage, env),
        lambda: measured([peer, "status"], tracked, env),
        lambda: measured([ours, "plan"], small),
    )
    first, summed, added = in_turn(
        max(1, REPEATS // 2),
        first_look(ours, project),
        lambda: measured(["sh", "-c", SHA256SUM], folder),
        first_add(peer, folder / "dvc-add", data, env),
        warm_up=0,
    )
    rows = [
        Row("plan / status of a stage that reads the data", plan, status, "ratio", RATIO,
            MOST_BYTES),
        Row("plan / status of data under `dvc add`, and the stage", plan, status_tracked, "ratio"),
        Row("plan of a project with next to no data", plan_small),
        Row(f"plan that sees the data first / sha256sum, {CORES} at a time", first, summed, "ratio",
            FIRST_TO_SHA256SUM, MOST_BYTES),
        Row("plan that sees the data first / dvc add", first, added, "ratio", FIRST_TO_DVC_ADD,
            MOST_BYTES),
    ]  # fmt: skip
    return verdict(what, rows, "peer")


def first_look(ours: Path, project: Path) -> Callable[[], Sample]:
    """`plan` that knows no file: all are hashed, and found to be as they were."""

    def look() -> Sample:
        (project / ".mcgitops" / "index.sqlite").unlink()
        return measured([ours, "plan"], project)

    return look


def first_add(dvc: Path, folder: Path, data: Path, env: dict[str, str]) -> Callable[[], Sample]:
    """`dvc add` in a project that is new each time, with caches that are empty."""

    def add() -> Sample:
        for place in (folder, Path(env["DVC_SITE_CACHE_DIR"])):
            shutil.rmtree(place, ignore_errors=True)
        _dvc_project(dvc, folder, env)
        link(data, folder / "data")
        return measured([dvc, "add", "--quiet", "data"], folder, env)

    return add


def many(ours: Path, folder: Path) -> int:
    """A million files that are as they were: linear, and near the walk that it can't do without."""
    folder.mkdir()
    found = []
    for count in (MANY // 10, MANY):
        print(f"{count:,} small files: writing, and training once …", file=sys.stderr)
        project = projects.make(folder / str(count), f"{projects.PREFIX}-{count}")
        write_many(project / "data", count)
        first = measured([ours, "train"], project)
        print(
            f"first training: {first.seconds:.0f} s, {first.peak_bytes / 2**20:.0f} MiB",
            file=sys.stderr,
        )
        _require(ours, project, "Nothing to do.", "plan")
        found.append(project)
    tenth, whole = found
    walk = [sys.executable, "-I", "-S", "-c", WALK]
    plan_tenth, plan, walked = in_turn(
        max(1, REPEATS // 2),
        lambda: measured([ours, "plan"], tenth),
        lambda: measured([ours, "plan"], whole),
        lambda: measured(walk, whole, clean_environment()),
    )
    rows = [
        Row("plan / the bare walk, os.scandir and stat in Python", plan, walked, "ratio",
            MANY_TO_WALK, MOST_BYTES),
        Row("plan / plan of a tenth of the files", plan, plan_tenth, "ratio", MANY_TO_TENTH),
    ]  # fmt: skip
    return verdict(f"Nothing to do, {MANY:,} small files", rows, "peer")


def write_many(folder: Path, count: int) -> None:
    """Files of a few bytes, a thousand a folder."""
    for number in range(count):
        if number % 1000 == 0:
            place = folder / f"part{number // 1000:04}"
            place.mkdir(parents=True)
        (place / f"item{number:07}").write_bytes(b"%d\n" % number)


def write_data(folder: Path) -> None:
    """The data: no two files are equal, none is sparse."""
    noise = os.urandom(BLOCK)
    for number in range(FILES):
        place = folder / f"part{number // FILES_A_FOLDER:03}"
        place.mkdir(parents=True, exist_ok=True)
        start = number % (BLOCK // FILE_SIZE) * FILE_SIZE
        content = b"%08d" % number + noise[start : start + FILE_SIZE - 8]
        (place / f"item{number:05}.bin").write_bytes(content)
    (folder / "large").mkdir()
    for number in range(LARGE):
        with (folder / "large" / f"block{number}.bin").open("wb") as stream:
            for block in range(LARGE_SIZE // BLOCK):
                stream.write(b"%08d%08d" % (number, block) + noise[16:])


def link(source: Path, target: Path) -> None:
    """The same files under another name: the disk holds them once, and both sides read the same."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=os.link)


def dvc_stage(dvc: Path, folder: Path, data: Path, env: dict[str, str]) -> Path:
    """A DVC project with one stage that depends on the data: the counterpart of ours."""
    _dvc_project(dvc, folder, env)
    link(data, folder / "data")
    (folder / "dvc.yaml").write_text(DVC_STAGE)
    _run([dvc, "repro", "--quiet"], folder, env)
    projects.commit(folder)
    return folder


def dvc_tracked(dvc: Path, folder: Path, data: Path, env: dict[str, str]) -> Path:
    """The same with the data under `dvc add` too, as most projects have it."""
    _dvc_project(dvc, folder, env)
    link(data, folder / "data")
    _run([dvc, "add", "--quiet", "data"], folder, env)
    (folder / "dvc.yaml").write_text(DVC_STAGE)
    _run([dvc, "repro", "--quiet"], folder, env)
    projects.commit(folder)
    return folder


def _dvc_project(dvc: Path, folder: Path, env: dict[str, str]) -> None:
    folder.mkdir()
    (folder / "train.sh").write_text("mkdir -p out\n" + projects.TRAIN)
    (folder / "params.yaml").write_text("lr: 0.1\nepochs: 3\n")
    projects.commit(folder)
    _run([dvc, "init", "--quiet"], folder, env)
    # links instead of copies: DVC's own advice for large data, and no second 2 GiB here
    _run([dvc, "config", "cache.type", "hardlink"], folder, env)
    with (folder / ".gitignore").open("a") as ignore:
        ignore.write("/data\n")


def _run(argv: list[str | Path], folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, argv[:4]))}:\n{done.stdout}{done.stderr}")


def _require(
    program: Path, folder: Path, said: str, verb: str, env: dict[str, str] | None = None
) -> None:
    """What is measured is the case that is meant: both sides say that nothing is to be done."""
    done = subprocess.run(
        [program, verb], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if said not in done.stdout:
        raise SystemExit(f"{program.name} {verb} has something to do:\n{done.stdout}{done.stderr}")


def _refuse_full_disk(folder: Path) -> None:
    needed = 4096 * (MANY * 2 + FILES) + 3 * LARGE * LARGE_SIZE
    if shutil.disk_usage(folder).free < needed:
        size = f"{needed / 1024**3:.0f} GiB"
        raise SystemExit(f"{folder} has less than {size} free. Name another place in TMPDIR.")


if __name__ == "__main__":
    sys.exit(main())
