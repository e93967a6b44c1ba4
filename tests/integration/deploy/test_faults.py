"""A seeded part of `benchmarks/faults_deploy.py`: rollouts that break, and the next call."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import faults
from tests.lab.faults import KINDS, Case, Ground
from tests.lab.hosts import Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(1200)]

SEED = 20


def chosen(every: list[Case]) -> list[Case]:
    chance = random.Random(SEED)
    return [
        chance.choice([case for case in every if (case.kind, case.release) == (kind, release)])
        for kind in KINDS
        for release in ("good", "bad")
    ]


def test_whatever_breaks_the_next_call_puts_every_host_right(
    tmp_path: Path, unique_name: Callable[..., str], fresh_hosts: Hosts, mini_image: str,
    proxy_image: str,
) -> None:  # fmt: skip
    ground = Ground(tmp_path / "project", unique_name("faults"), fresh_hosts, mini_image,
                    proxy_image)  # fmt: skip
    ground.prepare()
    every = faults.cases(*ground.plans(), SEED, len(fresh_hosts))
    assert len(every) >= 60  # what the benchmark executes

    cases = chosen(every)
    outcomes = [ground.run(case) for case in cases if case.kind != "disk"]
    with ground.small_disks():
        outcomes += [ground.run(case) for case in cases if case.kind == "disk"]

    for outcome in outcomes:
        print(*outcome.cells(), sep="  ")
    bad = [one for one in outcomes if one.problems]
    assert not bad, "\n\n".join(f"{one.case}\n{one.problems}\n{one.said}" for one in bad)
