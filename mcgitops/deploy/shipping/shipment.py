"""One host gets layers through ssh, and goes on where it stopped when the connection breaks.

Each layer is appended to what the host has of it, and its digest is taken there from the disk.
When all are whole, the image is put together on the host and loaded by its engine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

from mcgitops.commands.ssh import script
from mcgitops.deploy.connection import Connections, HostUnreachable
from mcgitops.deploy.shipping import images, incoming
from mcgitops.deploy.shipping.images import Sent
from mcgitops.deploy.shipping.layers import Packed, Spool, Stopped
from mcgitops.deploy.shipping.meter import Amount, Meter, Say, megabytes
from mcgitops.errors import EngineError
from mcgitops.project.hosts import Host, Pin
from mcgitops.run.process import Completed
from mcgitops.store.store import Store
from mcgitops.store.threads import each

AT_ONCE = 3
"""Layers sent side by side: while one is packed or checked, another uses the line."""
TRIES_IN_VAIN = 3
TRIES = 10
PAUSE, LONGER_PAUSE = 1.0, 3.0
"""Seconds before another try; the longer one where two in a row were in vain."""
PIECE = 256 * 1024


class HostFull(EngineError):
    """There is no room on a host for what it lacks."""


class LoadFailed(EngineError):
    """The engine didn't take what was sent, or has something else afterwards."""


class _Broken(Exception):
    """The connection of one layer ended before the layer did."""


class Shipment:
    """What one host lacks, on its way. For one use."""

    def __init__(
        self, connections: Connections, host: Host, root: str, pins: Sequence[Pin],
        layers: Sequence[str], store: Store, say: Say,
    ) -> None:  # fmt: skip
        self._connections = connections
        self._host = host
        self._root = root
        self._pins = pins
        self._layers = layers
        self._store = store
        self._say = say
        self._spool = connections.shared(Spool)
        self._aborts = connections.aborts
        self._plain = {layer: store.size(layer) for layer in layers}
        self._sizes: dict[str, int] = {}  # on the host, of layers that are whole there
        self._damaged: set[str] = set()
        self._resumed: int | None = None
        self._arrived = -1  # as the host told at the last look
        self._stop = threading.Event()
        self._meter = Meter(say, host.label, self._total)

    def run(self, verify: Callable[[], None]) -> Sent:
        """Send, load, check with `verify`, and clean up."""
        with self._meter.running():
            self._persist(lambda: self._bring(verify))
            with suppress(HostUnreachable):  # the next step tells; the next shipment cleans up
                self._connections.script(self._host, incoming.forget(self._root), check=False)
        return Sent(self._meter.sent, sum(self._plain.values()), self._resumed or 0)

    def _persist(self, act: Callable[[], None]) -> None:
        """Try again after a broken connection: a few times in vain, more often with progress."""
        in_vain = 0
        for number in range(1, TRIES + 1):
            before = self._arrived
            try:
                return act()
            except (HostUnreachable, _Broken) as error:
                in_vain = 0 if self._arrived > before else in_vain + 1
                if self._aborted():
                    raise Stopped("Interrupted.") from None
                if in_vain >= TRIES_IN_VAIN or number == TRIES:
                    raise self._given_up(number, error) from None
                pause = LONGER_PAUSE if in_vain > 1 else PAUSE
                self._say(
                    f"{self._host.label}   the connection broke at "
                    f"{megabytes(self._meter.sent + self._meter.there)}; going on from there in "
                    f"{pause:g} s (try {number + 1} of at most {TRIES})"
                )
                self._wait(pause)
        return None

    def _given_up(self, tries: int, error: Exception) -> HostUnreachable:
        said = "the connection breaks"
        if isinstance(error, HostUnreachable):
            said = error.message.removeprefix(f"{self._host.label}: ")
        hint = "What has arrived is kept there: the next deploy goes on from it."
        if isinstance(error, HostUnreachable) and error.hint:
            hint = f"{error.hint} {hint}"
        return HostUnreachable(self._host, f"{said.rstrip('.')} ({tries} tries).", hint)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._aborted():
                raise Stopped("Interrupted.")
            time.sleep(min(0.1, seconds))

    def _aborted(self) -> bool:
        """Whether the deployment ends, rather than a connection."""
        return self._connections.aborts != self._aborts

    def _wanted(self) -> bool:
        return not self._aborted() and not self._stop.is_set()

    def _bring(self, verify: Callable[[], None]) -> None:
        self._stop.clear()
        wanted = [layer for layer in self._layers if layer not in self._sizes]
        if wanted:
            starts = self._look(wanted)
            each(
                lambda layer: self._send(layer, starts.get(layer, 0)), wanted,
                AT_ONCE, self._stop_sending,
            )  # fmt: skip
        self._meter.loading()
        self._load(verify)

    def _look(self, wanted: Sequence[str]) -> dict[str, int]:
        """How far each layer came before. What isn't the layer's beginning is sent anew."""
        text = incoming.look(self._root, self._layers)
        done = self._connections.script(self._host, text, timeout=600, check=False)
        if done.code != 0:
            raise self._failed(done, "the folder for what arrives could not be made")
        starts = {}
        for part in incoming.parts(done.stdout):
            if part.layer not in wanted or not part.size:
                continue
            packed = self._spool.layer(self._store, part.layer)
            if packed.begins_with(part.size, part.digest, self._wanted):
                starts[part.layer] = part.size
            else:
                self._say(
                    f"{self._host.label}   {_short(part.layer)}: what lies there is damaged, or "
                    "was packed by another machine: it is sent anew"
                )
        if self._resumed is None:
            self._resumed = sum(starts.values())
        self._arrived = sum(starts.values()) + sum(self._sizes.values())
        self._meter.there = self._arrived - self._meter.sent
        return starts

    def _send(self, layer: str, start: int) -> None:
        """One layer from an offset to its end, and the digest of what then lies there."""
        packed = self._spool.layer(self._store, layer)
        if not (start and packed.done and start == packed.size):
            while self._append(layer, packed, start) != packed.digest:
                if layer in self._damaged:
                    raise EngineError(
                        f"{self._host.label}: {_short(layer)} arrived damaged twice.",
                        "Check the disk and the memory there.",
                    )
                self._damaged.add(layer)
                self._say(f"{self._host.label}   {_short(layer)} arrived damaged: it is sent anew")
                start = 0
        self._sizes[layer] = packed.size

    def _append(self, layer: str, packed: Packed, start: int) -> str:
        reached = start

        def write(target: IO[bytes]) -> None:
            nonlocal reached
            while piece := packed.read(reached, PIECE, self._wanted):
                target.write(piece)
                reached += len(piece)
                self._meter.add(len(piece))

        text = incoming.receive(self._root, layer, anew=not start)
        command = script(self._host.url, text, self._connections.options)
        done = self._connections.stream(self._host, command, write)
        if done.code < 0:  # ssh itself was killed
            raise _Broken
        if done.code != 0:
            raise self._failed(done, f"{_short(layer)} could not be written")
        return incoming.received(done.stdout)

    def _load(self, verify: Callable[[], None]) -> None:
        archive = images.description(self._store, self._pins)
        command = script(
            self._host.url, incoming.load(self._root, self._layers), self._connections.options
        )
        done = self._connections.stream(self._host, command, lambda target: _all(target, archive))
        if done.code < 0:
            raise _Broken
        if done.code != 0:
            try:
                verify()  # a load whose connection broke may have come to its end by itself
            except LoadFailed:
                raise self._failed(done, "") from None
        else:
            verify()

    def _stop_sending(self) -> None:
        self._stop.set()
        self._connections.abort(self._host)

    def _failed(self, done: Completed, what: str) -> EngineError:
        if not what or incoming.no_room(done.stdout + done.stderr):
            return load_failed(self._host, done.stdout + done.stderr)
        return EngineError(
            f"{self._host.label}: {what}: {_last(done.stdout + done.stderr)}.",
            "Check the disk there, and that the user may write to its home.",
        )

    def _total(self) -> Amount:
        """All layers as they travel; of one that isn't packed yet, as the others so far."""
        known = [self._spool.known(layer) for layer in self._layers]
        packed = [one for one in known if one is not None]
        if len(packed) == len(known) and all(one.done for one in packed):
            return Amount(sum(one.size for one in packed))
        size, plain = sum(one.size for one in packed), sum(one.plain for one in packed)
        rest = sum(self._plain.values()) - plain
        return Amount(size + round(rest * (size / plain if plain else 0.5)), exact=False)


def load_failed(host: Host, said: str) -> EngineError:
    """Why an engine didn't take an image."""
    if incoming.no_room(said):
        return HostFull(
            f"{host.label}: its disk is full: {_last(said)}.",
            "Free some space there (docker system df shows what the engine uses), then deploy "
            "again: what has arrived is kept.",
        )
    return LoadFailed(f"{host.label}: docker image load failed: {_last(said)}.", "Try again.")


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "no reason given"


def _short(layer: str) -> str:
    return f"layer {layer.removeprefix('sha256:')[:12]}"


def _all(target: IO[bytes], data: bytes) -> None:
    target.write(data)
