"""Which answers let a container have traffic."""

from __future__ import annotations

import copy
import json
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.plan.gates import LARGEST, Answer, Request, judge, printable, requests_of
from mcgitops.project.serving import ServingSpec

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
)
VALUES = st.recursive(
    LEAVES, lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(), some, max_size=4)
)
EXPECTED = VALUES.filter(lambda value: value is not None)


def serving(**keys: Any) -> ServingSpec:
    return ServingSpec.model_validate(keys)


def predict(expect: Any, tolerance: float = 0.0) -> Request:
    return Request(8080, "/predict", b"{}", expect=expect, tolerance=tolerance)


def judged(expect: Any, value: Any, tolerance: float = 0.0) -> str:
    said = judge(predict(expect, tolerance), Answer(200, json.dumps(value).encode()))
    return said.removeprefix("POST /predict: ")


def test_readiness_is_asked_first_of_the_server_then_of_each_model_then_come_predictions() -> None:
    asked = requests_of(
        serving(
            inference={"port": 8080, "models": ["wine", "a/b c"]},
            smoke=[
                {"port": 9000, "path": "/predict?x=ü y", "body": {"x": 1}, "status": 201},
                {"port": 9000, "expect": {"a": 1}, "tolerance": 0.5},
            ],
        )
    )
    assert [(one.title, one.port, one.readiness) for one in asked] == [
        ("GET /v2/health/ready", 8080, True),
        ("GET /v2/models/wine/ready", 8080, True),
        ("GET /v2/models/a%2Fb%20c/ready", 8080, True),
        ("POST /predict?x=%C3%BC%20y", 9000, False),
        ("GET /", 9000, False),
    ]
    assert [one.body for one in asked[3:]] == [b'{"x": 1}', b""]
    assert [one.status for one in asked] == [200, 200, 200, 201, 200]
    assert asked[4].tolerance == 0.5


def test_a_path_can_not_end_the_request_line() -> None:
    (asked,) = requests_of(serving(smoke=[{"port": 1, "path": "/a\r\nHost: x\x00 b"}]))
    assert asked.path == "/a%0D%0AHost:%20x%00%20b"


@pytest.mark.parametrize(
    ("expect", "value", "said"),
    [
        (1, 1.0, ""),
        (1.0, 1, ""),
        (1, 2, "the answer is 2, expected 1"),
        (True, True, ""),
        (True, 1, "the answer is 1, expected true"),
        (1, True, "the answer is true, expected 1"),
        (0, False, "the answer is false, expected 0"),
        (1, "1", 'the answer is "1", expected 1'),
        ("a", "a", ""),
        ("a", None, 'the answer is null, expected "a"'),
        ({"a": None}, {"a": None, "b": 1}, ""),
        ({"a": None}, {"a": 0}, "a is 0, expected null"),
        ({"a": None}, {}, "a is missing"),
        ({"a": {"b": 1}}, {"a": {}}, "a.b is missing"),
        ({"a": {"b": 1}}, {"a": [1]}, "a is a list of 1 element, expected an object"),
        ({}, {"a": 1}, ""),
        ([1, 2], [1, 2], ""),
        ([1, 2], [1, 2, 3], "the answer has 3 elements, expected 2"),
        ([1, 2], [1], "the answer has 1 element, expected 2"),
        ([], [], ""),
        ([1], {"0": 1}, "the answer is an object, expected a list"),
        (1, [1], "the answer is a list of 1 element, expected 1"),
        (
            {"outputs": [{"data": [1, 0]}]},
            {"id": "x", "outputs": [{"name": "p", "data": [2, 0]}]},
            "outputs.0.data.0 is 2, expected 1",
        ),
    ],
)
def test_only_what_is_expected_is_compared(expect: Any, value: Any, said: str) -> None:
    assert judged(expect, value) == said


@pytest.mark.parametrize(
    ("expect", "value", "tolerance", "near"),
    [
        (0.97, 0.99, 0.02, True),  # in binary they are 0.020000000000000018 apart
        (0.97, 0.9901, 0.02, False),
        (1, 1.01, 0.01, True),
        (1, 0.99, 0.01, True),
        (10**400, 10**400, 0, True),
        (10**400, 10**400 + 1, 0, False),
        (10**400, 1.0, 0.5, False),
        (2**53, float(2**53), 0, True),
        (2**53 + 1, float(2**53), 0, False),
        (math.nan, math.nan, 0, True),
        (math.nan, 1, 5, False),
        (1, math.nan, 5, False),
        (1, math.inf, 5, False),
        (math.inf, math.inf, 0, True),
        (math.inf, -math.inf, 5, False),
    ],
)
def test_numbers_are_near_within_the_tolerance(
    expect: float, value: float, tolerance: float, near: bool
) -> None:
    assert (judged(expect, value, tolerance) == "") is near


def test_a_wrong_number_is_told_with_its_place_and_the_tolerance() -> None:
    request = Request(8080, "/v2/models/wine/infer", b"{}", 200, {"o": [{"d": [1]}]}, 0.01)
    assert judge(request, Answer(200, b'{"o": [{"d": [2]}]}')) == (
        "POST /v2/models/wine/infer: o.0.d.0 is 2, expected 1 (±0.01)"
    )


def test_another_status_is_told_with_the_servers_words() -> None:
    ready = Request(8080, "/v2/health/ready", readiness=True)
    assert judge(ready, Answer(200, b"anything")) == ""
    assert judge(ready, Answer(503)) == "GET /v2/health/ready: status 503, expected 200"
    assert judge(ready, Answer(503, b"loading\n\x1b[31m")) == (
        r"GET /v2/health/ready: status 503, expected 200 (loading\n\x1b[31m)"
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 200_000, b"1" * 5000, b"{"])
def test_what_is_not_json_fails(body: bytes) -> None:
    said = judge(predict({"a": 1}), Answer(200, body))
    assert said.startswith("POST /predict: the answer is not JSON: ")
    assert len(said) < 200


def test_an_answer_without_end_fails_but_only_where_its_content_matters() -> None:
    assert judge(predict({"a": 1}), Answer(200, b"{}", complete=False)).endswith(
        f"the answer is larger than {LARGEST // 1_000_000} MB"
    )
    assert judge(Request(80, "/"), Answer(200, b"{}", complete=False)) == ""


@settings(deadline=None)
@given(EXPECTED)
def test_the_expected_answer_itself_always_passes(value: Any) -> None:
    assert judged(value, value) == ""


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES, max_size=4), VALUES)
def test_keys_that_are_not_expected_never_matter(expect: dict[str, Any], more: Any) -> None:
    value = {"another key" * 9: more, **expect}
    assert judged(expect, value) == ""


@settings(deadline=None)
@given(EXPECTED, VALUES)
def test_an_answer_that_differs_in_one_place_passes_only_where_it_is_equal(
    expect: Any, other: Any
) -> None:
    whole = {"root": copy.deepcopy(expect)}
    spot: Any = whole
    key: Any = "root"
    while isinstance(spot[key], dict | list) and spot[key]:
        spot, key = spot[key], next(iter(spot[key])) if isinstance(spot[key], dict) else 0
    former, spot[key] = spot[key], other
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (former, other))
    same = former == other if numbers else json.dumps(former) == json.dumps(other)
    covered = former == {} and isinstance(other, dict)  # an empty mapping expects any
    assert (judged(expect, whole["root"]) == "") is (same or covered)


@settings(deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(min_value=0, allow_nan=False, allow_infinity=False, width=32),
)
def test_near_is_symmetric_and_grows_with_the_tolerance(a: float, b: float, by: float) -> None:
    assert (judged(a, b, by) == "") is (judged(b, a, by) == "")
    if judged(a, b, by) == "":
        assert judged(a, b, by * 2) == ""


@settings(deadline=None)
@given(st.binary(max_size=3000), st.integers(100, 599), EXPECTED)
def test_whatever_a_model_says_becomes_one_short_printable_line(
    body: bytes, status: int, expect: Any
) -> None:
    for said in (
        judge(predict(expect), Answer(status, body)),
        judged(expect, body.decode("latin-1")),
    ):
        assert len(said) < 500
        assert said.isprintable()


@settings(deadline=None)
@given(st.text(), st.integers(2, 50))
def test_printable_is_bounded_and_leaves_plain_text_alone(text: str, most: int) -> None:
    said = printable(text, most)
    assert len(said) <= most
    assert said.isprintable()
    if text.isprintable() and len(text) <= most:
        assert said == text


def test_values_of_yaml_become_json() -> None:
    (asked,) = requests_of(
        serving(smoke=[{"port": 1, "body": {"day": date(2024, 1, 2)}, "expect": {1: (1, 2)}}])
    )
    assert asked.body == b'{"day": "2024-01-02"}'
    assert asked.expect == {"1": [1, 2]}
