"""In which order tests run where several processes share them, so that all end at the same time.

pytest-xdist gives each process an equal part of the list, in one piece; one that has nothing left
takes the last half of what another has. So each part begins with what takes long, and ends with
what takes no time and can be handed over. Tests of one file stay together: they share what their
file sets up.
"""

from __future__ import annotations

from collections.abc import Sequence

SECONDS = (
    ("tests/integration/deploy/", 15.0),
    ("tests/integration/train/", 8.0),
    ("tests/integration/forge/", 1.0),
    ("tests/integration/", 2.0),
    ("tests/browser/", 2.0),
    ("", 0.05),
)
"""What a test takes, roughly, by where it lies; the first that fits counts."""
LONG = 1.0


def spread(files: Sequence[str], processes: int) -> list[int]:
    """The order of tests, as places in `files`: for each test the file that it is in."""
    tests: dict[str, list[int]] = {}
    for place, file in enumerate(files):
        tests.setdefault(file, []).append(place)

    def seconds(file: str) -> float:
        return next(each for where, each in SECONDS if file.startswith(where))

    long = [file for file in tests if seconds(file) >= LONG]
    short = [place for file in tests if file not in long for place in tests[file]]
    parts: list[list[int]] = [[] for _ in range(processes)]
    taken = [0.0] * processes
    for file in sorted(long, key=lambda file: (-seconds(file), -len(tests[file]), file)):
        freest = taken.index(min(taken))
        parts[freest] += tests[file]
        taken[freest] += seconds(file) * len(tests[file])
    order: list[int] = []
    for number, part in enumerate(parts, 1):
        room = max(0, number * len(files) // processes - len(order) - len(part))
        order += [*part, *short[:room]]
        del short[:room]
    return order + short
