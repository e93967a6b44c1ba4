"""A second process for what is done to very many small files.

Threads don't help there: each call to the system lets go of Python's lock, and then they wait for
it more than for the disk.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn, TypeVar

STOPPING = {signal.SIGINT, signal.SIGTERM}
Item = TypeVar("Item")


def halved(work: Callable[[Item], None], items: Sequence[Item], least: int) -> None:
    """Do some work for each item: for half of them in a second process, where there are `least`.

    work: keeps nothing in memory and asks no service, for of what the second process does only
    files are left. And it can be done twice: what that one doesn't end well, for whatever reason,
    is done again here, where it says what is wrong.
    """
    middle = len(items) // 2 if len(items) >= least and _can_help() else len(items)
    child: int | None = None
    # Ctrl-C may come at any moment; but not between the fork and where it is known what to do then.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING) if middle < len(items) else set()
    try:
        if middle < len(items):
            child = _started(work, items[middle:], before)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for item in items[: middle if child is not None else len(items)]:
            work(item)
        if child is not None:
            try:
                _, status = os.waitpid(child, 0)
            except ChildProcessError:  # whoever started us has it that nobody's end is told
                status = 1
            child = None
            if status != 0:
                for item in items[middle:]:
                    work(item)
    except BaseException:
        if child is not None:
            with suppress(OSError):
                os.kill(child, signal.SIGTERM)
                os.kill(child, signal.SIGCONT)  # if it is stopped
                os.waitpid(child, 0)
        raise


def _can_help() -> bool:
    """Whether there is a core for it, and no thread that a second process would be without."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return cores > 1 and threading.active_count() == 1


def _started(
    work: Callable[[Item], None], items: Sequence[Item], mask: set[signal.Signals] | set[int]
) -> int | None:
    ours = os.getpid()
    try:
        child = os.fork()
    except OSError:
        return None
    if child:
        return child
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first one says when to end
        signal.signal(signal.SIGTERM, _end)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for item in items:
            if os.getppid() != ours:  # killed: nothing goes on behind it
                break
            work(item)
        else:
            code = 0
    finally:
        os._exit(code)  # and nothing that is to be done at the end of the first one


def _end(*_: object) -> NoReturn:
    sys.exit(1)
