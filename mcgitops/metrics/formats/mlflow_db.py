"""MLflow's database: SQLite with the tables of its tracking store.

Read of it: runs that aren't deleted, the latest value and the history of each metric, params. An
infinity is stored as the largest float, and NaN as a flag beside a 0
(mlflow/store/tracking/sqlalchemy_store.py). SQLite has no checksums: its own check of a file's
structure is asked, and each latest value must be in the metric's history.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching, on_disk
from mcgitops.metrics.formats import sqlite_log
from mcgitops.metrics.formats.runs import MAX_RUNS, History, Keeper, Run, findings
from mcgitops.metrics.values import (
    MAX_TEXT,
    Findings,
    Scalar,
    UnreadableError,
    Warnings,
    scalar,
    text,
)

PATTERNS = ("*.db", "*.sqlite", "*.sqlite3")
MAGIC = b"SQLite format 3\0"
TABLES = ("runs", "latest_metrics", "metrics", "params")
BESIDE = ("-wal", "-journal")
"""What SQLite needs beside a database that a killed process left."""
LARGEST = 1.7976931348623157e308
LONGEST = 1 << 20
"""Bytes of one value or row; MLflow's own limits are far below."""
CHECKED = 256 << 20
"""Larger files aren't checked as a whole: that reads every page."""
_FINISHED = ("FINISHED", "RUNNING")


def claims(files: Files) -> Iterable[Claim]:
    """Databases that name MLflow's table, and whatever is called `mlflow*.db`."""
    candidates = matching(files, *PATTERNS) or [
        path for path in files.sizes if head(files, path, len(MAGIC)) == MAGIC
    ]
    for path in candidates:
        if PurePosixPath(path).name.startswith("mlflow") or _names_the_table(files, path):
            beside = (f"{path}{ending}" for ending in (*BESIDE, "-shm"))
            yield Claim(path, (path, *(other for other in beside if other in files.sizes)))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Every run: metrics, params, histories."""
    path = claim.paths[0]
    with files.open(path) as stream:
        first = stream.read(len(MAGIC))
    if first != MAGIC:
        raise UnreadableError("is not a SQLite database." if first else "is empty.")
    needed = [other for other in claim.paths if not other.endswith("-shm")]
    with on_disk(files, *needed) as folder:
        database = folder / PurePosixPath(path).name
        _whole(database, warnings)
        log = database.with_name(f"{database.name}-wal")
        if log.exists() and (said := sqlite_log.fault(log)):
            warnings.add(f"the log beside it, {log.name}, {said}; what is before that counts.")
        with contextlib.closing(_opened(database)) as connection:
            keeper = Keeper()
            runs = _runs(connection, keeper, warnings)
            if files.sizes[path] <= CHECKED:
                _check(connection, warnings)
    if not runs and not warnings.all():
        warnings.add("holds no runs.")
    return findings(claim.source, runs, keeper, "step", warnings)


def _names_the_table(files: Files, path: str) -> bool:
    name, tail = b"latest_metrics", b""
    try:
        with files.open(path) as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                return False
            while chunk := stream.read(1 << 20):
                if name in tail + chunk:
                    return True
                tail = chunk[-len(name) :]
    except OSError:
        pass
    return False


def _whole(database: Path, warnings: Warnings) -> None:
    """Say where the file is shorter than its header says (https://sqlite.org/fileformat2.html)."""
    with database.open("rb") as stream:
        header = stream.read(100)
    if len(header) < 100:
        raise UnreadableError("is cut off: not even its header is whole.")
    page, changes, pages, valid_for = (
        int.from_bytes(header[a:b]) for a, b in ((16, 18), (24, 28), (28, 32), (92, 96))
    )
    expected = (65_536 if page == 1 else page) * pages
    if changes == valid_for and database.stat().st_size < expected:
        warnings.add("is cut off; what is readable counts.")


def _opened(database: Path) -> sqlite3.Connection:
    # a copy of ours, so a log or a journal beside it may be applied
    connection = sqlite3.connect(database, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute("PRAGMA trusted_schema=OFF")  # views and triggers of a file run nothing
    connection.execute("PRAGMA cell_size_check=ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    return connection


def _runs(connection: sqlite3.Connection, keeper: Keeper, warnings: Warnings) -> list[Run]:
    """As many as are readable."""
    try:
        _require_tables(connection)
        rows = connection.execute(
            "SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active' "
            "ORDER BY start_time, run_uuid LIMIT ?",
            (MAX_RUNS + 1,),
        ).fetchall()
    except sqlite3.Error as error:
        raise UnreadableError(f"has no runs that can be read: {_said(error)}.") from None
    found = []
    for identity, name, status in rows:
        run = Run(text(str(name or ""), 100))
        found.append(run)
        if status not in _FINISHED:
            warnings.add(f"the run {run.name or identity} ended as {text(str(status), 40)}.")
        shown = run.name or str(identity)
        with _as_far_as_readable("metrics", shown, warnings):
            _latest(connection, identity, run, warnings)
        with _as_far_as_readable("params", shown, warnings):
            _params(connection, identity, run, warnings)
        with _as_far_as_readable("histories", shown, warnings):
            _histories(connection, identity, run, keeper)
    return found


@contextlib.contextmanager
def _as_far_as_readable(what: str, run: str, warnings: Warnings) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        warnings.add(f"not all {what} of the run {run} are readable: {_said(error)}.")


def _require_tables(connection: sqlite3.Connection) -> None:
    """Raise where one is missing, or is something else: a view could take any time to read."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'"
    )
    missing = set(TABLES) - {name for (name,) in rows}
    if missing:
        raise UnreadableError(f"is not of MLflow: it has no table {min(missing)}.")


def _latest(connection: sqlite3.Connection, run: str, into: Run, warnings: Warnings) -> None:
    rows = connection.execute(
        "SELECT key, value, is_nan, EXISTS (SELECT 1 FROM metrics WHERE metrics.key = l.key "
        "AND metrics.run_uuid = l.run_uuid AND metrics.timestamp = l.timestamp "
        "AND metrics.step = l.step AND metrics.value = l.value AND metrics.is_nan = l.is_nan) "
        "FROM latest_metrics AS l WHERE run_uuid = ? ORDER BY key",
        (run,),
    )
    for key, value, is_nan, in_history in rows:
        name = str(key)
        known = _number(value, is_nan)
        if known is None:
            warnings.add(f"the value of {text(name, 80)} is not a number.")
            continue
        if not in_history:
            warnings.add(
                f"the latest value of {text(name, 80)} is not in its history; "
                "the file may be damaged."
            )
        into.metrics[name] = known


def _params(connection: sqlite3.Connection, run: str, into: Run, warnings: Warnings) -> None:
    rows = connection.execute(
        "SELECT key, value FROM params WHERE run_uuid = ? ORDER BY key", (run,)
    )
    for key, value in rows:
        into.params[str(key)] = parameter(value, str(key), warnings)


def _histories(connection: sqlite3.Connection, run: str, into: Run, keeper: Keeper) -> None:
    rows: Iterator[tuple[Any, ...]] = connection.execute(
        "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ? "
        "ORDER BY key, step, timestamp",
        (run,),
    )
    for key, step, value, is_nan in rows:
        number = _number(value, is_nan)
        if number is None or not isinstance(step, int):
            continue
        history = into.histories.get(str(key))
        if history is None:
            history = into.histories[str(key)] = History(keeper)
        history.add(float(step), number)


def _number(value: object, is_nan: object) -> float | None:
    if is_nan not in (0, 1) or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if is_nan:
        return math.nan
    if abs(value) >= LARGEST:
        return math.copysign(math.inf, value)
    return float(value)


def parameter(value: object, name: str, warnings: Warnings) -> Scalar:
    """A parameter, which MLflow keeps as text: a number where that is how Python writes it back."""
    if not isinstance(value, str):
        return scalar(value, name, warnings)
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            number: int | float = kind(value)
            if str(number) == value:
                return number
    if value in ("True", "False"):
        return value == "True"
    return None if value == "None" else text(value, MAX_TEXT)


def _check(connection: sqlite3.Connection, warnings: Warnings) -> None:
    try:
        (said, *_) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        said = _said(error)
    if said != "ok":
        warnings.add(f"is damaged, and what was readable counts: {_said(said)}.")


def _said(error: object) -> str:
    return text(" ".join(str(error).split()).rstrip("."), 200)
