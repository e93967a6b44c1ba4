"""What a store's records and objects are still needed for, and what can go. Pure: facts → a plan.

A thing is needed as long as a *root* leads to it. Roots are releases (all of them), what was
deployed, the commits that branches and tags need, the last runs of each stage, and digests that
somebody else names (the pins of data). From a root, records lead to records and to objects.

What no root leads to goes, but not at once. In a folder it goes once it is older than the grace
period; whoever relies on something that is there makes it young again. A bucket has nothing like
that, so there it is *marked* first and goes once it has been marked for the grace period; whoever
pushes takes what is marked for missing, and writes it elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import field

from mcgitops.deferred import dataclass
from mcgitops.store import layout
from mcgitops.store.survey import Noted

SPARSE = 0.5
"""A pack is written anew where less than this part of it is still needed."""


@dataclass(frozen=True)
class Roots:
    """What is to be kept, from outside the store.

    `commits`: the ids of commits that are needed, also heads of pull requests. `digests`: objects
    that are needed whatever the records say. `keep_runs`: so many of the newest runs of each stage,
    and so many failed ones. `keys`: of records that somebody said he relies on.
    `orphans`: keep objects that no record names as well, since somebody else may.
    """

    project: str
    commits: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    keep_runs: int = 0
    keys: frozenset[str] = frozenset()
    orphans: bool = False


@dataclass(frozen=True)
class Place:
    """A key that holds objects: one by itself, or a pack (then `members` are several).

    `members`: digest and stored bytes of each. `size`: bytes that go with it, of all its keys.
    """

    key: str
    size: int
    members: tuple[tuple[str, int], ...]
    modified: float | None = None
    is_pack: bool = False


@dataclass(frozen=True)
class Item:
    """Something that goes or is marked: a record, a page, a place of objects."""

    key: str
    size: int
    kind: str  # runs, attempts, commits, reports, objects, packs
    since: float | None = None  # when it was marked, or written: seconds since 1970


@dataclass(frozen=True)
class Plan:
    """What garbage collection is to do.

    `remove`: goes now. `mark`: to be marked now, so that it can go later. `waiting`: was marked,
    not long enough ago; or is unneeded and still young. `cancel`: marked, but needed after all.
    `rewrite`: packs of which most is unneeded, with the digests in them that are needed.
    """

    remove: tuple[Item, ...] = ()
    mark: tuple[Item, ...] = ()
    waiting: tuple[Item, ...] = ()
    cancel: tuple[str, ...] = ()
    rewrite: tuple[tuple[Place, tuple[str, ...]], ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)  # record's key → why it is kept
    needed: frozenset[str] = frozenset()  # digests
    kept_size: int = 0
    kept_objects: int = 0


def keep(
    records: Sequence[Noted], roots: Roots, *, newer: float
) -> tuple[dict[str, str], frozenset[str]]:
    """The records that are needed, each with the reason, and the digests that are.

    newer: records of what began, or that were written, after this moment are young, and kept.
    """
    by_key = {record.key: record for record in records}
    kept: dict[str, str] = {}
    for record in records:
        if reason := _reason(record, roots, newer):
            kept[record.key] = reason
    for record, number in _newest(records, roots.project, roots.keep_runs):
        kept.setdefault(record.key, f"one of the last {roots.keep_runs} of its stage ({number})")
    below = list(kept)
    while below:
        record = by_key[below.pop()]
        for key in record.runs:
            if key in by_key and key not in kept:
                kept[key] = f"{record.label} needs it"
                below.append(key)
    digests = {digest for key in kept for digest, _, _ in by_key[key].files}
    return kept, frozenset(digests | roots.digests)


def decide(
    records: Sequence[Noted],
    places: Sequence[Place],
    pages: Sequence[Item],
    roots: Roots,
    marked: Mapping[str, float],
    *,
    now: float,
    grace: float,
    is_folder: bool,
) -> Plan:
    """What is to be done. Times in seconds since 1970, `grace` in seconds.

    marked: key → since when. pages: what browsers are shown of commits; `kept` says of which.
    """
    kept, needed = keep(records, roots, newer=now - grace)
    needed |= _of_others(records, places, roots, marked)
    homes = homes_of(places, needed, marked.keys())
    lonely: list[Item] = [
        Item(record.key, record.size, record.kind, record.modified)
        for record in records
        if record.key not in kept
    ]
    lonely += [page for page in pages if not _is_page_of(page.key, roots)]
    rewrite: list[tuple[Place, tuple[str, ...]]] = []
    for place in places:
        live = homes.get(place.key, ())
        if not live:
            kind = "packs" if place.is_pack else "objects"
            lonely.append(Item(place.key, place.size, kind, place.modified))
        elif place.is_pack and _is_sparse(place, live) and not _young(place, now, grace):
            rewrite.append((place, live))
    remove: list[Item] = []
    mark: list[Item] = []
    waiting: list[Item] = []
    for item in sorted(lonely, key=lambda one: one.key):
        if is_folder:
            old = item.since is not None and item.since <= now - grace
            (remove if old else waiting).append(item)
        elif (since := marked.get(item.key)) is None:
            (mark if grace > 0 else remove).append(item)
        else:
            dated = Item(item.key, item.size, item.kind, since)
            (remove if since <= now - grace else waiting).append(dated)
    loose = {item.key for item in lonely}
    there = {record.key for record in records} | {place.key for place in places}
    there |= {page.key for page in pages}
    return Plan(
        tuple(remove),
        tuple(mark),
        tuple(waiting),
        tuple(sorted(key for key in marked if key in there and key not in loose)),
        tuple(rewrite),
        kept,
        needed,
        sum(place.size for place in places if place.key in homes),
        sum(len(live) for live in homes.values()),
    )


def _of_others(
    records: Sequence[Noted], places: Sequence[Place], roots: Roots, marked: Container[str]
) -> frozenset[str]:
    """Objects that no record names, in a store that other projects have a part of, too.

    They may be data that those pin in their own git, which isn't here to be asked.
    """
    if not roots.orphans and all(record.project == roots.project for record in records):
        return frozenset()
    named = {digest for record in records for digest, _, _ in record.files}
    held = (place.members for place in places if place.key not in marked)
    return frozenset(digest for members in held for digest, _ in members if digest not in named)


def _reason(record: Noted, roots: Roots, newer: float) -> str:
    """Why a record is a root; "" where it is none."""
    if record.key in roots.keys:
        return "somebody relies on it right now"
    if record.project != roots.project:
        return f"of another project, {record.project}"
    if record.kind in ("releases", "deployments", "wanted"):
        return "releases and what was deployed are kept"
    if record.kind == "commits" and not roots.commits.isdisjoint(record.commits):
        return "a branch or tag needs its commit"
    if max(record.at, record.modified or 0.0) > newer:
        return "younger than the grace period"
    return ""


def _newest(records: Iterable[Noted], project: str, count: int) -> list[tuple[Noted, int]]:
    """The newest runs, and attempts, of each of the project's stages, numbered from 1."""
    stages: dict[tuple[str, str], list[Noted]] = defaultdict(list)
    for record in records:
        if record.project == project and record.kind in ("runs", "attempts"):
            stages[record.kind, record.stage].append(record)
    return [
        (record, number)
        for of_stage in stages.values()
        for number, record in enumerate(
            sorted(of_stage, key=lambda one: (one.at, one.key), reverse=True)[:count], 1
        )
    ]


def homes_of(
    places: Sequence[Place], needed: frozenset[str], marked: Container[str]
) -> dict[str, tuple[str, ...]]:
    """Which place each needed digest is kept in: place's key → digests.

    Several places may hold the same digest. One that isn't marked comes first, then the one of
    which more is needed, then the first by its key: whoever looks at the same store chooses the
    same one, so two collections at once can't remove each other's choice.
    """
    worth = {
        place.key: sum(size for digest, size in place.members if digest in needed)
        / max(1, sum(size for _, size in place.members))
        for place in places
    }
    homes: dict[str, list[str]] = defaultdict(list)
    settled: set[str] = set()
    for place in sorted(
        places, key=lambda one: (one.key in marked, one.is_pack, -worth[one.key], one.key)
    ):
        for digest, _ in place.members:
            if digest in needed and digest not in settled:
                settled.add(digest)
                homes[place.key].append(digest)
    return {key: tuple(digests) for key, digests in homes.items()}


def _is_sparse(place: Place, live: Sequence[str]) -> bool:
    here = set(live)
    alive = sum(size for digest, size in place.members if digest in here)
    return alive < SPARSE * sum(size for _, size in place.members)


def _young(place: Place, now: float, grace: float) -> bool:
    return place.modified is not None and place.modified > now - grace


def _is_page_of(key: str, roots: Roots) -> bool:
    """Whether a page is needed: of another project, or of a commit that is."""
    _, project, commit, *_ = (*key.split("/"), "", "")
    return project != layout.segment(roots.project) or commit in roots.commits
