"""Tables of runs are laid out as tabulate would, and by what a terminal shows."""

from __future__ import annotations

import random

from tabulate import tabulate

from mcgitops.cli.listing import table
from mcgitops.report.layout import width


def test_columns_are_as_tabulate_has_them() -> None:
    rng = random.Random(1)

    def cell(most: int) -> str:
        return "".join(rng.choice("xyz−é9.") for _ in range(rng.randint(0, most)))

    for _ in range(300):
        count = rng.randint(1, 6)
        headers = [cell(8) for _ in range(count)]
        rows = [[cell(9) for _ in range(count)] for _ in range(rng.randint(1, 7))]
        rows += [[cell(9)]] * rng.randint(0, 1)  # a title
        expected = tabulate(rows, headers, tablefmt="plain", disable_numparse=True)
        assert table(rows, headers) == expected


def test_wide_characters_take_two_columns() -> None:
    lines = table([["模型", "a"], ["m", "b"]], ["name", "x"]).splitlines()
    assert [width(line[: line.index(end)]) for line, end in zip(lines, "xab", strict=True)] == [
        8
    ] * 3


def test_without_rows_the_headers_stand_alone() -> None:
    assert table([], ["run", "when"]) == "run    when"
