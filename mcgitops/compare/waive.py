"""Lets failed gates pass on somebody's word, and says whose. Pure: who may do so is known already.

A waiver names a metric as the report shows it, or `*` for all. It changes a gate that failed into
one that is waived, which no longer makes the exit code 3; whatever else a gate says stays. A waiver
of a gate that didn't fail does nothing and isn't shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mcgitops.compare.model import GateResult, Waiver

EVERY = "*"
"""The gate of a waiver that holds for all."""

_FAILED = "gate failed"


def waive(
    gates: Iterable[GateResult], waivers: Sequence[Waiver]
) -> tuple[tuple[GateResult, ...], tuple[Waiver, ...]]:
    """The gates as the waivers leave them, and those waivers that changed one.

    Where several fit, the one that names the metric goes before one for all, then the earlier.
    """
    ordered = sorted(waivers, key=lambda waiver: waiver.gate == EVERY)
    used: dict[Waiver, None] = {}
    judged = []
    for gate in gates:
        waiver = _of(gate, ordered) if gate.state == "failed" else None
        if waiver is not None:
            used[waiver] = None
            gate = replace(gate, state="waived", text=_said(gate.text, waiver))
        judged.append(gate)
    return tuple(judged), tuple(used)


def unwaive(gates: Iterable[GateResult], waivers: Sequence[Waiver]) -> tuple[GateResult, ...]:
    """The gates as if none of them had been waived; `waivers` are those whose words they hold."""
    said = [_word(waiver) for waiver in waivers]

    def judged(gate: GateResult) -> GateResult:
        if gate.state != "waived":
            return gate
        text = gate.text
        for word in said:
            text = text.replace(word, _FAILED)
        return replace(gate, state="failed", text=text)

    return tuple(judged(gate) for gate in gates)


def _of(gate: GateResult, waivers: Sequence[Waiver]) -> Waiver | None:
    # Labels of one name in other letters are the same label, so letters' case says nothing.
    name = gate.metric.casefold()
    return next((w for w in waivers if w.gate == EVERY or w.gate.casefold() == name), None)


def _said(text: str, waiver: Waiver) -> str:
    word = _word(waiver)
    return text.replace(_FAILED, word, 1) if _FAILED in text else f"{text}, {word}"


def _word(waiver: Waiver) -> str:
    why = f": {waiver.reason}" if waiver.reason else ""
    return f"gate waived by {waiver.by}{why}"
