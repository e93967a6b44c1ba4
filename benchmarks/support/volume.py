"""A table of what travelled and how long it took, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tabulate import tabulate


@dataclass(frozen=True)
class Trip:
    """One transfer: bytes that came in at the host's network interface, and wall time."""

    bytes: int
    seconds: float


@dataclass(frozen=True)
class Bound:
    """What a row is held against: a name for people, what was measured, the most it may be."""

    name: str
    value: float
    most: float
    unit: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is."""
        return self.value <= self.most

    def __str__(self) -> str:
        verdict = "kept" if self.kept else "MISSED"
        return f"{self.name} {self.value:.2f}{self.unit} ≤ {self.most:.2f}{self.unit} {verdict}"


@dataclass(frozen=True)
class Row:
    """One case: our trips, and the other way's."""

    name: str
    ours: Sequence[Trip]
    peer: Sequence[Trip] = ()
    bounds: tuple[Bound, ...] = ()

    def cells(self) -> list[str]:
        """As shown: name, bytes and seconds of each side, bounds."""
        return [
            self.name,
            megabytes(self.ours),
            seconds(self.ours),
            megabytes(self.peer),
            seconds(self.peer),
            "\n".join(str(bound) for bound in self.bounds),
        ]


def verdict(title: str, rows: Sequence[Row], peer: str) -> int:
    """Print the table; gives 1 where a bound is missed."""
    heads = ["", "ours", "", peer, "", "bound"]
    print(f"\n{title}")
    print(tabulate([row.cells() for row in rows], heads, disable_numparse=True))
    missed = [row.name for row in rows if not all(bound.kept for bound in row.bounds)]
    if missed:
        print(f"Missed: {'; '.join(missed)}.")
    return 1 if missed else 0


def middle(trips: Sequence[Trip]) -> Trip:
    """The median of bytes, and of seconds."""
    return Trip(round(median(trip.bytes for trip in trips)), median(trip.seconds for trip in trips))


def megabytes(trips: Sequence[Trip]) -> str:
    """The median, in decimal megabytes."""
    return f"{middle(trips).bytes / 1e6:.2f} MB" if trips else "–"


def seconds(trips: Sequence[Trip]) -> str:
    """The median, and the range."""
    if not trips:
        return "–"
    times = [trip.seconds for trip in trips]
    return f"{median(times):.2f} s ({min(times):.2f}–{max(times):.2f})"
