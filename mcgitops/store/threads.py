"""The same work for many items, in a bounded number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

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
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait  # brings logging along

    with ThreadPoolExecutor(min(threads, len(items)), "mcgitops-store") as pool:
        futures: list[Future[Result]] = [pool.submit(work, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        return [future.result() for future in futures]
