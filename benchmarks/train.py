"""What a run costs over the bare `docker compose run --build`; what a cached one costs in all."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.support import programs, projects
from benchmarks.support.measure import Sample, in_turn, measured
from benchmarks.support.table import Row, verdict

REPEATS = 9
OVERHEAD_SECONDS = 0.5
CACHED_SECONDS = 1.0

BARE = ("docker", "compose", "run", "--rm", "--build", "train")


def main() -> int:
    """1 where a bound is missed."""
    program = programs.mcgitops()
    with projects.workplace() as folder:
        ours = projects.make(folder / "ours", f"{projects.PREFIX}-ours")
        bare = projects.make(folder / "bare", f"{projects.PREFIX}-bare")
        rows = []
        for name, change in (("image changed", change_image), ("data changed", change_data)):
            trained, ran = in_turn(
                REPEATS,
                changed_first(change, ours, (program, "train")),
                changed_first(change, bare, BARE),
                warm_up=2,
            )
            rows.append(Row(f"train, {name}", trained, ran, "difference", OVERHEAD_SECONDS))
        cached, returned = in_turn(
            REPEATS,
            lambda: measured((program, "train"), ours),
            lambda: without_outputs(ours, (program, "train")),
        )
        rows += [
            Row("train, nothing to do", cached, kind="seconds", bound=CACHED_SECONDS),
            Row("train, outputs come back", returned, kind="seconds", bound=CACHED_SECONDS),
        ]
    return verdict("Training", rows, "compose")


_number = itertools.count(1)


def change_image(folder: Path) -> None:
    """A parameter that the Dockerfile copies: one layer is built anew."""
    (folder / "params.yaml").write_text(f"lr: 0.1\nepochs: {next(_number)}\n")


def change_data(folder: Path) -> None:
    """A mounted file: all layers are in the build cache."""
    (folder / "data" / "rows.csv").write_text(f"{next(_number)}\n")


def changed_first(
    change: Callable[[Path], None], folder: Path, argv: tuple[str | Path, ...]
) -> Callable[[], Sample]:
    """A side that has a new input each time, so that it really trains."""

    def side() -> Sample:
        change(folder)
        shutil.rmtree(folder / "out", ignore_errors=True)
        sample = measured(argv, folder)
        if not (folder / "out" / "metrics.json").is_file():
            raise SystemExit(f"{' '.join(map(str, argv))} did not train.")
        return sample

    return side


def without_outputs(folder: Path, argv: tuple[str | Path, ...]) -> Sample:
    """The run is in the store, and its outputs aren't in the folder."""
    shutil.rmtree(folder / "out")
    sample = measured(argv, folder)
    if not (folder / "out" / "model.txt").is_file():
        raise SystemExit("The outputs did not come back.")
    return sample


if __name__ == "__main__":
    sys.exit(main())
