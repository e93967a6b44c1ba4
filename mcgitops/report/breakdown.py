"""The parts of a metric: classes, slices, confusion matrices, as tables of text for any view.

Each has a summary that tells the most important of it: `1 lost 0.06 recall`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mcgitops.compare import numbers
from mcgitops.compare.direction import direction
from mcgitops.compare.model import ClassChange, Interval, MatrixPair, SliceChange
from mcgitops.deferred import dataclass
from mcgitops.metrics.values import Matrix
from mcgitops.report.spark import shade
from mcgitops.report.text import Name, Sentence, Text

MOST_LABELS = 10
"""A larger confusion matrix is shown by its most frequent confusions."""
MOST_METRICS = 5
MOST_CONFUSIONS = 10
WORSE, BETTER, NEITHER = "worse", "better", ""


@dataclass(frozen=True)
class Row:
    """Cells below the table's headers. `way`: whether it became `worse` or `better`, or ""."""

    cells: tuple[Text, ...]
    way: str = NEITHER


@dataclass(frozen=True)
class Table:
    """What a view needs to show a table; `title` says of what it is. All rows, worst first."""

    title: Text
    headers: tuple[Text, ...]
    rows: tuple[Row, ...]
    note: str = ""
    left: int = 1  # that many columns are names


def class_tables(changes: Sequence[ClassChange]) -> list[Table]:
    """A table for each report: the head's values, and how they changed."""
    groups: dict[tuple[str, str, str], list[ClassChange]] = {}
    for change in changes:
        groups.setdefault((change.stage, change.variant, change.source), []).append(change)
    return [_class_table(key, group) for key, group in groups.items()]


def class_summary(changes: Sequence[ClassChange]) -> Text:
    """The class that lost most; if none did, the one that gained most, or is lowest."""
    steps = [
        (step, change, metric, amount)
        for change in changes
        for metric, (old, new) in change.values.items()
        if (step := _step(metric, old, new)) is not None and (amount := _apart(old, new))
    ]
    losses = [item for item in steps if item[0] < 0]
    if chosen := min(losses, key=_first, default=None) or max(steps, key=_first, default=None):
        _, change, metric, amount = chosen
        verb = "lost" if amount < 0 else "gained"
        text = numbers.plain(abs(amount), 2)
        return (Name(change.name), f" {verb} {text} ", Name(metric))
    if any(old is not None for c in changes for old, _ in c.values.values()):
        return ("nothing changed",)
    lowest = [
        (new, change, metric)
        for change in changes
        for metric, (_, new) in change.values.items()
        if new is not None and math.isfinite(new) and direction(metric) == "higher"
    ]
    if not lowest:
        return (f"{len(changes):,} classes",)
    value, change, metric = min(lowest, key=_first)
    return (Name(change.name), " has the lowest ", Name(metric), f", {numbers.plain(value, 2)}")


def slice_tables(changes: Sequence[SliceChange]) -> list[Table]:
    """A table for each file of predictions: what differs first, then in the given order."""
    groups: dict[tuple[str, str, str], list[SliceChange]] = {}
    for change in sorted(changes, key=_slice_rank):
        groups.setdefault((change.stage, change.variant, change.source), []).append(change)
    headers = (("slice",), ("metric",), ("n",), ("base",), ("head",), ("change",), ("evidence",))
    return [
        Table(_title(*key), headers, tuple(_slice_row(change) for change in group), left=2)
        for key, group in groups.items()
    ]


def slice_summary(changes: Sequence[SliceChange]) -> Text:
    """The slice that became worse, or better; or that none can be told apart from noise."""
    for verdict in (WORSE, BETTER):
        told = [change for change in sorted(changes, key=_slice_rank) if change.verdict == verdict]
        if told:
            more = f" and {len(told) - 1} more" if len(told) > 1 else ""
            first = told[0]
            return (*_slice(first), f" is {verdict} in ", Name(first.metric), more)
    count = len({(change.column, change.value) for change in changes})
    if all(change.base is None for change in changes):
        return (f"{count:,} of them",)
    return (f"none of {count:,} differs beyond noise",)


def matrix_tables(pairs: Sequence[MatrixPair]) -> list[Table]:
    """Each confusion matrix: counts with shades, or of many classes the confusions."""
    return [
        _grid(pair) if len(pair.head.labels) <= MOST_LABELS else _confusions(pair)
        for pair in pairs
        if is_square(pair.head)
    ]


def matrix_summary(pairs: Sequence[MatrixPair]) -> Text:
    """The confusion that became more frequent, or is most frequent."""
    found = [item for pair in pairs if is_square(pair.head) for item in _pairs_of(pair)]
    grown = [item for item in found if item.base is not None and item.step]
    if grown:
        item = max(grown, key=lambda item: (item.step, item.head))
        often = "more often" if item.step > 0 else "less often"
        change = f" {often} ({_count(item.base)} → {_count(item.head)})"
        return (Name(item.true), " is taken for ", Name(item.taken), change)
    if any(item.base is not None for item in found):
        return ("nothing changed",)
    worst = max(found, key=lambda item: item.head, default=None)
    if worst is None or not worst.head > 0:
        return ("no class is taken for another",)
    often = f" most often ({_count(worst.head)})"
    return (Name(worst.true), " is taken for ", Name(worst.taken), often)


def is_square(matrix: Matrix) -> bool:
    """Whether it has a row and a column for each label: one out of a foreign file may not."""
    size = len(matrix.labels)
    return len(matrix.counts) == size and all(len(row) == size for row in matrix.counts)


def interval(value: float | None, bounds: Interval | None) -> str:
    """`0.94 [0.91, 0.96]`, with the decimals that the interval's width asks for."""
    if value is None:
        return "–"
    if bounds is None or not math.isfinite(bounds.high - bounds.low):
        return numbers.plain(value)
    low, high, _ = numbers.row(bounds.low, bounds.high, bounds.high - bounds.low)
    decimals = len(low.partition(".")[2])
    shown = numbers.fixed(value, decimals) if "e" not in low else numbers.plain(value)
    return f"{shown} [{low}, {high}]"


def change(old: float | None, new: float | None) -> str:
    """`0.85 (−0.06)`; `new`, `gone`."""
    if new is None:
        return "–" if old is None else f"– (was {numbers.plain(old)})"
    if old is None or old == new or not math.isfinite(new - old):
        return numbers.plain(new)
    _, after, difference = numbers.row(old, new, new - old)
    return f"{after} ({difference})"


def _class_table(key: tuple[str, str, str], group: Sequence[ClassChange]) -> Table:
    metrics = list(dict.fromkeys(name for item in group for name in item.values))[:MOST_METRICS]
    has_support = any(item.head_support is not None for item in group)
    headers: list[Text] = [("class",), *((Name(name),) for name in metrics)]
    if has_support:
        headers.append(("n",))
    rows = []
    for item in group:
        cells: list[Text] = [(Name(item.name),)]
        cells += [(change(*item.values.get(name, (None, None))),) for name in metrics]
        if has_support:
            cells.append((_support(item),))
        rows.append(Row(tuple(cells), _way(item)))
    return Table(
        _title(*key),
        tuple(headers),
        tuple(rows),
        "Of one run on each side: small steps may be noise."
        if any(row.way for row in rows)
        else "",
    )


def _support(item: ClassChange) -> str:
    if item.base_support in (None, item.head_support) or item.head_support is None:
        return numbers.plain(item.head_support) or "–"
    return f"{numbers.plain(item.base_support)} → {numbers.plain(item.head_support)}"


def _way(item: ClassChange) -> str:
    steps = [
        step
        for metric, (old, new) in item.values.items()
        if (step := _step(metric, old, new)) is not None
    ]
    worst, best = min(steps, default=0.0), max(steps, default=0.0)
    if worst < 0:
        return WORSE if -worst >= best else NEITHER
    return BETTER if best > 0 else NEITHER


def _step(metric: str, old: float | None, new: float | None) -> float | None:
    """How far it went the right way; None where there is no right way, or nothing to compare."""
    way = direction(metric)
    if old is None or new is None or not way or not math.isfinite(new - old):
        return None
    return new - old if way == "higher" else old - new


def _apart(old: float | None, new: float | None) -> float:
    return new - old if old is not None and new is not None else 0.0


def _first(item: tuple[float, object, object] | tuple[float, object, object, float]) -> float:
    return item[0]


def _slice_rank(item: SliceChange) -> tuple[int, float]:
    order = {"worse": 0, "missing": 1, "better": 2}.get(item.verdict, 3)
    return order, item.p_adjusted if item.p_adjusted is not None and order < 3 else 0.0


def _slice(item: SliceChange) -> Text:
    return (Name(f"{item.column}={item.value}"),)


def _slice_row(item: SliceChange) -> Row:
    difference = ""
    if item.base is not None and item.head is not None and item.base != item.head:
        _, _, difference = numbers.row(item.base, item.head, item.head - item.base)
    told = item.verdict in (WORSE, BETTER) and not item.evidence.startswith(item.verdict)
    evidence = ", ".join(t for t in (item.verdict if told else "", item.evidence) if t)
    return Row(
        (
            _slice(item),
            (Name(item.metric),),
            (f"{item.n:,}",),
            (interval(item.base, item.base_interval),),
            (interval(item.head, item.head_interval),),
            (difference,),
            (Sentence(evidence),),
        ),
        item.verdict if item.verdict in (WORSE, BETTER) else NEITHER,
    )


@dataclass(frozen=True)
class _Confusion:
    true: str
    taken: str
    base: float | None
    head: float

    @property
    def step(self) -> float:
        """How much more frequent it became."""
        return self.head - self.base if self.base is not None else 0.0


def _pairs_of(pair: MatrixPair) -> list[_Confusion]:
    """All pairs of different classes with finite counts."""
    labels = pair.head.labels
    base = pair.base if pair.base is not None and is_square(pair.base) else None
    if base is not None and base.labels != labels:
        base = None
    found = []
    for i, true in enumerate(labels):
        for j, taken in enumerate(labels):
            head = pair.head.counts[i][j]
            old = base.counts[i][j] if base else None
            if i != j and math.isfinite(head) and (old is None or math.isfinite(old)):
                found.append(_Confusion(true, taken, old, head))
    return found


def _grid(pair: MatrixPair) -> Table:
    labels = pair.head.labels
    base = pair.base if pair.base and is_square(pair.base) and pair.base.labels == labels else None
    rows = []
    for i, label in enumerate(labels):
        counts = pair.head.counts[i]
        total = sum(abs(c) for c in counts if math.isfinite(c))
        cells: list[Text] = [(Name(label),)]
        for j, count in enumerate(counts):
            old = base.counts[i][j] if base else None
            shaded = shade(count / total) if total and math.isfinite(count) else " "
            step = "" if old is None or old == count or not math.isfinite(count - old) else (
                f" ({numbers.signed(_count(count - old), count - old)})"
            )  # fmt: skip
            cells.append((f"{shaded} {_count(count)}{step}".strip(),))
        rows.append(Row(tuple(cells)))
    headers: tuple[Text, ...] = (("true ╲ taken for",), *((Name(label),) for label in labels))
    note = "The darker, the larger its share of the class" + (
        "; the change against the base in brackets." if base else "."
    )
    return Table(_title(pair.stage, pair.variant, pair.head.source), headers, tuple(rows), note)


def _confusions(pair: MatrixPair) -> Table:
    found = _pairs_of(pair)
    found.sort(key=lambda item: (-abs(item.step), -item.head))
    has_base = any(item.base is not None for item in found)
    rows = []
    for item in found[:MOST_CONFUSIONS]:
        sides = [_count(item.base), _count(item.head)] if has_base else [_count(item.head)]
        cells = ((Name(item.true),), (Name(item.taken),), *((side,) for side in sides))
        rows.append(Row(cells, WORSE if item.step > 0 else BETTER if item.step < 0 else NEITHER))
    sides = ["base", "head"] if has_base else ["times"]
    kind = "that changed most" if has_base else "that are most frequent"
    return Table(
        _title(pair.stage, pair.variant, pair.head.source),
        (("class",), ("taken for",), *((side,) for side in sides)),
        tuple(rows),
        f"The confusions {kind}, of {len(pair.head.labels):,} classes.",
        left=2,
    )


def _count(value: float | None) -> str:
    return numbers.plain(value, 3)


def _title(stage: str, variant: str, source: str) -> Text:
    parts: list[str] = [Name(stage)]
    for more in (variant, source):
        if more:
            parts += [" · ", Name(more)]
    return tuple(parts)
