"""A second process for what is done to very many small files.

Threads don't help there: each call to the system lets go of Python's lock, and then they wait for
it more than for the disk.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

AT_A_TIME = 128
Item = TypeVar("Item")


def halved(work: Callable[[Sequence[Item]], None], items: Sequence[Item], least: int) -> None:
    """Do some work for all items: for half of them in a second process, where there are `least`.

    work: is given neighbours. It keeps nothing in memory and asks no service, for of what the
    second process does only files are left. And it can be done twice: what that one doesn't end
    well, for whatever reason, is done again here, where it says what is wrong.
    """
    middle = len(items) // 2 if len(items) >= least and _can_help() else len(items)
    child = _started(work, items[middle:]) if middle < len(items) else None
    if child is None:
        _in_parts(work, items)
        return
    try:
        _in_parts(work, items[:middle])
        _, status = os.waitpid(child, 0)
    except BaseException:
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        raise
    if status != 0:
        _in_parts(work, items[middle:])


def _can_help() -> bool:
    """Whether there is a core for it, and no thread that a second process would be without."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return cores > 1 and threading.active_count() == 1


def _started(work: Callable[[Sequence[Item]], None], items: Sequence[Item]) -> int | None:
    ours = os.getpid()
    try:
        child = os.fork()
    except OSError:
        return None
    if child:
        return child
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

        def or_end(some: Sequence[Item]) -> None:
            if os.getppid() != ours:  # killed: nothing goes on behind it
                os._exit(1)
            work(some)

        _in_parts(or_end, items)
        code = 0
    finally:
        os._exit(code)  # and nothing that is to be done at the end of the first one


def _in_parts(work: Callable[[Sequence[Item]], None], items: Sequence[Item]) -> None:
    for at in range(0, len(items), AT_A_TIME):
        work(items[at : at + AT_A_TIME])
