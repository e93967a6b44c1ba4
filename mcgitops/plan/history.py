"""What a host ran before: to what it can return, and what of it need no longer lie there. Pure."""

from __future__ import annotations

from dataclasses import replace

from mcgitops.project.hosts import HostFacts, Placement


def committed(facts: HostFacts) -> tuple[Placement, ...]:
    """The placements that were current and still lie on the host, the latest first."""
    by_folder = {one.folder: one for one in facts.placements}
    latest = list(reversed(facts.committed))
    # from a version that kept no marks
    latest += [one.folder for one in (facts.current, facts.previous)
               if one is not None and one.folder not in latest]  # fmt: skip
    return tuple(by_folder[folder] for folder in latest if folder in by_folder)


def returns(facts: HostFacts) -> tuple[Placement, ...]:
    """To what a rollback may return, the best first: was current, is not, and is not rejected."""
    current = facts.current.folder if facts.current else ""
    return tuple(
        one for one in committed(facts)
        if one.folder != current and one.release not in facts.rejected
    )  # fmt: skip


def after_commit(facts: HostFacts, chosen: Placement, leaving: str = "") -> HostFacts:
    """The facts as they will be when `chosen` is the current placement."""
    is_new = facts.current is None or facts.current.folder != chosen.folder
    known = {one.folder: one for one in (*facts.placements, chosen)}
    return replace(
        facts,
        current=chosen,
        previous=facts.current if is_new else facts.previous,
        attempt="",
        placements=tuple(known.values()),
        committed=(*(one for one in facts.committed if one != chosen.folder), chosen.folder),
        rejected=(facts.rejected | {leaving} if leaving else facts.rejected) - {chosen.release},
    )


def stale(facts: HostFacts, retain: int) -> tuple[str, ...]:
    """The release folders that can go: all but the `retain` latest that were committed and not
    rejected, the current and the previous one, what a rollback would return to, and what is being
    rolled out."""
    good = [one for one in committed(facts) if one.release not in facts.rejected]
    kept = {one.folder for one in good[:retain]}
    kept |= {one.folder for one in (facts.current, facts.previous) if one is not None}
    kept |= {one.folder for one in returns(facts)[:1]}
    kept.add(facts.attempt)
    return tuple(sorted(one.folder for one in facts.placements if one.folder not in kept))
