"""The same work for many items, in a bounded number of threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from mcgitops.store.limits import limits_of

THREADS = 16
"""Requests to a bucket at once, unless `MCGITOPS_STORE_REQUESTS` says another number."""
PIECE = 256 * 1024
"""Bytes that are moved between two looks at whether the program is to end."""
LOOK_SECONDS = 0.25
"""Between two such looks of who only waits."""
PATIENCE = 3.0
"""Seconds that threads have to end in where the program is to."""
_ending: set[object] = set()
_leave: list[Callable[[], None]] = []
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

    running: list[Thread] = []
    try:
        for number in range(min(threads, len(items))):
            running.append(Thread(go, f"mcgitops-store_{number}"))
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


class Thread(threading.Thread):
    """A thread that can be waited for again after Ctrl-C.

    CPython's `join` takes a thread for ended once it was interrupted itself (bpo-45274).
    """

    def __init__(self, target: Callable[[], None], name: str) -> None:
        super().__init__(target=target, name=name)
        self.ended = threading.Event()

    def run(self) -> None:
        """Do the work."""
        try:
            super().run()
        finally:
            self.ended.set()


def join(threads: Sequence[Thread], *errors: BaseException | None) -> None:
    """Wait for threads that were begun; see `waited`."""

    def wait() -> None:
        for thread in threads:
            if thread.ident is not None:
                thread.ended.wait()

    waited(wait, *errors)


def waited(wait: Callable[[], object], *errors: BaseException | None) -> None:
    """Call `wait`, which waits for other threads, after these errors.

    If one of them means the program's end (Ctrl-C, and whatever else isn't an `Exception`), or if
    that comes meanwhile, what moves in those threads ends at its next piece: see `go_on`. Where
    that takes longer than `PATIENCE`, as a service's answer may that nothing interrupts, the
    program leaves if it has said how: see `leaving`. Nobody else is left with threads at work but
    after another Ctrl-C.
    """
    if any(error is not None and not isinstance(error, Exception) for error in errors):
        _told(wait)
        return
    try:
        wait()
    except Exception:
        raise
    except BaseException:
        _told(wait)
        raise


def _told(wait: Callable[[], object]) -> None:
    token = object()
    leave = _leave[-1] if _leave else None
    soon = threading.Timer(PATIENCE, leave) if leave is not None else None
    try:
        _ending.add(token)
        if soon is not None:
            soon.daemon = True
            soon.start()
        try:
            wait()
        except BaseException:
            if leave is not None:
                leave()
            raise
    finally:
        _ending.discard(token)
        if soon is not None:
            soon.cancel()


@contextmanager
def leaving(leave: Callable[[], None]) -> Iterator[None]:
    """Within it the program leaves in this way where threads don't end soon after Ctrl-C.

    leave: ends the process at once, whatever its threads do: the store is made for that.
    """
    _leave.append(leave)
    try:
        yield
    finally:
        _leave.pop()


def go_on() -> None:
    """Between the pieces of what moves long: raises `KeyboardInterrupt` where it is to end."""
    if _ending:
        raise KeyboardInterrupt
