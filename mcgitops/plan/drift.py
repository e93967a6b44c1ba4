"""How a host differs from its release: what `status` tells and `deploy` mends. Pure.

The judge of `plan.health` looks at containers; here is what they stand on: images, the release
folder, and the proxy that gives them requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mcgitops.deferred import dataclass
from mcgitops.plan import proxy
from mcgitops.plan.health import Health, is_well, judge
from mcgitops.plan.images import same_image
from mcgitops.project.hosts import ContainerFact, HostFacts, ImageFact, Pin, WantedService

ACQUAINTED = 30.0
"""Seconds after which a proxy must know a container."""


@dataclass(frozen=True)
class Finding:
    """One difference, as a sentence without a full stop."""

    text: str
    mends: bool = True  # whether deploying the same release puts it right


@dataclass(frozen=True)
class Drift:
    """What was found on one host."""

    health: Health
    findings: tuple[Finding, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything that isn't as it should be."""
        return tuple(finding.text for finding in self.findings)

    @property
    def to_mend(self) -> tuple[str, ...]:
        """What a deployment of the same release puts right."""
        return tuple(finding.text for finding in self.findings if finding.mends)


def drift(facts: HostFacts, services: Sequence[WantedService], pins: Sequence[Pin]) -> Drift:
    """Hold what was seen on a host against a release's services and images."""
    health = judge(services, facts.containers, facts.now, _true(pins, facts.images))
    found = [
        *(Finding(problem) for problem in health.problems),
        *_images(pins, facts.images),
        *_remade(facts),
        *(Finding(f"the release folder: {said}") for said in facts.edited),
        *(each for service in services if service.behind for each in _requests(service, facts)),
    ]
    return Drift(health, tuple(found))


def _true(pins: Sequence[Pin], images: Sequence[ImageFact]) -> tuple[ImageFact, ...]:
    """The images with the names that they should have: a name may have been given to another."""
    pinned = {pin.reference: pin for pin in pins}
    found = []
    for image in images:
        kept = tuple(name for name in image.references if name not in pinned)
        own = tuple(name for name, pin in pinned.items() if same_image(pin, image))
        found.append(replace(image, references=(*kept, *own)))
    return tuple(found)


def _images(pins: Sequence[Pin], images: Sequence[ImageFact]) -> Iterator[Finding]:
    for pin in pins:
        named = [image for image in images if pin.reference in image.references]
        if any(same_image(pin, image) for image in named):
            continue
        if named:
            yield Finding(f"the image name of {pin.service} was given to another image")
        else:
            yield Finding(f"the image of {pin.service} is not there under its name")


def _remade(facts: HostFacts) -> Iterator[Finding]:
    """Containers with the release's label that were made from other values all the same."""
    known = {one.name for one in facts.containers}
    for name in sorted(facts.outdated & known):
        yield Finding(f"{name} was not made from the release folder's values")


def _requests(service: WantedService, facts: HostFacts) -> Iterator[Finding]:
    """Whether the containers that are well get requests."""
    assert service.behind is not None  # noqa: S101
    by_name = {one.name: one for one in facts.containers}
    for seen in facts.proxies:
        container = by_name.get(seen.container)
        if container is None or container.service != service.behind.service:
            continue
        settled = _age(container, facts.now) >= ACQUAINTED
        servers = proxy.parse(seen.said, service.name)
        if not servers:
            if settled:
                yield Finding(
                    f"{seen.container} says nothing of a backend {service.name}: whether it gets "
                    "requests is not known", mends=False,
                )  # fmt: skip
            continue
        for one in facts.containers:
            if one.service == service.name and is_well(one, facts.now) and one.addresses:
                yield from _reached(one, seen.container, servers,
                                    settled and _age(one, facts.now) >= ACQUAINTED)  # fmt: skip
        if free := sum(not one.address and not one.is_ready for one in servers):
            many = f"{free} free servers" if free > 1 else "a free server"
            yield Finding(f"{seen.container} keeps {many} of {service.name} closed")


def _reached(
    container: ContainerFact, name: str, servers: Sequence[proxy.Server], settled: bool
) -> Iterator[Finding]:
    mine = [one for one in servers if one.address in container.addresses]
    if not mine:
        if settled:
            yield Finding(
                f"{container.name} gets no requests: {name} does not find it", mends=False
            )
    elif not any(one.is_ready for one in mine):
        how = "in maintenance" if mine[0].is_held else "drained"
        yield Finding(f"{container.name} gets no requests: its server in {name} is {how}")


def _age(container: ContainerFact, now: float) -> float:
    return now - container.started.timestamp() if container.started else 0.0
