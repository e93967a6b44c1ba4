"""The same work for many items, in a bounded number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mcgitops.store.limits import limits_of

THREADS = 16
"""Requests to a bucket at once, unless `MCGITOPS_STORE_REQUESTS` says another number."""
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
    raised when all threads are done: nothing goes on behind the caller's back.
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
        for thread in running:
            if thread.ident is not None:
                thread.join()
    return results
