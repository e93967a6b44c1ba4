"""The sticky comment's decisions: marker, equality, who wins, and how long text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.forge.comment import (
    LIMIT,
    Comment,
    Marker,
    clamp,
    compose,
    decide,
    length,
    read_marker,
    same,
)

BOT = "github-actions[bot]"
RUN_5 = Marker("wine", 5, 1, "abc")


def by_bot(identifier: int, marker: Marker, text: str = "report") -> Comment:
    return Comment(identifier, BOT, compose(marker, text), f"https://x/{identifier}")


def test_the_marker_survives_the_trip() -> None:
    assert read_marker(compose(RUN_5, "text")) == RUN_5
    assert read_marker("<!-- mcgitops:report:wine run=x attempt= -->\n") == Marker("wine")
    assert read_marker("text") is None


def test_without_a_comment_one_is_created() -> None:
    assert decide([], BOT, RUN_5, "x").action == "create"


def test_others_comments_and_other_keys_are_left_alone() -> None:
    comments = [
        Comment(1, "someone", compose(RUN_5, "a copy of the bot's comment")),
        by_bot(2, Marker("wine2", 1)),
        Comment(3, BOT, "a comment of another tool\n" + str(RUN_5)),
    ]
    assert decide(comments, BOT, RUN_5, "x").action == "create"


def test_the_comment_is_edited_when_the_report_changed() -> None:
    decision = decide([by_bot(4, Marker("wine", 4, 1))], BOT, RUN_5, compose(RUN_5, "new"))
    assert decision.action == "edit"
    assert decision.comment
    assert decision.comment.id == 4


def test_nothing_is_touched_when_only_the_run_differs() -> None:
    earlier = Marker("wine", 4, 2, "abc")
    body = compose(RUN_5, "report")
    assert decide([by_bot(4, earlier)], BOT, RUN_5, body).action == "keep"
    crlf = Comment(4, BOT, compose(earlier, "report").replace("\n", "\r\n") + "\r\n")
    assert decide([crlf], BOT, RUN_5, body).action == "keep"


def test_the_artifacts_of_another_run_on_the_same_head_are_no_change() -> None:
    def body(run: int, said: str = "better") -> str:
        link = f"[full report](<https://github.com/o/r/actions/runs/{run}#artifacts>)"
        return compose(Marker("wine", run, 1, "abc"), f"### {said}\n\n{link}")

    assert same(body(4), body(5))
    assert not same(body(4), body(5, "worse"))


def test_another_head_is_a_change() -> None:
    assert not same(
        compose(Marker("wine", 4, 1, "abc"), "r"), compose(Marker("wine", 4, 1, "d"), "r")
    )


@pytest.mark.parametrize("newer", [Marker("wine", 6, 1), Marker("wine", 5, 2)])
def test_a_late_older_run_touches_nothing(newer: Marker) -> None:
    comments = [by_bot(1, Marker("wine", 2, 1)), by_bot(2, newer)]
    decision = decide(comments, BOT, RUN_5, compose(RUN_5, "late"))
    assert (decision.action, decision.extras) == ("keep", ())
    assert "newer" in decision.reason


def test_what_an_older_run_made_too_late_goes_again() -> None:
    newer = Marker("wine", 6, 1)
    comments = [by_bot(1, newer), by_bot(2, RUN_5)]
    assert decide(comments, BOT, RUN_5, compose(RUN_5, "late"), made=2).extras == (2,)
    assert decide(comments, BOT, RUN_5, compose(RUN_5, "late")).extras == ()
    # The newer run is about to edit the oldest, and to delete its own.
    reverse = [by_bot(1, RUN_5), by_bot(2, newer)]
    assert decide(reverse, BOT, RUN_5, compose(RUN_5, "late"), made=1).extras == ()


def test_the_oldest_of_several_stays() -> None:
    comments = [by_bot(9, RUN_5), by_bot(3, Marker("wine", 4, 1)), by_bot(7, Marker("wine", 4, 1))]
    decision = decide(comments, BOT, RUN_5, compose(RUN_5, "new"))
    assert decision.comment
    assert (decision.comment.id, decision.extras) == (3, (7, 9))


def test_a_cut_report_closes_what_is_open() -> None:
    text = "head\n<details><summary>s</summary>\n\n```diff\n" + "+ line\n" * 100 + "```\n</details>"
    cut = clamp(text, 300)
    assert length(cut) <= 300
    assert cut.index("```\n\n</details>") < cut.index("cut here")
    assert cut.count("```") == 2


def test_a_fence_within_a_longer_fence_stays_open() -> None:
    cut = clamp("````\n```\n" + "x\n" * 400, 200)
    assert cut.count("````") == 2


@given(
    st.lists(
        st.sampled_from(
            ["<details>", "</details>", "```", "````mermaid", "| a | b |", "~~~", "👍" * 40, "text"]
        ),
        max_size=200,
    ),
    st.integers(min_value=0, max_value=3000),
)
def test_any_report_is_cut_to_the_limit(lines: list[str], limit: int) -> None:
    assert length(clamp("\n".join(lines), limit)) <= limit


def test_the_comment_with_its_marker_keeps_githubs_limit() -> None:
    assert length(compose(RUN_5, "é" * 200_000)) <= LIMIT
    assert length(compose(RUN_5, "| 👍 |\n" * 20_000)) <= LIMIT
    assert compose(RUN_5, "short") == f"{RUN_5}\nshort"
