"""Facts → commands: each fixture says what there is, and the exact commands that follow from it.

After what was decided is done, asking again yields nothing: the second pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcgitops.plan.model import Plan, Revision
from tests.unit.plan.world import World, of_fixture, project, shown

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.yml"))


def decided_by(fixture: Mapping[str, Any]) -> tuple[World, Plan]:
    """The world after the fixture's changes, and what is decided in it."""
    world = of_fixture(fixture)
    done = fixture.get("done", False)
    if done is True:
        world.do(world.plan())
    elif done:
        world.do(world.plan(*done))
    if "project_now" in fixture:
        world.project = project(fixture["project_now"])
    for path in fixture.get("forget", ()):
        del world.folder[path]
    changes = fixture.get("changes") or {}
    world.files |= changes.get("files", {})
    world.params |= changes.get("params", {})
    world.unpushed = changes.get("unpushed", False)
    if "head" in changes:
        world.head, world.recorded = Revision(**changes["head"]), frozenset()
    ask = fixture.get("ask") or {}
    return world, world.plan(*ask.get("stages", ()), force=ask.get("force", False))


@pytest.fixture(params=FIXTURES, ids=lambda path: path.stem)
def fixture(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One fixture file after the other."""
    loaded: dict[str, Any] = yaml.safe_load(request.param.read_text())
    return loaded


def test_facts_give_exactly_these_commands(fixture: dict[str, Any]) -> None:
    assert shown(decided_by(fixture)[1]) == fixture["expected"]


def test_a_second_pass_yields_nothing(fixture: dict[str, Any]) -> None:
    world, decided = decided_by(fixture)
    world.do(decided)
    world.do(world.plan())  # what was asked for may have been one stage only
    again = world.plan()
    assert again.commands == ()
    assert again.nothing_to_do
    assert {stage.state for stage in again.stages} == {"cached"}


def test_the_same_facts_give_the_same_plan(fixture: dict[str, Any]) -> None:
    assert decided_by(fixture)[1] == decided_by(fixture)[1]


def test_there_are_fixtures() -> None:
    assert len(FIXTURES) > 20
