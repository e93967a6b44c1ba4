"""The words and cells that views share: values, changes and signs, without any markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcgitops.compare import numbers
from mcgitops.compare.model import CostChange, FactChange, MetricChange
from mcgitops.metrics.values import Scalar
from mcgitops.report.model import Report, Revision

RED, ORANGE, GREEN, WHITE = "🔴", "🟠", "🟢", "⚪"
ARROWS = {"higher": "↑", "lower": "↓", "": ""}
ENDED = {
    "failed": "failed",
    "timed-out": "timed out",
    "interrupted": "was interrupted",
    "missing": "has not been trained",
}
NOTHING = "(none)"
MOST_PATHS = 3
_FEW = {"cannot tell": 5, "new": 5, "changed": 10}
NOTABLE_PERCENT = 10.0
"""A size that changed by less isn't shown beside the metrics."""


@dataclass(frozen=True)
class Cells:
    """One row of the table of changes. `is_text`: base and head are text of the file."""

    sign: str
    label: str
    variant: str
    arrow: str
    base: str
    head: str
    change: str
    evidence: str
    gates: tuple[str, ...]
    is_text: bool = False


def metric_cells(change: MetricChange) -> Cells:
    """A metric's row."""
    is_text = not all(
        not values or mean is not None
        for values, mean in ((change.base, change.base_mean), (change.head, change.head_mean))
    )
    base, head, difference = numbers.row(change.base_mean, change.head_mean, change.difference)
    return Cells(
        sign=_sign(change),
        label=change.label,
        variant=change.variant,
        arrow=ARROWS[change.direction],
        base=_side(change.base, base, change.base_sd),
        head=_side(change.head, head, change.head_sd),
        change=_change(difference, numbers.percent(change.percent), change),
        evidence=_evidence(change),
        gates=tuple(
            gate.bound if gate.state in ("passed", "not judged") else gate.text
            for gate in change.gates
        ),
        is_text=is_text,
    )


def cost_cells(cost: CostChange) -> Cells:
    """A cost's row: less is better."""
    show = numbers.size if cost.unit == "bytes" else numbers.duration
    difference = cost.difference
    sign = WHITE
    if cost.exact and difference:
        sign = GREEN if difference < 0 else ORANGE
    text = ""
    if difference:
        text = f"{numbers.signed(show(difference), difference)} ({numbers.percent(cost.percent)})"
    return Cells(
        sign=sign,
        label=cost.name,
        variant=cost.variant,
        arrow="↓",
        base=show(cost.base),
        head=show(cost.head),
        change=text if cost.percent is not None else "",
        evidence="",
        gates=(),
    )


def notable_costs(report: Report) -> tuple[CostChange, ...]:
    """The sizes that changed so much that they stand beside the metrics."""
    return tuple(
        cost
        for cost in report.costs
        if cost.exact and cost.percent is not None and abs(cost.percent) >= NOTABLE_PERCENT
    )


def leading(changes: Sequence[MetricChange]) -> tuple[list[MetricChange], list[MetricChange]]:
    """Those that a reader must see, and those that can wait: of each kind only the first few.

    What a gate or the evidence speaks of always leads; of what merely differs a few stand for all.
    """
    first: list[MetricChange] = []
    rest: list[MetricChange] = []
    seen: dict[str, int] = {}
    for change in changes:
        most = _FEW.get(change.verdict)
        if most is not None and change.gate_state not in ("failed", "warned"):
            seen[change.verdict] = seen.get(change.verdict, 0) + 1
            if seen[change.verdict] > most:
                rest.append(change)
                continue
        first.append(change)
    return first, rest


def heading_sign(report: Report) -> str:
    """The report's status as a sign; the headline says the same in words."""
    return {
        "failed": RED,
        "gate failed": RED,
        "warning": ORANGE,
        "worse": ORANGE,
        "better": GREEN,
        "unchanged": GREEN,
    }.get(report.status, WHITE)


def value(scalar: Scalar) -> str:
    """A single value as people read it; of text exactly the text."""
    if scalar is None:
        return "null"
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    if isinstance(scalar, int):
        return f"{scalar:,}".replace("-", numbers.MINUS)
    if isinstance(scalar, float):
        return numbers.plain(scalar, 6)
    return scalar


def values(scalars: tuple[Scalar, ...]) -> str:
    """Several values, one for each replicate, without repetitions."""
    shown = list(dict.fromkeys(value(scalar) for scalar in scalars))
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def parameter(scalar: Scalar) -> str:
    """One side of a parameter's change; None is one that isn't there."""
    return NOTHING if scalar is None else value(scalar)


@dataclass(frozen=True)
class Cause:
    """Something that went into the runs and differs. `base` and `head` are text of a file."""

    name: str
    base: str = ""
    head: str = ""
    detail: str = ""


def causes(report: Report) -> list[Cause]:
    """What went into the runs and differs: parameters by value, files by name, all else by name."""
    found = [
        Cause(change.label, parameter(change.base), parameter(change.head))
        for change in report.params
    ]
    named = {change.file for change in report.params}
    seen: set[str] = set()
    for change in report.facts:
        for cause in _fact(change, named):
            if cause.name not in seen:
                seen.add(cause.name)
                found.append(cause)
    return found


def _fact(change: FactChange, named: set[str]) -> list[Cause]:
    files = change.files
    if files is None or not files.count:
        if not change.base or not change.head:
            return [Cause(change.name, detail="added" if not change.base else "removed")]
        if _is_digest(change.base) or _is_digest(change.head):  # which say nothing to people
            return [Cause(change.name)]
        return [Cause(change.name, change.base, change.head)]
    is_project = change.name == "." or change.name.startswith("build context")
    folder = "" if is_project else f"{change.name}/"
    only = change.name.rpartition("/")[2]  # a fact that is a single file has that file's name
    kinds = ((files.changed, ""), (files.added, "added"), (files.removed, "removed"))
    paths = [
        Cause(change.name if path == only else folder + path, detail=detail)
        for group, detail in kinds
        for path in group
        if folder + path not in named  # a parameter file is shown by its parameters
    ]
    more = files.count - sum(len(group) for group, _ in kinds) + max(len(paths) - MOST_PATHS, 0)
    paths = paths[:MOST_PATHS]
    if more > 0:
        paths.append(Cause(change.name, detail=f"{count(more, 'more file')}"))
    if folder and paths and _is_notable(files.base_size, files.head_size):
        sizes = f"{numbers.size(files.base_size)} → {numbers.size(files.head_size)}"
        last = paths[-1]
        paths[-1] = Cause(last.name, detail=f"{last.detail} (in all {sizes})".strip())
    return paths


def _is_notable(before: int, after: int) -> bool:
    """At least one percent."""
    return after != before and abs(after - before) * 100 >= before


def revision(side: Revision) -> str:
    """A revision in brief: twelve digits, or the working tree."""
    text = side.commit[:12] or "working tree"
    return f"{text} with uncommitted changes" if side.dirty and side.commit else text


def stages(report: Report) -> list[str]:
    """How the runs came about: `3 replicates each`, `1 stage trained, 1 from the store`, `41 s`."""
    parts = []
    if counts := {stage.replicates for stage in report.stages if stage.replicates > 1}:
        low, high = min(counts), max(counts)
        parts.append(f"{low} replicates" if low == high else f"{low} to {high} replicates")
    trained = [stage for stage in report.stages if stage.trained]
    stored = [stage for stage in report.stages if stage.from_store and not stage.trained]
    told = []
    if trained:
        told.append(f"{len(trained)} {_plural('stage', len(trained))} trained")
    if stored:
        told.append(f"{len(stored)} from the store")
    if told:
        parts.append(", ".join(told))
    if seconds := sum(stage.seconds for stage in report.stages):
        parts.append(numbers.duration(seconds))
    return parts


def count(number: int, word: str) -> str:
    """`1 metric`, `17 metrics`."""
    return f"{number:,} {_plural(word, number)}"


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"


def _sign(change: MetricChange) -> str:
    if change.gate_state == "failed":
        return RED
    if change.gate_state == "warned" or change.verdict in ("worse", "missing"):
        return ORANGE
    return GREEN if change.verdict == "better" else WHITE


def _side(scalars: tuple[Scalar, ...], shown: str, sd: float | None) -> str:
    if not scalars:
        return "–"
    if not shown:
        return values(scalars)
    return f"{shown} ± {numbers.deviation(sd, shown)}" if sd else shown


def _change(difference: str, percent: str, change: MetricChange) -> str:
    if change.verdict in ("new", "missing"):
        return change.verdict
    if change.verdict == "same" or change.difference is None or change.difference == 0:
        return "" if change.verdict == "same" else change.verdict
    return f"{difference} ({percent})" if percent else difference


def _evidence(change: MetricChange) -> str:
    """Verdict and evidence; the evidence only once, where a gate's sentence ends with it."""
    told = any(change.evidence and gate.text.endswith(change.evidence) for gate in change.gates)
    evidence = "" if told else change.evidence
    if change.verdict == "cannot tell" and "cannot tell" in change.evidence:
        return evidence  # "one run each: cannot tell if it is noise"
    if change.verdict in ("better", "worse", "cannot tell"):
        return f"{change.verdict}, {evidence}" if evidence else change.verdict
    return evidence


def _is_digest(text: str) -> bool:
    text = text.removeprefix("sha256:")
    return len(text) >= 12 and all(character in "0123456789abcdef" for character in text)
