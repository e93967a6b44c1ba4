"""What transfers may use, and that they keep to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.errors import UsageError
from mcgitops.store.limits import Budget, Limits, Pace, amount, limits_of


def test_nothing_said_gives_the_defaults() -> None:
    assert limits_of({}) == Limits()
    assert limits_of({"MCGITOPS_STORE_REQUESTS": " "}) == Limits()


def test_all_can_be_said() -> None:
    environ = {
        "MCGITOPS_STORE_REQUESTS": "4",
        "MCGITOPS_STORE_MEMORY": "64MiB",
        "MCGITOPS_STORE_BANDWIDTH": "1.5 MB/s",
    }
    assert limits_of(environ) == Limits(4, 64 * 2**20, 1_500_000.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MCGITOPS_STORE_REQUESTS", "0"),
        ("MCGITOPS_STORE_REQUESTS", "many"),
        ("MCGITOPS_STORE_REQUESTS", "99999"),
        ("MCGITOPS_STORE_MEMORY", "1MiB"),
        ("MCGITOPS_STORE_MEMORY", "64 apples"),
        ("MCGITOPS_STORE_BANDWIDTH", "0"),
        ("MCGITOPS_STORE_BANDWIDTH", "-5MB"),
    ],
)
def test_what_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        limits_of({name: value})
    assert name in caught.value.message
    assert "such as" in caught.value.hint


@given(st.integers(0, 10**9), st.sampled_from(["", "k", "M", "GiB", "KiB", "mb/s"]))
def test_amounts_are_read(number: int, unit: str) -> None:
    factor = {"": 1, "k": 10**3, "M": 10**6, "GiB": 2**30, "KiB": 2**10, "mb/s": 10**6}[unit]
    assert amount(f"{number}{unit}") == number * factor


@given(st.text(max_size=20))
def test_no_text_is_misread(text: str) -> None:
    found = amount(text)
    assert found is None or (found >= 0 and text.strip()[:1].isdigit())


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=50))
def test_a_pace_is_kept(counts: list[int]) -> None:
    now = 0.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    pace = Pace(1000.0, lambda: now, wait)
    for count in counts:
        pace.spend(count)
    assert sum(counts) / 1000 <= now + 0.25 + 1e-6


def test_a_budget_lets_one_through_and_no_more_than_fit() -> None:
    budget = Budget(10)
    assert budget.try_take(25)  # more than there is of all, but alone
    assert not budget.try_take(1)
    budget.give(25)
    assert budget.try_take(6)
    assert not budget.try_take(5)
    assert budget.try_take(4)
