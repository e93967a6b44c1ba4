"""A container's log as lines, however the engine cuts it into pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcgitops.run.engine import LONGEST_LINE, lines_of


@given(st.text(alphabet="aé\n", max_size=40), st.lists(st.integers(1, 7), max_size=30))
def test_lines_do_not_depend_on_how_they_are_cut(text: str, cuts: list[int]) -> None:
    data, chunks = text.encode(), []
    for cut in cuts:
        chunks.append(data[:cut])
        data = data[cut:]
    lines = text.split("\n")
    assert list(lines_of([*chunks, data])) == (lines if lines[-1] else lines[:-1])


def test_a_progress_bar_is_its_last_state() -> None:
    assert list(lines_of([b" 5%|=\r10%", b"|==\r99%|====\r", b"\nnext\r\n", b"a\r\r"])) == [
        "99%|====", "next", "a",
    ]  # fmt: skip


def test_what_never_ends_a_line_is_cut() -> None:
    chunk = b"x" * 60_000
    lines = list(lines_of([chunk] * 20))
    assert sum(map(len, lines)) == 1_200_000
    assert all(len(line) <= LONGEST_LINE + len(chunk) for line in lines)
    assert len(lines) > 3


def test_what_is_no_text_is_shown_as_such() -> None:
    assert list(lines_of([b"\xff\xfe\n", "é".encode()[:1], "é".encode()[1:]])) == ["��", "é"]
