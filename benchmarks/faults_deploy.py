"""Rollouts that break: at every step, by everything that can break, and what the next call does.

Not a time but a table of outcomes: after the next call each host runs the same release, healthy, it
answers so, and nothing of the broken rollout is left. SEED in the environment repeats a run; CASES
(such as `3,17` or `disk`) chooses from it.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tabulate import tabulate

from benchmarks.support import projects
from tests.lab import faults, hosts, images
from tests.lab.faults import Case, Ground, Outcome

HOSTS = 2
LEAST = 60


def main() -> int:
    """1 where a case ends badly."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"SEED={seed}", file=sys.stderr)
    began = time.monotonic()
    with projects.workplace() as folder, hosts.running(HOSTS) as fleet:
        ground = Ground(folder / "project", f"{projects.PREFIX}-faults", fleet,
                        images.mini_image(), images.proxy_image())  # fmt: skip
        print("releases and hosts are made …", file=sys.stderr)
        ground.prepare()
        every = faults.cases(*ground.plans(), seed, HOSTS)
        chosen = list(_chosen(every, os.environ.get("CASES", "")))
        random.Random(seed).shuffle(chosen)
        print(f"{len(chosen)} of {len(every)} cases", file=sys.stderr)
        outcomes = run(ground, chosen)
    return verdict(outcomes, every, seed, time.monotonic() - began)


def run(ground: Ground, chosen: list[Case]) -> list[Outcome]:
    """All of them; those that fill a disk on hosts with a small one."""
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        small = False
        for case in sorted(chosen, key=lambda case: case.kind == "disk"):
            if case.kind == "disk" and not small:
                small = True
                stack.enter_context(ground.small_disks())
            outcome = ground.run(case)
            outcomes.append(outcome)
            print("  ".join(outcome.cells()), file=sys.stderr, flush=True)
            if outcome.problems:
                _keep(outcome)
    return outcomes


def verdict(outcomes: list[Outcome], every: list[Case], seed: int, took: float) -> int:
    """Print the table."""
    print(f"\nRollouts that break, SEED={seed}")
    print(
        tabulate(
            [one.cells() for one in sorted(outcomes, key=lambda one: one.case.number)],
            faults.HEADS,
            disable_numparse=True,
        )
    )
    bad = [one for one in outcomes if one.problems]
    slowest = max((one.seconds for one in outcomes), default=0)
    print(f"{len(outcomes)} cases, {len(bad)} ended badly, {took:.0f} s, the slowest "
          f"{slowest:.1f} s.")  # fmt: skip
    if len(every) < LEAST:
        print(f"The plan gives {len(every)} cases only; {LEAST} are wanted.")
    return 1 if bad or len(every) < LEAST else 0


def _chosen(every: list[Case], words: str) -> Iterator[Case]:
    wanted = {word.strip() for word in words.split(",") if word.strip()}
    for case in every:
        if not wanted or wanted & {str(case.number), case.kind, case.step, case.release}:
            yield case


def _keep(outcome: Outcome) -> None:
    """What both calls said, for whoever has to mend it."""
    path = Path(".cache") / "bench" / "faults" / f"{outcome.case.number}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{outcome.case}\n{outcome.problems}\n{outcome.said}")
    print(f"    what was said: {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
