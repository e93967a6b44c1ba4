"""Looking in the background gives the same answer, and the same error, as looking at once."""

from __future__ import annotations

import threading

import pytest

from mcgitops.errors import EngineError
from mcgitops.facts.program import in_background


def test_the_answer_is_waited_for_and_can_be_asked_for_twice() -> None:
    go = threading.Event()
    answer = in_background(lambda: go.wait(10) and "seen")
    go.set()
    assert answer() == "seen"
    assert answer() == "seen"


def test_an_error_is_raised_where_the_answer_is_asked_for() -> None:
    def look() -> str:
        raise EngineError("no engine answers.")

    answer = in_background(look)
    with pytest.raises(EngineError, match="no engine answers"):
        answer()
