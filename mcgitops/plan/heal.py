"""Which release an environment has after something was interrupted, from what its hosts say. Pure.

A rollout commits on its hosts one after the other, when all of them are healthy. So a release that
one host has committed goes forward on the others; one that no host has committed goes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import field

from mcgitops.deferred import dataclass
from mcgitops.plan.history import committed
from mcgitops.project.hosts import HostFacts, Placement


@dataclass(frozen=True)
class Healing:
    """What the hosts that were asked are brought to.

    release: "" where none is committed; then `down` are the hosts on which a first rollout was
    interrupted, and is taken down. placements: by URL, of the hosts that have the release's folder.
    """

    release: str = ""
    why: str = ""
    placements: dict[str, Placement] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()  # URLs of hosts that need it from the store
    down: tuple[str, ...] = ()


def decide(hosts: Sequence[HostFacts]) -> Healing:
    """What to do. Whether a host is there already, and well, is for the planner to see."""
    chosen, why = _chosen(hosts)
    if chosen is None:
        return Healing(down=tuple(one.host.url for one in hosts if one.attempt))
    placements: dict[str, Placement] = {}
    for facts in hosts:
        if found := _on(facts, chosen):
            placements[facts.host.url] = found
    lacking = tuple(one.host.url for one in hosts if one.host.url not in placements)
    return Healing(chosen.release, why, placements, lacking)


def _chosen(hosts: Sequence[HostFacts]) -> tuple[Placement | None, str]:
    """The committed placement that decides, and why it does."""
    latest = sorted(
        (one for one in hosts if one.current is not None), key=lambda one: one.since, reverse=True
    )
    candidates = [one.current for one in latest if one.current is not None]
    if not candidates:
        return None, ""
    if len({one.key for one in candidates}) == 1:
        return candidates[0], "it is committed"
    attempts = Counter(one.attempt for one in hosts if one.attempt)
    for one in candidates:
        if attempts[one.folder]:
            return one, "a host has committed it already"
    rejected = frozenset[str]().union(*(one.rejected for one in hosts))
    for one in candidates:
        if one.release not in rejected:
            return one, "of the hosts' releases it is the one that was committed last"
    return candidates[0], "it was committed last"


def _on(facts: HostFacts, chosen: Placement) -> Placement | None:
    """The placement of the chosen release on one host: the very same, else one of its own."""
    for one in facts.placements:
        if one.folder == chosen.folder and (
            facts.attempt == one.folder or not _runs(facts, chosen.release)
        ):
            return one
    current = facts.current
    if current is not None and current.release == chosen.release:
        # a folder that was changed by hand is not among the placed ones: it comes from the store
        return current if current.folder in facts.placed else None
    return next((one for one in committed(facts) if one.release == chosen.release), None)


def _runs(facts: HostFacts, release: str) -> bool:
    return facts.current is not None and facts.current.release == release
