"""Conditions and names: what is meant is found, and what isn't clear is asked back."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.cli.where import Names, as_number, condition, holds, moment
from mcgitops.errors import UsageError
from mcgitops.store.index import IndexedRun

NOW = datetime.datetime(2026, 5, 10, 12, tzinfo=datetime.UTC)


def a_run(**changes: Any) -> IndexedRun:
    values: dict[str, Any] = {
        "key": "k",
        "stage": "train",
        "fingerprint": "f" * 64,
        "state": "succeeded",
        "started": NOW,
        "metrics": {"out/m.json": {"accuracy": 0.9, "val.loss": 0.1}},
        "params": {"params.yaml": {"lr": 0.01}},
        "replicate": {"SEED": "1"},
    }
    return IndexedRun(**{**values, **changes})


@pytest.mark.parametrize(
    ("text", "name", "operator", "value"),
    [
        ("accuracy>0.9", "accuracy", ">", "0.9"),
        ("accuracy >= 0.9", "accuracy", ">=", "0.9"),
        ("lr==0.1", "lr", "=", "0.1"),
        ("state!=failed", "state", "!=", "failed"),
        ("metric:out/m.json:val.loss<1e-3", "metric:out/m.json:val.loss", "<", "1e-3"),
        ("MODEL~rf*", "MODEL", "~", "rf*"),
        ('"a=b"=c=d', "a=b", "=", "c=d"),
        ("name=", "name", "=", ""),
    ],
)
def test_a_condition_is_a_name_an_operator_and_a_value(
    text: str, name: str, operator: str, value: str
) -> None:
    found = condition(text)
    assert (found.name, found.operator, found.value) == (name, operator, value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accuracy", "nothing in it compares"),
        ("=3", "nothing in it compares"),
        ("", "nothing in it compares"),
        ("accuracy>high", "'high' is not a number"),
    ],
)
def test_a_wrong_condition_is_a_sentence_with_the_remedy(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        condition(text)
    assert said in error.value.message
    assert "--where" in error.value.message and error.value.hint.startswith("Write")


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_a_usage_error(text: str) -> None:
    try:
        found = condition(text)
    except UsageError:
        return
    for value in (None, True, 1, 0.5, math.nan, math.inf, 10**400, "x", text):
        assert holds(found, value) in (True, False)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False))
def test_numbers_are_compared_as_numbers(bound: float, value: float) -> None:
    assert holds(condition(f"x>{bound!r}"), value) == (value > bound)
    assert holds(condition(f"x<={bound!r}"), value) == (value <= bound)
    assert holds(condition(f"x={bound!r}"), value) != holds(condition(f"x!={bound!r}"), value)
    assert holds(condition(f"x={bound!r}"), bound)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("x=0.1", "0.10", True),  # variables are texts
        ("x=0.3", 0.1 + 0.2, True),
        ("x=nan", math.nan, True),
        ("x>0", math.nan, False),
        ("x>0", "rf", False),
        ("x>0", None, False),
        ("x>0", True, False),
        ("x=true", True, True),
        ("x=1", True, False),
        ("x=null", None, True),
        ("x~r*", "rf", True),
        ("x~[rs]f", "tf", False),
        ("x!=rf", "gb", True),
        ("x=1_000", 1000, True),
    ],
)
def test_values_of_all_kinds(text: str, value: Any, expected: bool) -> None:
    assert holds(condition(text), value) is expected


def test_what_is_a_number() -> None:
    assert as_number("1e-3") == 0.001
    assert as_number("-inf") == -math.inf
    assert as_number("1.2.3") is None
    assert as_number("0x10") is None
    assert as_number(10**400) == math.inf


def test_a_name_is_found_by_itself_with_its_kind_and_with_its_file() -> None:
    names = Names([a_run()])
    run = a_run()
    for name in (
        "accuracy",
        "metric:accuracy",
        "out/m.json:accuracy",
        "metric:out/m.json:accuracy",
    ):
        assert names.reader(name, "--where")(run) == 0.9
    assert names.reader("param:lr", "--where")(run) == 0.01
    assert names.reader("SEED", "--where")(run) == "1"
    assert names.reader("state", "--where")(run) == "succeeded"
    with pytest.raises(KeyError):
        names.reader("took", "--where")(run)
    with pytest.raises(KeyError):
        names.reader("accuracy", "--where")(a_run(metrics={}))


def test_a_name_of_two_kinds_is_asked_back() -> None:
    names = Names([a_run(params={"p": {"accuracy": 1}})])
    with pytest.raises(UsageError) as error:
        names.reader("accuracy", "--where")
    assert error.value.message == "--where: accuracy is a metric and a param."
    assert error.value.hint == "Write metric:accuracy or param:accuracy."


def test_a_name_in_two_files_of_a_run_is_asked_back_and_in_files_of_two_stages_not() -> None:
    both = a_run(metrics={"a.json": {"f1": 1}, "b.json": {"f1": 2}})
    with pytest.raises(UsageError) as error:
        Names([a_run(), both]).reader("f1", "--sort")
    assert error.value.hint == "Write a.json:f1 or b.json:f1."
    assert Names([both]).reader("b.json:f1", "--sort")(both) == 2
    assert Names([both]).labels("metric") == ["a.json:f1", "b.json:f1"]
    one, two = a_run(metrics={"a.json": {"f1": 1}}), a_run(metrics={"b.json": {"f1": 2}})
    read = Names([one, two]).reader("f1", "--sort")
    assert (read(one), read(two)) == (1, 2)


def test_an_unknown_name_suggests_the_nearest() -> None:
    names = Names([a_run()])
    with pytest.raises(UsageError) as error:
        names.reader("acuracy", "--where")
    assert "'acuracy'" in error.value.message
    assert error.value.hint == "Did you mean accuracy?"
    with pytest.raises(UsageError) as error:
        names.reader("param:xyz", "--where")
    assert error.value.hint == "There are: param:lr."
    with pytest.raises(UsageError) as error:
        names.reader("evil\x1b[31m\n", "--where")
    assert "\x1b" not in str(error.value)


def test_when() -> None:
    assert moment("7d", NOW) == NOW - datetime.timedelta(days=7)
    assert moment("90m", NOW) == NOW - datetime.timedelta(minutes=90)
    assert moment("2w", NOW) == NOW - datetime.timedelta(weeks=2)
    assert moment("2026-05-01T12:00+02:00", NOW).astimezone(datetime.UTC).hour == 10
    day = datetime.timedelta(days=1)
    assert moment("2026-05-01", NOW, end=True) - moment("2026-05-01", NOW) == day
    assert moment("2026-05-01T00:00", NOW, end=True) == moment("2026-05-01", NOW)


@given(st.text(max_size=30))
def test_any_time_is_a_time_or_a_usage_error(text: str) -> None:
    try:
        assert moment(text, NOW, end=True).tzinfo is not None
    except UsageError as error:
        assert "Write a date" in error.hint
