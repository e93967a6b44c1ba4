"""What hosts say after something was interrupted → the release that all of them are brought to."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mcgitops.plan.heal import Healing, decide
from mcgitops.project.hosts import Host, HostFacts, Placement

V1, V2, V3 = (Placement(f"v{n}", str(n) * 4) for n in (1, 2, 3))
V1_VALUES = Placement("v1", "aaaa")
LETTERS = "abc"


@dataclass(frozen=True)
class At:
    """A host: what it committed, what was being rolled out, what else lies there."""

    current: Placement | None = None
    attempt: Placement | None = None
    lies: tuple[Placement, ...] = ()
    since: float = 0.0
    rejected: tuple[str, ...] = ()

    def facts(self, letter: str) -> HostFacts:
        placed = tuple(dict.fromkeys(
            one for one in (self.current, self.attempt, *self.lies) if one is not None
        ))  # fmt: skip
        return HostFacts(
            Host.parse(f"ssh://{letter}"), current=self.current, since=self.since,
            attempt=self.attempt.folder if self.attempt else "", placements=placed,
            rejected=frozenset(self.rejected),
        )  # fmt: skip


def short(healing: Healing) -> str:
    """`v1: a=1111 b=- ` or `down: a`."""
    if not healing.release:
        return f"down: {' '.join(url[-1] for url in healing.down)}".strip()
    each = {url[-1]: one.digest for url, one in healing.placements.items()}
    each |= dict.fromkeys((url[-1] for url in healing.lacking), "store")
    return f"{healing.release}: " + " ".join(f"{key}={each[key]}" for key in sorted(each))


CASES = {
    "nothing was ever deployed": ((At(), At()), "down:"),
    "all is well": ((At(V1), At(V1)), "v1: a=1111 b=1111"),
    "one host, interrupted": ((At(V1, V2),), "v1: a=1111"),
    "one host, the first rollout": ((At(None, V1),), "down: a"),
    "all were interrupted before a commit": ((At(V1, V2), At(V1, V2), At(V1, V2)),
                                             "v1: a=1111 b=1111 c=1111"),
    "some had not begun": ((At(V1, V2), At(V1, lies=(V2,)), At(V1)), "v1: a=1111 b=1111 c=1111"),
    "one has committed": ((At(V2), At(V1, V2), At(V1, V2)), "v2: a=2222 b=2222 c=2222"),
    "the last one has not": ((At(V2), At(V2), At(V1, V2)), "v2: a=2222 b=2222 c=2222"),
    "the first rollout, one has committed": ((At(V1), At(None, V1)), "v1: a=1111 b=1111"),
    "the first rollout, none has": ((At(None, V1), At(None, V1), At()), "down: a b"),
    "two attempts, none committed": ((At(V1, V2), At(V1, V3)), "v1: a=1111 b=1111"),
    "the committed one is older than an attempt at another": (
        (At(V2, since=5), At(V1, V2, since=1), At(V1, V3, lies=(V2,), since=1)),
        "v2: a=2222 b=2222 c=2222",
    ),
    "hosts differ, the last commit counts": ((At(V1, since=1), At(V2, lies=(V1,), since=9)),
                                             "v2: a=store b=2222"),
    "hosts differ, but the last one is rejected": (
        (At(V1, since=1), At(V2, lies=(V1,), since=9, rejected=("v2",))),
        "v1: a=1111 b=1111",
    ),
    "a new host": ((At(V1), At(V1), At()), "v1: a=1111 b=1111 c=store"),
    "other values on a host stay": ((At(V1), At(V1_VALUES)), "v1: a=1111 b=aaaa"),
    "changed values were interrupted": ((At(V1_VALUES), At(V1, V1_VALUES)), "v1: a=aaaa b=aaaa"),
    "changed values that none committed": ((At(V1, V1_VALUES), At(V1)), "v1: a=1111 b=1111"),
}  # fmt: skip


@pytest.mark.parametrize(("hosts", "expected"), CASES.values(), ids=CASES)
def test_all_hosts_are_brought_to_one_release(hosts: tuple[At, ...], expected: str) -> None:
    facts = [host.facts(letter) for host, letter in zip(hosts, LETTERS, strict=False)]
    assert short(decide(facts)) == expected


def test_a_folder_that_was_changed_by_hand_comes_from_the_store() -> None:
    damaged = HostFacts(Host.parse("ssh://a"), current=V1)
    assert short(decide([damaged])) == "v1: a=store"
