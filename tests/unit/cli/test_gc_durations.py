from __future__ import annotations

import pytest

from mcgitops.cli.gc import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("14d", 14 * 86_400), ("36h", 129_600), ("1d12h", 129_600), ("0", 0), ("0d", 0),
        ("90m", 5400), ("5s", 5), ("", None), ("d", None), ("14", None), ("-1d", None),
        ("1h1d", None), ("1.5d", None),
    ],
)  # fmt: skip
def test_durations_have_days(text: str, seconds: int | None) -> None:
    assert seconds_of(text) == seconds
