"""Finds the rule that the project's file has for a metric.

A key is a metric's name, `file:name`, `stage/name` or `stage/file:name`, or a shell pattern on any
of these. An exact key wins over patterns; among patterns the first in the file wins.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from mcgitops.compare.model import MetricRule


class Rules:
    """The project's rules, indexed; remembers which of them matched a metric."""

    def __init__(self, rules: Sequence[MetricRule]) -> None:
        self._exact = {rule.key: rule for rule in rules}
        self._patterns = [
            (re.compile(fnmatch.translate(rule.key)), rule)
            for rule in rules
            if any(character in rule.key for character in "*?[")
        ]
        self._rules = tuple(rules)
        # what a metric's name must be one of for an exact key: most of thousands are none
        self._ends = {
            key[place:]
            for key in self._exact
            for place in (0, *(match.end() for match in re.finditer("[/:]", key)))
        }
        self._matched: set[str] = set()

    def find(self, stage: str, file: str, name: str) -> tuple[MetricRule | None, bool]:
        """The rule for a metric, and whether it names the metric itself."""
        if not self._rules:
            return None, False
        if name not in self._ends and not self._patterns:
            return None, False
        forms = (f"{stage}/{file}:{name}", f"{stage}/{name}", f"{file}:{name}", name)
        for form in forms:
            if (rule := self._exact.get(form)) is not None:
                self._matched.add(rule.key)
                return rule, True
        for pattern, rule in self._patterns:
            if any(pattern.match(form) for form in forms):
                self._matched.add(rule.key)
                return rule, False
        return None, False

    def unmatched(self) -> tuple[MetricRule, ...]:
        """The rules with a gate that no metric was found for."""
        return tuple(
            rule for rule in self._rules if rule.gate is not None and rule.key not in self._matched
        )
