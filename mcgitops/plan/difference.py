"""What a deployment would change on a host, service by service, in words. Pure.

Both sides of a comparison are made of leaves: each says what a key of a service is, by an identity
that is compared and never shown, and by a text that may be shown. Values never stand in a text.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import field
from typing import Literal

from mcgitops.deferred import dataclass
from mcgitops.plan.drift import drift
from mcgitops.plan.health import is_well
from mcgitops.plan.images import has_image, lacking
from mcgitops.plan.replace import in_order, split, switchable, way
from mcgitops.plan.steps import Wanted
from mcgitops.project.hosts import HostFacts, WantedService

Action = Literal["added", "removed", "replaced", "scaled", "mended", "untouched"]
LONGEST = 48


@dataclass(frozen=True)
class Leaf:
    """One key of a service: what it is, and what of it may be shown."""

    identity: Hashable = field(repr=False)
    shown: str = ""  # "" where it is or may hold a value


Leaves = Mapping[str, Leaf]


@dataclass(frozen=True)
class ServiceDifference:
    """What happens to one service on a host, and why."""

    name: str
    action: Action
    reasons: tuple[str, ...] = ()
    how: str = ""  # the way in which its containers are replaced


@dataclass(frozen=True)
class HostDifference:
    """What happens on a host. Equal ones are shown together."""

    before: str  # the release that it has, "" where there is none
    services: tuple[ServiceDifference, ...] = ()
    layers: tuple[str, ...] = ()  # to be sent
    folder: bool = False  # whether the release folder has to be placed
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether a deployment would do nothing."""
        return not self.folder and not self.notes and all(
            one.action == "untouched" for one in self.services
        )  # fmt: skip


def leaf_changes(old: Leaves, new: Leaves) -> tuple[str, ...]:
    """The keys that differ, as words: `command: a → b`, `environment.TOKEN changed (hidden)`."""
    said = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if before is None:
            said.append(f"{key} is new")
        elif after is None:
            said.append(f"{key} is gone")
        elif before.identity != after.identity:
            said.append(_changed(key, before.shown, after.shown))
    return tuple(said)


def host_difference(
    wanted: Wanted, facts: HostFacts, changes: Mapping[str, tuple[str, ...]]
) -> HostDifference:
    """What deploying `wanted` does to a host.

    changes: by service, what `leaf_changes` said of the placed file and the one to be placed.
    """
    current = facts.current
    before = {one.name: one for one in current.services} if current else {}
    found = [
        _service(service, before.get(service.name), facts, changes.get(service.name, ()))
        for service in in_order(wanted.services)
    ]
    names = {one.name for one in wanted.services}
    gone = {one.service for one in facts.containers} | set(before)
    found += [
        ServiceDifference(name, "removed", ("the release does not have it",))
        for name in sorted(gone - names)
    ]
    absent = [pin for pin in wanted.images if not has_image(pin, facts)]
    layers = dict.fromkeys(layer for pin in absent for layer in lacking(pin, facts.images))
    same = current is not None and current.key == (wanted.release, wanted.digest)
    notes: tuple[str, ...] = ()
    if facts.attempt:
        notes = (f"a rollout of {facts.attempt.rpartition('/')[0]} was not finished",)
    elif same:
        notes = drift(facts, wanted.services, wanted.images).to_mend
    return HostDifference(
        current.release if current else "", tuple(found), tuple(layers),
        wanted.placement not in facts.placed or bool(wanted.files - facts.files) or not same,
        notes,
    )  # fmt: skip


def _service(
    service: WantedService, before: WantedService | None, facts: HostFacts, said: Iterable[str]
) -> ServiceDifference:
    mine, others = split(service, facts.containers)
    reasons = list(said)
    if before and before.config_digest != service.config_digest:
        reasons.insert(0, f"image {_short(before)} → {_short(service)}")
    scaled = before is not None and before.replicas != service.replicas
    if scaled and before:
        reasons.append(f"replicas {before.replicas} → {service.replicas}")
    if not mine and not others:
        return ServiceDifference(service.name, "added", () if before is None else
                                 ("no container of it runs", *reasons))  # fmt: skip
    if others:
        if not reasons:
            reasons.append("its containers are not those of the release on the host")
        running = any(one.state == "running" for one in others)
        how = way(switchable(service, facts.current), running=running)
        return ServiceDifference(service.name, "replaced", tuple(reasons), how)
    if len(mine) != service.replicas:
        if not scaled:
            reasons.append(f"{len(mine)} containers, {service.replicas} wanted")
        return ServiceDifference(service.name, "scaled", tuple(reasons))
    ill = [one.name for one in mine if not is_well(one, facts.now)]
    made = sorted(one.name for one in mine if one.name in facts.outdated)
    if ill or made:
        why = [f"{name} is not well" for name in ill]
        why += [f"{name} was not made from the release folder's values" for name in made]
        return ServiceDifference(service.name, "mended", tuple(why))
    return ServiceDifference(service.name, "untouched")


def _short(service: WantedService) -> str:
    digest = service.config_digest.removeprefix("sha256:")
    return digest[:12] or service.image or "?"


def _changed(key: str, before: str, after: str) -> str:
    if before and after and before != after and max(len(before), len(after)) <= LONGEST:
        return f"{key}: {before} → {after}"
    return f"{key} changed" + ("" if before and after else " (value hidden)")
