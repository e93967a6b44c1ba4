"""To what hosts return, and what of them can go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcgitops.errors import UsageError
from mcgitops.plan.back import choose
from mcgitops.plan.history import after_commit, returns, stale
from mcgitops.project.hosts import Host, HostFacts, Placement

V = [Placement(f"v{n}", f"{n}" * 4) for n in range(8)]
VALUES = Placement("v3", "aaaa")


def host(*committed: Placement, rejected: tuple[str, ...] = (), name: str = "a",
         others: tuple[Placement, ...] = ()) -> HostFacts:  # fmt: skip
    """A host on which these were committed, the last one now."""
    return HostFacts(
        Host.parse(f"ssh://{name}"),
        current=committed[-1] if committed else None,
        previous=committed[-2] if len(committed) > 1 else None,
        placements=(*committed, *others),
        committed=tuple(one.folder for one in committed),
        rejected=frozenset(rejected),
    )


def test_back_and_back_again_never_toggles_onto_what_was_left() -> None:
    facts = host(V[1], V[2], V[3])
    back = choose("production", [facts])
    assert (back.left, back.release) == ("v3", "v2")
    facts = after_commit(facts, V[2], "v3")
    assert choose("production", [facts]).release == "v1"
    facts = after_commit(facts, V[1], "v2")
    with pytest.raises(UsageError, match="no earlier release"):
        choose("production", [facts])
    # deployed by force and left alone since
    assert choose("production", [after_commit(facts, V[3])]).release == "v1"


def test_what_was_placed_but_never_ran_is_not_returned_to_by_itself() -> None:
    facts = host(V[1], V[3], others=(V[2],))
    assert choose("production", [facts]).release == "v1"
    assert choose("production", [facts], "v2").release == "v2"


def test_values_that_a_release_had_before() -> None:
    back = choose("production", [host(V[3], VALUES)])
    assert (back.left, back.release) == ("v3", "v3")
    assert back.placements == {"ssh://a": V[3]}
    other = host(V[2], VALUES, V[4], name="b")
    back = choose("production", [host(V[2], V[3], V[4]), other])
    assert back.placements == {"ssh://a": V[3], "ssh://b": VALUES}


@pytest.mark.parametrize(
    ("hosts", "to", "message"),
    [
        ((host(V[1], V[2]), host(name="b")), "", "b runs no release"),
        ((host(V[1], V[2]), host(V[2], V[3], name="b")), "", "a runs v2, b runs v3"),
        ((host(V[1], V[3]), host(V[2], V[3], name="b")), "", "a to v1, b to v2"),
        ((host(V[1], V[3]), host(V[2], V[3], name="b")), "v1", "b no longer has v1"),
        ((host(V[1], V[2], rejected=("v1",)),), "v1", "rejected"),
        ((host(V[1]),), "v9", "a no longer has v9"),
    ],
)
def test_one_sentence_says_which_host_can_not(
    hosts: tuple[HostFacts, ...], to: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        choose("production", hosts, to)


def test_the_newest_stay_and_what_failed_goes() -> None:
    facts = host(*V[1:6], others=(V[6],), rejected=("v6",))
    assert stale(facts, 2) == ("v1/1111", "v2/2222", "v3/3333", "v6/6666")
    assert stale(facts, 9) == ("v6/6666",)
    # what is being rolled out now stays
    assert stale(replace(facts, attempt="v6/6666"), 9) == ()


def test_what_a_rollback_needs_always_stays() -> None:
    # v3 was rolled back: v2 runs, the previous is v3, a rollback would go to v1
    facts = after_commit(host(*V[1:4]), V[2], "v3")
    assert facts.previous == V[3]
    assert stale(facts, 2) == ()
    assert [one.release for one in returns(facts)] == ["v1"]
    assert stale(after_commit(facts, V[4]), 2) == ("v1/1111", "v3/3333")


def test_without_marks_current_and_previous_count() -> None:
    facts = HostFacts(Host.parse("ssh://a"), current=V[2], previous=V[1], placements=(V[1], V[2]))
    assert choose("production", [facts]).release == "v1"
    assert stale(facts, 2) == ()
