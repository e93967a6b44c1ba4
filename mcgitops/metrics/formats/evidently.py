"""Evidently's JSON, an object with exactly `metrics` and `tests`: values, and judged tests.

A failed test gates like a bound of ours. So a report that is cut off is an error, not a report
without tests. Evidently's HTML is an artifact like any other and is never read.
Format: evidently 0.7, `Snapshot.json()` and `TestStatus`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching
from mcgitops.metrics.formats.parsed import HEAD, data_of, parsed
from mcgitops.metrics.values import (
    MAX_TEXT,
    Check,
    Findings,
    Scalar,
    UnreadableError,
    Warnings,
    flatten,
    text,
)

State = Literal["passed", "failed", "warned", "error", "skipped"]

_STATES: dict[str, State] = {
    "SUCCESS": "passed",
    "FAIL": "failed",
    "WARNING": "warned",
    "ERROR": "error",
    "SKIPPED": "skipped",
}
_LIKELY = re.compile(rb'\s*\{\s*"(?:metrics|tests)"\s*:\s*\[')
_OWN = re.compile(rb'\s*\{\s*"metrics"\s*:\s*\[\s*(?:\{\s*"id"|\{?\s*"?$)')
"""How a report of Evidently's own begins, however early it is cut off."""
MAX_CHECKS = 1000


def claims(files: Files) -> Iterator[Claim]:
    """What has the two keys; also what begins like a report and isn't whole."""
    for path in matching(files, "*.json", "*.JSON"):
        start = head(files, path, HEAD)
        if not _LIKELY.match(start):
            continue
        claim = parsed(files, path)
        if claim is None:
            if _OWN.match(start):
                yield Claim(path, (path,))
        elif _is_report(claim.data):
            yield claim


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Metrics by the names that Evidently gives them, and tests as checks."""
    try:
        data = data_of(files, claim, warnings)
        if not _is_report(data):
            raise UnreadableError("isn't a report of Evidently's.")
    except UnreadableError as error:
        warnings.add(str(error))
        check = Check(claim.source, "Evidently's report", "error", "it can't be read.")
        return Findings(checks=(check,))
    values = _values(data["metrics"], warnings)
    return Findings(
        metrics={claim.source: values} if values else {},
        checks=tuple(_checks(claim.source, data["tests"], warnings)),
    )


def _is_report(data: Any) -> bool:
    return (
        isinstance(data, Mapping)
        and set(data) == {"metrics", "tests"}
        and all(
            isinstance(items, list) and all(isinstance(item, Mapping) for item in items)
            for items in data.values()
        )
    )


def _values(metrics: list[Mapping[str, Any]], warnings: Warnings) -> dict[str, Scalar]:
    named: dict[str, Any] = {}
    times: Counter[str] = Counter()
    for metric in metrics:
        name = str(metric.get("metric_name") or metric.get("metric_id") or "metric")
        times[name] += 1
        if times[name] > 1:
            name = f"{name} #{times[name]}"
        named[name] = _bare(metric.get("value"))
    return flatten(named, warnings)


def _bare(value: Any) -> Any:
    """A value without what only tells its kind."""
    if isinstance(value, Mapping):
        return {k: v for k, v in value.items() if k not in ("type", "display_name")}
    return value


def _checks(source: str, tests: list[Mapping[str, Any]], warnings: Warnings) -> Iterator[Check]:
    times: Counter[str] = Counter()
    for test in tests[:MAX_CHECKS]:
        name = text(str(test.get("name") or test.get("id") or "test"), 200)
        times[name] += 1
        if times[name] > 1:
            name = f"{name} #{times[name]}"
        said = text(str(test.get("description") or ""), MAX_TEXT)
        status = str(test.get("status")).rpartition(".")[2].upper()
        state = _STATES.get(status)
        if state is None:
            warnings.add(f"{name}: the status {status[:40]!r} is not known; it isn't a pass.")
        yield Check(source, name, state or "error", said)
    if len(tests) > MAX_CHECKS:
        warnings.add(f"has over {MAX_CHECKS} tests; the first count, and the rest as an error.")
        yield Check(source, f"{len(tests) - MAX_CHECKS} more tests", "error", "not looked at.")
