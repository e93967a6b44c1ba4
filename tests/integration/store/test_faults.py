"""A seeded tenth of what `benchmarks/faults_store.py` tries: networks that break, and kill -9.

Each scenario has to end complete and verified, or with a clear error and nothing lost; and the next
call has to complete it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import data_faults
from tests.lab.s3 import S3Server
from tests.lab.store_faults import VERBS, Ground, scenarios
from tests.lab.store_kills import Yard, kills

pytestmark = pytest.mark.s3

SEED = 20_261_121


@pytest.mark.parametrize("verb", VERBS)
def test_what_breaks_on_the_network_loses_nothing(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    for name, value in rclone_s3.env.items():
        monkeypatch.setenv(name, value)
    ground = Ground(tmp_path, rclone_s3)
    chosen = [one for one in scenarios(SEED, 32) if one.verb == verb]
    outcomes = [ground.run(scenario) for scenario in chosen]
    assert [one for one in outcomes if one.problems] == []
    assert sum(one.faults for one in outcomes) > 0
    assert any(not one.said for one in outcomes)


def test_what_breaks_while_a_store_is_mended_or_data_is_moved_loses_nothing(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in rclone_s3.env.items():
        monkeypatch.setenv(name, value)
    ground = data_faults.Ground(tmp_path, rclone_s3)
    outcomes = [ground.run(scenario) for scenario in data_faults.scenarios(SEED, 9)]
    assert [one for one in outcomes if one.problems] == []
    assert sum(one.faults for one in outcomes) > 0
    assert any(not one.said for one in outcomes)


@pytest.mark.engine
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("verb", "count"), [("push", 6), ("pull", 6), ("gc", 6), ("repair", 2), ("data pull", 2)]
)
def test_a_kill_leaves_nothing_half(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str, count: int
) -> None:
    for name, value in rclone_s3.env.items():
        monkeypatch.setenv(name, value)
    yard = Yard(tmp_path, rclone_s3)
    outcomes = [yard.run(kill) for kill in kills(SEED, {verb: count})]
    assert [one for one in outcomes if one.problems] == []


@pytest.mark.engine
def test_a_killed_training_leaves_nothing_half(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mini_image: str
) -> None:
    for name, value in rclone_s3.env.items():
        monkeypatch.setenv(name, value)
    yard = Yard(tmp_path, rclone_s3, mini_image)
    outcomes = [yard.run(kill) for kill in kills(SEED, {"train": 2})]
    assert [one for one in outcomes if one.problems] == []
