"""Makes gates of the tests that other tools judged, such as Evidently's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from mcgitops.compare.model import GateResult, GateState, RunView
from mcgitops.metrics.values import Check

_WORST = ("error", "failed", "warned", "passed", "skipped")


def judge(
    runs: Iterable[RunView], level: Literal["fail", "warn", "ignore"]
) -> tuple[GateResult, ...]:
    """One for each check of each combination; of its replicates the worst speaks.

    A check that couldn't be judged (`error`) isn't a pass: it counts as failed.
    """
    if level == "ignore":
        return ()
    worst: dict[tuple[str, str, str, str], tuple[Check, int, int]] = {}
    for run in runs:
        if run.state != "succeeded":
            continue
        for check in run.checks:
            key = (run.stage, run.variant, check.source, check.name)
            bad = check.state in ("error", "failed")
            known, count, total = worst.get(key, (check, 0, 0))
            if _WORST.index(check.state) < _WORST.index(known.state):
                known = check
            worst[key] = (known, count + bad, total + 1)
    return tuple(
        _gate(key, check, count, total, level) for key, (check, count, total) in worst.items()
    )


def _gate(
    key: tuple[str, str, str, str],
    check: Check,
    bad: int,
    total: int,
    level: Literal["fail", "warn", "ignore"],
) -> GateResult:
    _, variant, source, name = key
    state: GateState = "passed"
    word = ""
    if check.state in ("failed", "error"):
        state = "failed" if level == "fail" else "warned"
        word = ", gate failed" if level == "fail" else ", gate warns"
        if bad < total:
            word = f" in {bad} of {total} runs{word}"
    elif check.state == "warned":
        state, word = "warned", ", gate warns"
    elif check.state == "skipped":
        state, word = "not judged", " was skipped"
    said = check.text or {"error": "couldn't be judged"}.get(check.state, check.state)
    if state == "not judged" and not check.text:
        said, word = "was skipped", ""
    return GateResult(name, variant, f"check of {source}", state, f"{said}{word}", "check")
