"""Images to a host: only the layers that it lacks, through ssh; or by digest through a registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from mcgitops.commands import image as image_commands
from mcgitops.commands.ssh import on_host
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.shipping import images
from mcgitops.deploy.shipping.images import Sent
from mcgitops.deploy.shipping.meter import Say
from mcgitops.deploy.shipping.registry import through_registry
from mcgitops.deploy.shipping.shipment import LoadFailed, Shipment, load_failed
from mcgitops.facts import host as host_facts
from mcgitops.plan.images import has_image, lacking, same_image
from mcgitops.project.hosts import Host, HostFacts, ImageFact, Pin
from mcgitops.store.store import Store


def ship(
    connections: Connections, facts: HostFacts, pins: Sequence[Pin], store: Store, registry: str,
    *, say: Say = lambda line: None,
) -> Sent:  # fmt: skip
    """Bring the images that a host lacks, and check that it then has exactly the pinned ones.

    say: gets a line now and then while it lasts, and one for each connection that broke.
    """
    absent = [pin for pin in pins if not has_image(pin, facts)]
    if not absent:
        return Sent()
    if registry:
        through_registry(connections, facts.host, absent, registry, say, load=(
            lambda pin: load_here(connections.folder, pin, store)
        ))  # fmt: skip
        verify(connections, facts, absent)
        return Sent()
    return _load(connections, facts, absent, store, say)


def planned(facts: HostFacts, pins: Sequence[Pin], store: Store) -> int:
    """How many bytes of layers a host lacks, unpacked."""
    absent = [pin for pin in pins if not has_image(pin, facts)]
    layers = {layer for pin in absent for layer in lacking(pin, facts.images)}
    return sum(store.size(layer) for layer in layers)


def verify(connections: Connections, facts: HostFacts, pins: Sequence[Pin]) -> None:
    """Raise `LoadFailed` unless the host has each image, with the pinned content."""
    for pin in pins:
        seen = _seen(connections, facts.host, pin.reference)
        if seen is None:
            raise LoadFailed(f"{facts.host.label}: {pin.reference} did not arrive.", "Try again.")
        if not same_image(pin, seen):
            raise LoadFailed(
                f"{facts.host.label}: {pin.reference} is not the image that the release pins "
                f"({seen.id} instead of {pin.config_digest}).",
                "Remove it there with docker image rm, then deploy again.",
            )


def _load(
    connections: Connections, facts: HostFacts, pins: Sequence[Pin], store: Store, say: Say
) -> Sent:
    """Load with the missing layers; where that doesn't give the images, with all of them."""
    missing = {layer for pin in pins for layer in lacking(pin, facts.images)}
    every = {layer for pin in pins for layer in pin.diff_ids}
    try:
        return _load_layers(connections, facts, pins, missing, store, say)
    except LoadFailed as error:
        if missing == every:
            raise
        say(f"{error.message} Sending all layers.")
    return _load_layers(connections, facts, pins, every, store, say)


def _load_layers(
    connections: Connections, facts: HostFacts, pins: Sequence[Pin], layers: set[str],
    store: Store, say: Say,
) -> Sent:  # fmt: skip
    if facts.host.is_local:
        sent = _stream(connections, facts.host, pins, layers, store)
        verify(connections, facts, pins)
        return sent
    ordered = tuple(
        dict.fromkeys(layer for pin in pins for layer in pin.diff_ids if layer in layers)
    )
    shipment = Shipment(connections, facts.host, facts.root, pins, ordered, store, say)
    return shipment.run(lambda: verify(connections, facts, pins))


def _stream(
    connections: Connections, host: Host, pins: Sequence[Pin], layers: set[str], store: Store
) -> Sent:
    """Into the engine of this machine: nothing can break on the way."""
    sent = Sent()

    def write(target: IO[bytes]) -> None:
        nonlocal sent
        sent = images.write_archive(store, pins, layers, target)

    command = on_host(host.url, image_commands.load(), connections.options)
    done = connections.stream(host, command, write)
    if done.code != 0:
        raise load_failed(host, done.stdout)
    return sent


def _seen(connections: Connections, host: Host, reference: str) -> ImageFact | None:
    argv = image_commands.inspect(reference, template=host_facts.IMAGE)
    command = on_host(host.url, argv, connections.options)
    answer = connections.execute(host, command, check=False, timeout=60)
    return host_facts.image_fact(answer.stdout) if answer.code == 0 else None


def load_here(folder: Path, pin: Pin, store: Store) -> None:
    """Load a release's image into the local engine out of the store."""
    with Connections(folder, {}) as connections:
        here = HostFacts(Host.parse("local://"))
        _load(connections, replace(here, images=()), [pin], store, lambda line: None)
