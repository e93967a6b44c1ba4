"""What a reader of somebody else's package found, made into what a record can keep."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mcgitops.metrics.values import (
    MAX_NAME,
    MAX_TEXT,
    Check,
    Findings,
    Scalar,
    Warnings,
    scalar,
    text,
)

STATES = ("passed", "failed", "warned", "error", "skipped")


def harmless(found: Findings, warnings: Warnings) -> Findings:
    """The same with texts that can be stored, and numbers of other packages as Python's own.

    Raises `ValueError` for a check whose state isn't one: it must neither pass nor fail by chance.
    """
    return replace(
        found,
        metrics=_tidied(found.metrics, warnings),
        params=_tidied(found.params, warnings),
        checks=tuple(map(_check, found.checks)),
        warnings=tuple(text(str(said), MAX_TEXT) for said in found.warnings),
    )


def _tidied(
    values: Mapping[str, Mapping[str, Any]], warnings: Warnings
) -> dict[str, dict[str, Scalar]]:
    return {
        text(str(source), MAX_TEXT): {
            text(str(name), MAX_NAME): scalar(_own(value), text(str(name), MAX_NAME), warnings)
            for name, value in of_source.items()
        }
        for source, of_source in values.items()
    }


def _own(value: object) -> object:
    """numpy's numbers are registered as what they are like, but few of them are Python's."""
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def _check(check: Check) -> Check:
    if check.state not in STATES:
        raise ValueError(f"the check {check.name} has the state {check.state}")
    name, source = (text(str(part), MAX_TEXT) for part in (check.name, check.source))
    return Check(source, name, check.state, text(str(check.text), MAX_TEXT))
