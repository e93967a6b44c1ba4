"""The same work for many items, in a bounded number of threads."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from mcgitops.store.limits import limits_of

if TYPE_CHECKING:
    from threading import Thread

THREADS = 16
"""Requests to a bucket at once, unless `MCGITOPS_STORE_REQUESTS` says another number."""
PIECE = 256 * 1024
"""Bytes that are moved between two looks at whether the program is to end."""
LOOK_SECONDS = 0.25
"""Between two such looks of who only waits."""
PATIENCE = 3.0
"""Seconds for which threads are waited for where the program is to end."""
_ending: set[object] = set()
Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    threads: int,
    stop: Callable[[], None] = lambda: None,
) -> list[Result]:
    """The results in the order of the items. The first error (or Ctrl-C) ends it.

    Then nothing more is begun, `stop` is called so that what runs can end early, and the error is
    raised when all threads are done: nothing goes on behind the caller's back. See `go_on` for what
    ends at once.
    """
    if threads == THREADS:
        threads = limits_of(os.environ).requests
    if len(items) <= 1 or threads <= 1:
        return [work(item) for item in items]
    import threading

    # No pool of the standard library: it brings logging along, which takes long.
    results: list[Any] = [None] * len(items)
    errors: list[BaseException] = []
    numbers = iter(range(len(items)))  # shared: one step of it is never half done
    ended = threading.Semaphore(0)

    def go() -> None:
        try:
            for number in numbers:
                if errors:
                    return
                results[number] = work(items[number])
        except BaseException as error:  # noqa: BLE001  (raised where the results are waited for)
            errors.append(error)
        finally:
            ended.release()

    running: list[threading.Thread] = []
    try:
        for number in range(min(threads, len(items))):
            running.append(threading.Thread(target=go, name=f"mcgitops-store_{number}"))
            running[-1].start()
        for _ in running:
            ended.acquire()
            if errors:
                raise errors[0]
    except BaseException as error:
        errors.append(error)  # Ctrl-C, perhaps: nothing more is begun
        stop()
        raise
    finally:
        join(running, *errors)
    return results


def join(threads: Sequence[Thread], *errors: BaseException | None) -> None:
    """Wait for threads that were begun; see `hurried`."""
    begun = [thread for thread in threads if thread.ident is not None]
    with hurried(lambda: not any(thread.is_alive() for thread in begun), *errors) as left:
        for thread in begun:
            thread.join(left())


@contextmanager
def hurried(
    is_done: Callable[[], bool], *errors: BaseException | None
) -> Iterator[Callable[[], float | None]]:
    """For while other threads are waited for, after these errors.

    If one of them means the program's end (Ctrl-C, and whatever else isn't an `Exception`), the
    others' `go_on` raises, and they are waited for no longer than `PATIENCE`: one may wait for a
    service's answer, which nothing interrupts. Gives how many seconds are left, None for any
    number. is_done: whether they have ended; those that haven't stay told to.
    """
    token = object()
    until: float | None = None
    if any(error is not None and not isinstance(error, Exception) for error in errors):
        _ending.add(token)
        until = time.monotonic() + PATIENCE
    yield lambda: None if until is None else max(0.0, until - time.monotonic())
    if is_done():
        _ending.discard(token)


def go_on() -> None:
    """Between the pieces of what moves long: raises `KeyboardInterrupt` where it is to end."""
    if _ending:
        raise KeyboardInterrupt
