"""To which release an environment returns, from what lies on its hosts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.plan.history import committed, returns
from mcgitops.project.hosts import HostFacts, Placement


@dataclass(frozen=True)
class Return:
    """The release that is left, and the placement of each host that it returns to, by URL."""

    left: str
    release: str
    placements: dict[str, Placement]


def choose(environment: str, hosts: Sequence[HostFacts], to: str = "", *, force: bool = False
           ) -> Return:  # fmt: skip
    """Where a rollback goes. Raises `UsageError` where the hosts can't all do it, and says why.

    to: the release; "" is the latest that was current before and was not rejected.
    """
    left = _left(environment, hosts)
    release = to or _latest(environment, hosts)
    found: dict[str, Placement] = {}
    for facts in hosts:
        if release in facts.rejected and not force:
            raise UsageError(
                f"{release} was rolled back on {facts.host.label}, so it is rejected. Nothing was "
                "changed.",
                f"mcgitops rollback {environment} --to {release} --force returns to it all the "
                "same.",
            )
        placement = _placement(facts, release, is_same=release == left)
        if placement is None:
            raise UsageError(
                f"{facts.host.label} no longer has {release}. Nothing was changed.",
                f"mcgitops deploy {environment} --release {release} sends it again. "
                f"{facts.host.label} has {_names(facts)}.",
            )
        found[facts.host.url] = placement
    return Return(left, release, found)


def _left(environment: str, hosts: Sequence[HostFacts]) -> str:
    empty = [facts.host.label for facts in hosts if facts.current is None]
    if empty:
        raise UsageError(
            f"{', '.join(empty)} runs no release of {environment}, so there is nothing to return "
            "from.",
            f"mcgitops status {environment} shows what runs where.",
        )
    releases = {facts.current.release for facts in hosts if facts.current}
    if len(releases) > 1:
        said = ", ".join(
            f"{facts.host.label} runs {facts.current.release}" for facts in hosts if facts.current
        )
        raise UsageError(
            f"The hosts of {environment} differ: {said}.",
            f"mcgitops heal {environment} brings them to one release.",
        )
    return releases.pop()


def _latest(environment: str, hosts: Sequence[HostFacts]) -> str:
    by_host = [(facts, returns(facts)) for facts in hosts]
    for facts, found in by_host:
        if not found:
            raise UsageError(
                f"{facts.host.label} has no earlier release of {environment} to return to.",
                "Deploy the one that you want: mcgitops deploy "
                f"{environment} --release NAME.",
            )  # fmt: skip
    latest = {found[0].release for _, found in by_host}
    if len(latest) > 1:
        said = ", ".join(f"{facts.host.label} to {found[0].release}" for facts, found in by_host)
        raise UsageError(
            f"The hosts of {environment} would return to different releases: {said}.",
            f"Name one: mcgitops rollback {environment} --to NAME.",
        )
    return latest.pop()


def _placement(facts: HostFacts, release: str, *, is_same: bool) -> Placement | None:
    """The latest placement of a release on a host; where it is the one that runs, the one before.

    A release that was never current there counts where it lies there whole.
    """
    current = facts.current.folder if facts.current else ""
    every = [one for one in committed(facts) if one.release == release]
    rest = [one for one in facts.placements if one.release == release and one not in every]
    every += sorted(rest, key=lambda one: str(one.placed or ""), reverse=True)
    others = [one for one in every if one.folder != current]
    return next(iter(others if is_same else every), None) or next(iter(every), None)


def _names(facts: HostFacts) -> str:
    return ", ".join(dict.fromkeys(one.release for one in committed(facts))) or "none"
