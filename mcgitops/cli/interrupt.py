"""How a verb that changes hosts ends when it is told to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ended_politely() -> Iterator[None]:
    """The first SIGINT or SIGTERM is a `KeyboardInterrupt`; the way back then goes undisturbed.

    A CI that cancels sends SIGINT and, soon after, SIGTERM: the second must not cut off what the
    first has begun to tidy up.
    """
    asked = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise KeyboardInterrupt

    try:
        before = {sent: signal.signal(sent, interrupt) for sent in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever called us decides
        yield
        return
    try:
        yield
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)
