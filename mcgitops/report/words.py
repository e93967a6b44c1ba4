"""The words and cells that views share: values, changes and signs, without any markup."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcgitops.compare import numbers
from mcgitops.deferred import dataclass

if TYPE_CHECKING:
    from mcgitops.compare.model import CostChange, FactChange, FileChanges, MetricChange, Test
    from mcgitops.metrics.values import Scalar
    from mcgitops.report.model import Report, Revision

RED, ORANGE, YELLOW, GREEN, WHITE = "🔴", "🟠", "🟡", "🟢", "⚪"
"""Failed, warned or worse, waived, better, neither."""
ARROWS = {"higher": "↑", "lower": "↓", "": ""}
ENDED = {
    "failed": "failed",
    "timed-out": "timed out",
    "interrupted": "was interrupted",
    "missing": "has not been trained",
}
NOTHING = "(none)"
MOST_PATHS = 3
_FEW = {"missing": 5, "cannot tell": 5, "new": 5, "changed": 10}
NOTABLE_PERCENT = 10.0
"""A size that changed by less isn't shown beside the metrics."""
NOTABLE_CONSUMPTION_PERCENT = 25.0
NOTABLE_SECONDS = 10.0
NOTABLE_BYTES = 100e6
"""Time and memory are noisy: beside the metrics only if they changed by all of that."""
GATE_SIGNS = {"failed": RED, "warned": ORANGE, "waived": YELLOW}
SPEAKING = tuple(GATE_SIGNS)
"""The states of gates that a reader must see."""


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


def cost_cells(cost: CostChange, report: Report | None = None) -> Cells:
    """A cost's row: less is better. With a report it says of which stage, where there are more."""
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
        label=cost_label(cost, report) if report else cost.name,
        variant=cost.variant,
        arrow="↓",
        base=show(cost.base),
        head=show(cost.head),
        change=text if cost.percent is not None else "",
        evidence="" if cost.exact or not text else "as measured: may be noise",
        gates=(),
    )


def notable_costs(report: Report) -> tuple[CostChange, ...]:
    """The costs that changed so much that they stand beside the metrics, sizes first."""
    found = [cost for cost in report.costs if _is_notable_cost(cost)]
    return tuple(sorted(found, key=lambda cost: not cost.exact))


def _is_notable_cost(cost: CostChange) -> bool:
    if cost.percent is None or cost.difference is None or cost.name == "CPU time":
        return False  # the CPU's time goes with the clock's
    if cost.exact:
        return abs(cost.percent) >= NOTABLE_PERCENT
    least = NOTABLE_BYTES if cost.unit == "bytes" else NOTABLE_SECONDS
    return abs(cost.percent) >= NOTABLE_CONSUMPTION_PERCENT and abs(cost.difference) >= least


def cost_label(cost: CostChange, report: Report) -> str:
    """What it is a cost of, with the stage where there are several. It may hold a path."""
    several = len({other.stage for other in report.costs}) > 1
    return f"{cost.name} of {cost.stage}" if several else cost.name


def telling_costs(report: Report) -> list[CostChange]:
    """The two costs that changed most; times and memory only where it is more than moments."""
    found = [
        cost
        for cost in report.costs
        if cost.percent is not None
        and cost.difference is not None
        and 1 <= abs(cost.percent) < 1e6
        and (cost.exact or abs(cost.difference) >= (50e6 if cost.unit == "bytes" else 5))
    ]
    return sorted(found, key=lambda cost: -abs(cost.percent or 0.0))[:2]


def is_quiet(report: Report) -> bool:
    """Whether one line says it all: nothing that matters changed, and nothing was odd.

    The one rule for what is folded, for what has no heading, and for what `comment: changes` posts.
    """
    if report.status != "unchanged" or report.warnings or report.waivers:
        return False
    sizes = any(cost.exact for cost in notable_costs(report))
    classes = any(old != new for item in report.classes for old, new in item.values.values())
    return not (sizes or classes or any(s.verdict in ("worse", "better") for s in report.slices))


def leading(changes: Sequence[MetricChange]) -> tuple[list[MetricChange], list[MetricChange]]:
    """Those that a reader must see, and those that can wait: of each kind only the first few.

    What a gate or the evidence speaks of always leads; of what merely differs a few stand for all.
    """
    first: list[MetricChange] = []
    rest: list[MetricChange] = []
    seen: dict[str, int] = {}
    for change in changes:
        most = _FEW.get(change.verdict)
        if most is not None and change.gate_state not in SPEAKING:
            seen[change.verdict] = seen.get(change.verdict, 0) + 1
            if seen[change.verdict] > most:
                rest.append(change)
                continue
        first.append(change)
    return first, rest


def heading_sign(report: Report) -> str:
    """The report's status as a sign; the headline says the same in words."""
    if report.status == "warning":
        states = {gate.state for gate in report.gates}
        return YELLOW if "waived" in states and "warned" not in states else ORANGE
    return {
        "failed": RED,
        "gate failed": RED,
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
    """Something that went into the runs and differs. `base` and `head` are text of a file.

    kind: `params`, `code`, `data`, or "" for what else belongs to a run.
    """

    name: str
    base: str = ""
    head: str = ""
    detail: str = ""
    kind: str = ""


def causes(report: Report) -> list[Cause]:
    """What went into the runs and differs: parameters by value, files by name, all else by name."""
    found = [
        Cause(change.label, parameter(change.base), parameter(change.head), kind="params")
        for change in report.params
    ]
    named = {change.file for change in report.params}
    seen: set[str] = set()
    for change in report.facts:
        for cause in _fact(change, named):
            if cause.name not in seen:
                seen.add(cause.name)
                found.append(cause)
    order = {"params": 0, "code": 1, "data": 2}
    return sorted(found, key=lambda cause: order.get(cause.kind, 3))


def _fact(change: FactChange, named: set[str]) -> list[Cause]:
    files = change.files
    if files is None or not files.count:
        kind = "code" if change.name.startswith("build context") else ""
        if not change.base or not change.head:
            return [Cause(change.name, detail="added" if not change.base else "removed", kind=kind)]
        if _is_digest(change.base) or _is_digest(change.head):  # which say nothing to people
            return [Cause(change.name, kind=kind)]
        return [Cause(change.name, change.base, change.head)]
    kind = "code" if is_code(change) else "data"
    folder = file_prefix(change)
    only = change.name.rpartition("/")[2]  # a fact that is a single file has that file's name
    paths = [
        Cause(
            change.name if path == only else folder + path,
            detail=" ".join(part for part in (word, kind == "data" and sizes(files, path)) if part),
            kind=kind,
        )
        for word, path in changed_files(files)
        if folder + path not in named  # a parameter file is shown by its parameters
    ]
    listed = len(files.added) + len(files.removed) + len(files.changed)
    more = files.count - listed + max(len(paths) - MOST_PATHS, 0)
    paths = paths[:MOST_PATHS]
    if more > 0:
        paths.append(Cause(change.name, detail=count(more, "more file"), kind=kind))
    if folder and len(paths) > 1 and _is_notable(files.base_size, files.head_size):
        total = f"{numbers.size(files.base_size)} → {numbers.size(files.head_size)}"
        last = paths[-1]
        detail = f"{last.detail} (in all {total})".strip()
        paths[-1] = Cause(last.name, detail=detail, kind=kind)
    return paths


def is_code(change: FactChange) -> bool:
    """Whether it is what an image is built from, or the project's folder itself."""
    return change.name == "." or change.name.startswith("build context")


def file_prefix(change: FactChange) -> str:
    """What stands before the paths of its files."""
    return "" if is_code(change) else f"{change.name}/"


def changed_files(files: FileChanges) -> list[tuple[str, str]]:
    """`("", path)` of each that changed, then those that were `added` or `removed`."""
    groups = (("", files.changed), ("added", files.added), ("removed", files.removed))
    return [(word, path) for word, paths in groups for path in paths]


def sizes(files: FileChanges, path: str) -> str:
    """`(3.1 MB → 3.4 MB)`, of a file that came or went its size; "" where nothing is to be said."""
    before, after = files.sizes.get(path, (None, None))
    if before is None or after is None:
        known = before if after is None else after
        return "" if known is None else f"({numbers.size(known)})"
    if not _is_notable(before, after):
        return ""
    return f"({numbers.size(before)} → {numbers.size(after)})"


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


def test(evidence: Test) -> str:
    """A test in words, with its interval of the difference."""
    bounds = evidence.interval
    if bounds is None or not math.isfinite(bounds.high - bounds.low):
        return evidence.text
    low, high, _ = numbers.row(bounds.low, bounds.high, bounds.high - bounds.low)
    level = f"{100 * bounds.level:g} % interval"
    if level in evidence.text:
        return evidence.text
    text = f"{evidence.text}, " if evidence.text else ""
    return f"{text}{level} of the difference {low} to {high}"


def levels(changes: Sequence[MetricChange]) -> str:
    """`95 %`: the confidence of the changes' intervals."""
    bounds = (i for c in changes for i in (c.base_interval, c.head_interval) if i is not None)
    return ", ".join(sorted({f"{100 * bound.level:g} %" for bound in bounds}))


def _sign(change: MetricChange) -> str:
    if change.gate_state == "failed":
        return RED
    if change.gate_state == "waived":
        return YELLOW
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
    if change.verdict in ("better", "worse", "cannot tell", "no difference"):
        if evidence.startswith(change.verdict):
            return evidence
        return f"{change.verdict}, {evidence}" if evidence else change.verdict
    return evidence


def _is_digest(text: str) -> bool:
    text = text.removeprefix("sha256:")
    return len(text) >= 12 and all(character in "0123456789abcdef" for character in text)
