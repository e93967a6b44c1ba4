"""How a verb that changes hosts ends when it is told to."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ended_politely(
    signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
) -> Iterator[Callable[[], bool]]:
    """The first of these signals is a `KeyboardInterrupt`; the way back then goes undisturbed.

    A CI that cancels sends SIGINT and, soon after, SIGTERM: the second must not cut off what the
    first has begun to tidy up. Gives what tells whether one came: where an object is just being
    taken down, Python drops the exception, so what goes on for long asks now and then.
    """
    asked = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise KeyboardInterrupt

    try:
        before = {sent: signal.signal(sent, interrupt) for sent in signals}
    except ValueError:  # not the main thread: whoever called us decides
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)
