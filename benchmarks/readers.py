"""Reading what scripts left: 1,000,000 TensorBoard scalars against tbparse; 100 MB of CSV history.

The scalars are written by tensorboardX. Each side reads all of them in a process of its own, and
says what it found: both must have read the same.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.support import programs, projects
from benchmarks.support.measure import Sample, clean_environment, in_turn, measured
from benchmarks.support.table import Row, verdict
from tests.lab import writers

REPEATS = 3
RATIO = 0.5
SCALARS = 1_000_000
TAGS = 10
CSV_BYTES = 100_000_000
MOST_MEMORY = 150 << 20

OURS = """\
import json, sys
from pathlib import Path
from mcgitops.metrics import detect
from mcgitops.metrics.files import Folder
found = detect.find(Folder.of(Path(sys.argv[1])))
assert not found.warnings, found.warnings
(values,) = found.metrics.values()
print(json.dumps({"values": values, "curves": len(found.plots)}))
"""
PEER = """\
import json, sys
from tbparse import SummaryReader
scalars = SummaryReader(sys.argv[1]).scalars
last = scalars.groupby("tag")["value"].last()
print(json.dumps({"values": last.to_dict(), "count": len(scalars)}))
"""


def main() -> int:
    """Both; 1 where a bound is missed."""
    ours, peer = programs.python(), writers.python()
    events = writers.written("million_scalars")
    with projects.workplace() as folder:
        agree(said(ours, OURS, events), said(peer, PEER, events))
        scalars, peer_scalars = in_turn(
            REPEATS, lambda: read(ours, OURS, events), lambda: read(peer, PEER, events), warm_up=0
        )
        history = folder / "csv" / "history.csv"
        rows = write_history(history)
        found = said(ours, OURS, history.parent)
        if found["values"]["step"] != rows - 1:
            raise SystemExit(f"{rows} rows were written, and {found['values']['step']} read.")
        csv = in_turn(3, lambda: read(ours, OURS, history.parent), warm_up=0)[0]
    table = [
        Row(
            f"{SCALARS:,} TensorBoard scalars, {TAGS} tags",
            scalars,
            peer_scalars,
            "ratio",
            RATIO,
            MOST_MEMORY,
        ),
        Row(f"CSV history, {CSV_BYTES // 10**6} MB, {rows:,} rows", csv, most_bytes=MOST_MEMORY),
    ]
    return verdict("Readers", table, "tbparse")


def read(python: Path, program: str, folder: Path) -> Sample:
    """One process that reads the folder."""
    return measured([python, "-c", program, folder], folder, clean_environment())


def said(python: Path, program: str, folder: Path) -> dict[str, Any]:
    """What it found."""
    done = subprocess.run(
        [python, "-c", program, folder],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def agree(ours: dict[str, Any], peer: dict[str, Any]) -> None:
    """Stop where the sides didn't read the same."""
    if peer["count"] != SCALARS or ours["curves"] != TAGS:
        raise SystemExit(f"Not all was read: {peer['count']} scalars, {ours['curves']} curves.")
    for tag, value in peer["values"].items():
        if abs(ours["values"][tag] - value) > 1e-6 * abs(value):
            raise SystemExit(f"{tag}: {ours['values'][tag]} and {value}.")


def write_history(path: Path) -> int:
    """A history of 12 columns, about as long as is said above; gives the number of rows."""
    path.parent.mkdir()
    draw = random.Random(4)
    rows = size = 0
    with path.open("w") as out:
        size += out.write("step," + ",".join(f"metric_{index}" for index in range(11)) + "\n")
        while size < CSV_BYTES:
            cells = ",".join(f"{draw.random():.6g}" for _ in range(11))
            size += out.write(f"{rows},{cells}\n")
            rows += 1
    return rows


if __name__ == "__main__":
    sys.exit(main())
