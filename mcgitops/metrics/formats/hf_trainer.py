"""`trainer_state.json` of Hugging Face transformers' Trainer: its `log_history`.

Of a training's folder and its checkpoints the state of the folder counts; of checkpoints alone the
last one's. Format: `transformers.TrainerState`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, matching
from mcgitops.metrics.formats.parsed import loaded, over
from mcgitops.metrics.formats.series import Row, number
from mcgitops.metrics.values import Findings, UnreadableError, Warnings, flatten

_CHECKPOINT = re.compile(r"checkpoint-(\d{1,15})")
_KEPT = ("best_metric", "best_global_step", "epoch", "global_step", "total_flos")


def claims(files: Files) -> Iterator[Claim]:
    """One for a training: its state, and the older ones in its checkpoints.

    Without its own state it is named after all of its checkpoints, since the last one's number may
    be another in the next run, which is to be compared with this one.
    """
    trainings: dict[PurePosixPath, list[str]] = {}
    for path in matching(files, "trainer_state.json"):
        folder = PurePosixPath(path).parent
        home = folder.parent if _CHECKPOINT.fullmatch(folder.name) else folder
        trainings.setdefault(home, []).append(path)
    for home, paths in trainings.items():
        own = str(home / "trainer_state.json")
        source = own if own in paths else str(home / "checkpoint-*" / "trainer_state.json")
        yield Claim(source, tuple(paths))


def _age(path: str) -> float:
    """How late in its training a state was written."""
    checkpoint = _CHECKPOINT.fullmatch(PurePosixPath(path).parent.name)
    return float(checkpoint[1]) if checkpoint else float("inf")


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """The last value of each logged name, the best metric, and charts over steps."""
    data = loaded(files, max(claim.paths, key=_age), warnings)
    history = data.get("log_history") if isinstance(data, Mapping) else None
    if not isinstance(history, list):
        raise UnreadableError("has no log_history: it isn't what transformers' Trainer writes.")
    rows = [row for row in history if isinstance(row, Mapping)]
    if len(rows) < len(history):
        warnings.add("has entries in log_history that aren't rows; they are left out.")
    last: dict[str, Any] = {}
    for row in rows:
        last.update((key, value) for key, value in row.items() if key != "step")
    last.update((key, data[key]) for key in _KEPT if data.get(key) is not None)
    values = flatten(last, warnings)
    if not rows:
        warnings.add("has an empty log_history: nothing was logged.")
    times = Counter(str(key) for row in rows for key in row)
    columns = [key for key, count in times.items() if count > 1 and key not in ("epoch", "step")]
    try:
        plots = (over(claim.source, "step", columns, _by_step(rows), warnings),) if columns else ()
    except UnreadableError:
        plots = ()  # values at the end only
    return Findings(metrics={claim.source: values}, plots=plots)


def _by_step(rows: list[Mapping[str, Any]]) -> Iterator[Row]:
    """Training and evaluation log a row each at the same step."""
    merged: dict[float, dict[str, float | None]] = {}
    for row in rows:
        step = number(row.get("step"))
        if step is not None:
            merged.setdefault(step, {}).update({str(k): number(v) for k, v in row.items()})
    yield from merged.values()
