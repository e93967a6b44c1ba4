"""The table that a benchmark ends in, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tabulate import tabulate

from benchmarks.support.measure import Series

Kind = Literal["ratio", "difference", "seconds", "reported"]


@dataclass(frozen=True)
class Row:
    """One comparison. `bound` is of the ratio, of the difference in seconds, or of ours alone."""

    name: str
    ours: Series
    peer: Series | None = None
    kind: Kind = "reported"
    bound: float | None = None
    most_bytes: int | None = None
    """The bound of our memory."""

    @property
    def value(self) -> float:
        """What is held against the bound; always of medians."""
        if self.kind == "seconds" or self.peer is None:
            return self.ours.median
        if self.kind == "difference":
            return self.ours.median - self.peer.median
        return self.ours.median / self.peer.median

    @property
    def passed(self) -> bool:
        """Whether the bounds are kept; a row without one can't miss it."""
        if self.most_bytes is not None and self.ours.peak_bytes > self.most_bytes:
            return False
        return self.bound is None or self.value <= self.bound

    def cells(self) -> list[str]:
        """As shown: name, ours, peer, value, bound, memory, verdict."""
        unit = "" if self._is_ratio else " s"
        sign = "+" if self.kind == "difference" else ""
        value = f"{self.value:{sign}.2f}{unit}"
        return [
            self.name,
            _seconds(self.ours),
            _seconds(self.peer) if self.peer is not None else "–",
            value if self.peer is not None or self.kind == "seconds" else "–",
            f"≤ {self.bound:.2f}{unit}" if self.bound is not None else "–",
            _memory(self.ours, self.peer)
            + (f" ≤ {self.most_bytes / 2**20:.0f} MiB" if self.most_bytes else ""),
            "" if self.bound is None else "kept" if self.passed else "MISSED",
        ]

    @property
    def _is_ratio(self) -> bool:
        return self.kind in ("ratio", "reported") and self.peer is not None


def verdict(title: str, rows: Sequence[Row], peer: str = "peer") -> int:
    """Print the table; gives 1 where a bound is missed."""
    heads = ["", "ours", peer, "value", "bound", f"memory, ours / {peer}", ""]
    print(f"\n{title}")
    print(tabulate([row.cells() for row in rows], heads, disable_numparse=True))
    missed = [row.name for row in rows if not row.passed]
    if missed:
        print(f"Missed: {'; '.join(missed)}.")
    return 1 if missed else 0


def _seconds(series: Series) -> str:
    return f"{series.median:.3f} s ± {series.spread / 2:.3f}"


def _memory(*sides: Series | None) -> str:
    known = [side.peak_bytes for side in sides if side is not None]
    return " / ".join(f"{peak / 2**20:.0f} MiB" if peak else "–" for peak in known)
