"""Connections to hosts that are counted, and that break where a test or a benchmark wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, cast

from mcgitops.commands.command import Command
from mcgitops.deploy.connection import Connections
from mcgitops.project.hosts import Host
from mcgitops.run.process import Completed


class Wire(Connections):
    """Connections that count what goes out, and call `after` once `at` bytes have gone."""

    at: int | None = None
    out = 0
    times = 1
    after: Callable[[], None] = staticmethod(lambda: None)
    change: Callable[[bytes], bytes] = staticmethod(lambda data: data)

    def stream(self, host: Host, command: Command, write: Callable[[IO[bytes]], None]) -> Completed:
        """As always, with a counter in between."""
        wire = self

        class Counting:
            def __init__(self, target: IO[bytes]) -> None:
                self.target = target

            def write(self, data: bytes) -> int:
                changed = wire.change(data)
                self.target.write(changed)
                wire.out += len(changed)
                if wire.times and wire.at is not None and wire.out >= wire.at:
                    wire.times -= 1
                    wire.after()
                return len(data)

        return super().stream(
            host, command, lambda target: write(cast(IO[bytes], Counting(target)))
        )
