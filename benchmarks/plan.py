"""`mcgitops plan` with nothing to do, on many files and much data, against `dvc status`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.support import programs, projects
from benchmarks.support.measure import in_turn, measured
from benchmarks.support.table import Row, verdict

REPEATS = 7
RATIO = 0.5
FILES, FILE_SIZE, FILES_A_FOLDER = 20_000, 4 * 1024, 500
LARGE, LARGE_SIZE = 8, 256 * 1024**2  # 2 GiB
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
    """1 where the bound is missed."""
    ours, peer = programs.mcgitops(), programs.dvc()
    with projects.workplace() as folder:
        _refuse_full_disk(folder)
        print(f"{FILES:,} files of 4 KiB and 2 GiB of data: writing …", file=sys.stderr)
        data = folder / "data"
        write_data(data)
        env = programs.dvc_environment(folder / "dvc-settings")
        stage = dvc_stage(peer, folder / "dvc-stage", data, env)
        tracked = dvc_tracked(peer, folder / "dvc-tracked", data, env)
        project = projects.make(folder / "ours", f"{projects.PREFIX}-plan")
        link(data, project / "data")
        print("train once, so that there is nothing to do …", file=sys.stderr)
        first = measured([ours, "train"], project)
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
    print(f"first training, all data hashed: {first.seconds:.1f} s", file=sys.stderr)
    rows = [
        Row("plan / status of a stage that reads the data", plan, status, "ratio", RATIO),
        Row("plan / status of data under `dvc add`, and the stage", plan, status_tracked, "ratio"),
        Row("plan of a project with next to no data", plan_small),
    ]
    return verdict("Nothing to do, 20,000 files of 4 KiB and 2 GiB", rows, "DVC")


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
    if shutil.disk_usage(folder).free < 6 * 1024**3:
        raise SystemExit(f"{folder} has less than 6 GiB free. Name another place in TMPDIR.")


if __name__ == "__main__":
    sys.exit(main())
