from __future__ import annotations

from mcgitops.cli.plan import untrained
from mcgitops.commands.ours import verb
from mcgitops.plan.model import Plan, Revision, Section, StagePlan

TRAINED = StagePlan("train", "cached", "cached: run 1")
PENDING = StagePlan("evaluate", "pending", "…", pending=(verb("step", "run", "evaluate"),))
PLAN = Plan("p", Revision("a" * 40), Revision(), (TRAINED, PENDING), (Section("publish"),))


def test_a_tag_never_trains_and_says_what_its_release_lacks() -> None:
    plan = untrained(PLAN, to_release=True)
    assert plan.stages == (TRAINED,)
    assert plan.nothing_to_do
    assert plan.warnings == ("evaluate has no run here, and a release needs them: mcgitops train.",)


def test_a_release_that_exists_lacks_nothing() -> None:
    assert untrained(PLAN, to_release=False).warnings == ()
