"""How a verb ends when it is told to: in order if it changes hosts, soon if it moves files."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

INTERRUPTED = "Interrupted. Nothing half-done is left."


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


@contextmanager
def ended_soon() -> Iterator[None]:
    """After Ctrl-C the program leaves within seconds, whatever a service keeps its threads waiting
    for. For what may be cut off at any moment, and is gone on with by the next call.
    """
    from mcgitops.store.threads import leaving

    def leave() -> None:
        click.echo(INTERRUPTED, err=True)
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(130)

    with leaving(leave):
        yield
