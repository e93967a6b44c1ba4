"""What the words of `--comment` mean together."""

from __future__ import annotations

import pytest

from mcgitops.cli.agenda import Options
from mcgitops.errors import UsageError


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("", (True, False, "edit")),
        ("true", (True, False, "edit")),
        ("edit changes", (True, True, "edit")),
        ("changes", (True, True, "edit")),
        ("hide", (True, False, "hide")),
        ("changes hide", (True, True, "hide")),
        ("recreate changes", (True, True, "recreate")),
        ("false", (False, False, "edit")),
    ],
)
def test_words_that_fit_together(words: str, meaning: tuple[bool, bool, str]) -> None:
    options = Options(comment=tuple(words.split()))
    assert (options.comments, options.quiet, options.way) == meaning


@pytest.mark.parametrize(
    "words", ["hide recreate", "false changes", "true hide", "false edit", "false hide changes"]
)
def test_words_that_contradict_each_other_are_refused(words: str) -> None:
    with pytest.raises(UsageError, match="contradict each other"):
        Options(comment=tuple(words.split()))
