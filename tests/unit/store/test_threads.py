"""The same work for many items: in order, bounded, and ended by the first error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mcgitops.store.threads import each, go_on


@pytest.mark.parametrize("threads", [1, 3, 50])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    assert each(lambda n: n * n, range(20), threads) == [n * n for n in range(20)]
    assert each(lambda n: n, [], threads) == []


def test_no_more_threads_are_at_work_than_allowed() -> None:
    together = threading.Barrier(3, timeout=30)
    names: set[str] = set()

    def work(_: int) -> None:
        names.add(threading.current_thread().name)
        together.wait()

    each(work, range(9), 3)
    assert len(names) == 3


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_the_first_error_ends_it(kind: type[BaseException]) -> None:
    failed, stopped = threading.Event(), threading.Event()
    begun: list[int] = []
    ended: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 0:
            failed.set()
            raise kind("no")
        assert failed.wait(30)
        assert stopped.wait(30)  # it is told before anybody waits for what still runs
        ended.append(number)
        return number

    with pytest.raises(kind, match="no"):
        each(work, range(100), 4, stopped.set)
    assert len(begun) <= 4
    assert sorted([0, *ended]) == sorted(begun)


def test_ctrl_c_ends_what_moves_at_its_next_piece_and_nothing_afterwards() -> None:
    begun = threading.Barrier(4, timeout=30)
    ended: list[str] = []

    def work(number: int) -> None:
        begun.wait()
        if number == 0:
            raise KeyboardInterrupt
        try:
            while True:
                time.sleep(0.01)
                go_on()
        except KeyboardInterrupt:
            ended.append(threading.current_thread().name)
            raise

    with pytest.raises(KeyboardInterrupt):
        each(work, range(4), 4)
    assert len(set(ended)) == 3
    go_on()


def test_an_error_lets_what_moves_come_to_its_end() -> None:
    begun = threading.Barrier(2, timeout=30)
    ended: list[int] = []

    def work(number: int) -> None:
        begun.wait()
        if number == 0:
            raise ValueError("no")
        for _ in range(20):
            time.sleep(0.01)
            go_on()
        ended.append(number)

    with pytest.raises(ValueError, match="no"):
        each(work, range(2), 2)
    assert ended == [1]


def test_ctrl_c_while_the_others_are_waited_for_ends_those() -> None:
    begun = threading.Barrier(3, timeout=30)
    ended: list[int] = []

    def press() -> None:
        begun.wait()
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    def work(number: int) -> None:
        begun.wait()
        if number == 0:
            raise ValueError("no")
        try:
            while True:
                time.sleep(0.01)
                go_on()
        finally:
            ended.append(number)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        each(work, range(2), 2)
    assert ended == [1]
    go_on()


LEAVES = r"""
import os, time
from mcgitops.store.threads import each, leaving
def work(number):
    os.write(1, b"begun\n")
    time.sleep(120 if number else 0.5)
with leaving(lambda: os._exit(130)):
    each(work, range(2), 2)
"""


@pytest.mark.parametrize("presses", [1, 2])
def test_what_nothing_interrupts_holds_up_no_program_that_says_how_it_leaves(presses: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LEAVES], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["begun\n", "begun\n"]
    for _ in range(presses):
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_several_may_be_at_work_at_once() -> None:
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: each(lambda n: n, range(50), 4), range(3)))
    assert found == [list(range(50))] * 3
