from __future__ import annotations

import os
import signal

import pytest

from mcgitops.cli.interrupt import ended_politely


def test_the_first_signal_interrupts_and_the_next_ones_do_not() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ended_politely() as asked:
        assert not asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)  # the way back goes undisturbed
        assert asked()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_is_told_all_the_same() -> None:
    class Interrupted:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with ended_politely([signal.SIGINT]) as asked:
        last = Interrupted()
        del last  # an exception in here is only printed
        assert asked()
