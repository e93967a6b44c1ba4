"""MLflow's file store: `ROOT/EXPERIMENT/RUN/` with `meta.yaml`, `metrics/`, `params/`.

A metric is a file of lines `MILLISECONDS VALUE STEP`, its name is its path and may hold `/`; a
param is a file with its text (mlflow/store/tracking/file_store.py). Text has no checksums: what is
recognised is a line that isn't three numbers, and a last line without its end.
"""

from __future__ import annotations

import io
import math
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import BinaryIO, cast

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head
from mcgitops.metrics.formats.mlflow_db import parameter
from mcgitops.metrics.formats.runs import History, Keeper, Run, findings
from mcgitops.metrics.values import Findings, UnreadableError, Warnings, text

META = "meta.yaml"
STATES = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_RUN = re.compile(rb"^run_(id|uuid):", re.MULTILINE)
_MODEL = re.compile(rb"^model_id:", re.MULTILINE)
_LONGEST = 500
"""Bytes of a line, or of a param, that are looked at."""


def claims(files: Files) -> Iterable[Claim]:
    """Folders of experiments: all that is below the folder that holds them."""
    roots = dict.fromkeys(posixpath.dirname(posixpath.dirname(run)) for run in _runs(files))
    for root in sorted(roots):
        below = tuple(path for path in files.sizes if not root or path.startswith(f"{root}/"))
        yield Claim(root or "mlruns", below)


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Every run: metrics, params, histories."""
    contents = _contents(files, _runs(files))
    found: list[tuple[float, str, Run]] = []
    keeper = Keeper()
    for folder, paths in contents.items():
        below = "/".join(folder.split("/")[-2:])
        try:
            meta = _meta(files, f"{folder}/{META}")
        except (UnreadableError, OSError) as error:
            warnings.add(f"{below}/{META} {error}")
            meta = {}
        if meta.get("lifecycle_stage", "active") != "active" or "/.trash/" in f"/{folder}/":
            continue
        name = text(str(meta.get("run_name") or ""), 100)
        state = STATES.get(str(meta.get("status")), str(meta.get("status", "RUNNING")))
        if state not in ("FINISHED", "RUNNING"):
            warnings.add(f"the run {name or below} ended as {text(state, 40)}.")
        start = meta.get("start_time")
        run = Run(name)
        _fill(run, keeper, files, folder, paths, warnings)
        found.append((start if isinstance(start, int) else math.inf, folder, run))
    if not found and not warnings.all():
        warnings.add("holds no runs.")
    found.sort(key=lambda entry: entry[:2])
    return findings(claim.source, [run for _, _, run in found], keeper, "step", warnings)


def _runs(files: Files) -> list[str]:
    """The folders of runs. One whose `meta.yaml` is damaged is known by what else it holds."""
    filled = {
        path.split(f"/{kind}/")[0]
        for path in files.sizes
        for kind in ("metrics", "params", "tags")
        if f"/{kind}/" in path
    }
    found = []
    for path in files.sizes:
        folder, name = posixpath.split(path)
        if name != META or not posixpath.dirname(folder):
            continue
        first = head(files, path)
        if not _MODEL.search(first) and (_RUN.search(first) or folder in filled):
            found.append(folder)
    return found


def _contents(files: Files, runs: Iterable[str]) -> dict[str, list[str]]:
    """Run's folder → the files in it."""
    contents: dict[str, list[str]] = {run: [] for run in runs}
    for path in files.sizes:
        folder = posixpath.dirname(path)
        while folder and folder not in contents:
            folder = posixpath.dirname(folder)
        if folder:
            contents[folder].append(path)
    return contents


def _meta(files: Files, path: str) -> Mapping[str, object]:
    from mcgitops.metrics.formats import yaml_file

    with files.open(path) as stream:
        data = yaml_file.load(stream, Warnings())
    if not isinstance(data, Mapping):
        raise UnreadableError("is not a mapping.")
    return data


def _fill(
    run: Run,
    keeper: Keeper,
    files: Files,
    folder: str,
    paths: Iterable[str],
    warnings: Warnings,
) -> None:
    for path in paths:
        kind, _, key = path[len(folder) + 1 :].partition("/")
        if not key or kind not in ("metrics", "params"):
            continue
        try:
            with files.open(path) as stream:
                if kind == "params":
                    value = stream.read(_LONGEST + 1).decode("utf-8", "replace")
                    run.params[key] = parameter(value, key, warnings)
                else:
                    _metric(run, key, History(keeper), stream, warnings)
        except OSError as error:
            warnings.add(f"{kind}/{key} can't be read: {error.strerror or error}.")


def _metric(run: Run, key: str, history: History, stream: BinaryIO, warnings: Warnings) -> None:
    latest: tuple[int, int, float] | None = None
    wrong = 0
    shown = text(key, 80)
    lines = io.BufferedReader(cast("io.RawIOBase", stream))
    while line := lines.readline(_LONGEST):
        if not line.endswith(b"\n"):
            if len(line) < _LONGEST:
                warnings.add(f"the metric {shown} is cut off; its last whole line counts.")
                break
            wrong += 1
            continue
        point = _point(line)
        if point is None:
            wrong += 1
            continue
        time, value, step = point
        history.add(float(step), value)
        if latest is None or (step, time) >= latest[:2]:
            latest = (step, time, value)
    if wrong:
        warnings.add(f"the metric {shown} has {wrong} lines that can't be understood.")
    if latest is None:
        if not wrong:
            warnings.add(f"the metric {shown} has no value.")
        return
    run.metrics[key] = latest[2]
    run.histories[key] = history


def _point(line: bytes) -> tuple[int, float, int] | None:
    """Milliseconds, value, step; old versions wrote no step."""
    words = line.split()
    if len(words) < 2 or b"_" in line:  # Python would read 1_000; MLflow writes no such number
        return None
    try:
        return int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0
    except ValueError:
        return None
