"""Rules are found by each form of a metric's name, whatever signs the name holds."""

from __future__ import annotations

import itertools

import pytest

from mcgitops.compare.model import Gate, MetricRule
from mcgitops.compare.rules import Rules

STAGES = ("train", "a/b")
FILES = ("m.json", "out/m.json", "c:d")
NAMES = ("accuracy", "test/f1", "x:y", "a/b:c", "")


@pytest.mark.parametrize("form", ["{s}/{f}:{n}", "{s}/{n}", "{f}:{n}", "{n}"])
def test_an_exact_key_is_found_in_each_form(form: str) -> None:
    for stage, file, name in itertools.product(STAGES, FILES, NAMES):
        rule = MetricRule(form.format(s=stage, f=file, n=name), "maximize", Gate(min=1.0))
        rules = Rules([rule, MetricRule("else")])
        assert rules.find(stage, file, f"{name}-not") == (None, False)
        assert rules.unmatched() == (rule,)
        assert rules.find(stage, file, name) == (rule, True)
        assert rules.unmatched() == ()


def test_patterns_are_asked_whatever_the_exact_keys_are() -> None:
    exact, pattern = MetricRule("accuracy"), MetricRule("*loss")
    rules = Rules([pattern, exact])
    assert rules.find("train", "m.json", "val_loss") == (pattern, False)
    assert rules.find("train", "m.json", "accuracy") == (exact, True)
    assert rules.find("train", "m.json", "f1") == (None, False)
