"""Names and conditions over runs: `--where 'accuracy>0.9'`, columns, and what lists are sorted by.

A name is one of a run's own fields (`state`, `took`, …), a variable of its matrix or replicates, a
metric or a parameter. Where the same name is several of these, or in several files, the answer is a
question back, not a guess.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError

if TYPE_CHECKING:
    from mcgitops.store.index import IndexedRun
    from mcgitops.store.records import Scalar

Read = Callable[["IndexedRun"], "Scalar"]
"""Reads one value of a run; raises `KeyError` where the run doesn't have it."""

FIELDS: Mapping[str, Read] = {
    "stage": lambda run: run.stage,
    "run": lambda run: run.fingerprint,
    "when": lambda run: run.started.isoformat(),
    "state": lambda run: run.state,
    "exit_code": lambda run: _known(run.exit_code),
    "commit": lambda run: run.commit,
    "dirty": lambda run: run.dirty,
    "took": lambda run: _known(run.wall_seconds),
    "cpu": lambda run: _known(run.cpu_seconds),
    "memory": lambda run: _known(run.peak_memory_bytes),
    "image_size": lambda run: _known(run.image_size),
    "outputs_size": lambda run: _known(run.outputs_size),
}
"""Seconds and bytes."""
SECONDS = frozenset({"took", "cpu"})
BYTES = frozenset({"memory", "image_size", "outputs_size"})

KINDS = ("variable", "metric", "param")
MOST_NAMES = 8

_CONDITION = re.compile(r'\s*(?:"([^"]+)"|(.+?))\s*(>=|<=|!=|==|=|<|>|~)\s*(.*?)\s*\Z', re.DOTALL)
_AGO = re.compile(r"(\d{1,6})\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Condition:
    """`NAME OPERATOR VALUE`. `number`: the value as a number, where it is one."""

    name: str
    operator: str
    value: str
    number: float | None


def condition(text: str) -> Condition:
    """Read a condition. Raises `UsageError` with what is wrong and how it is written.

    >>> condition("accuracy>0.9")
    Condition(name='accuracy', operator='>', value='0.9', number=0.9)
    """
    found = _CONDITION.match(text)
    if found is None:
        raise UsageError(
            f"--where {text!r} is no condition: nothing in it compares.",
            "Write NAME, one of = != < <= > >= ~ and a value, such as --where 'accuracy>0.9'.",
        )
    quoted, name, operator, value = found.groups()
    operator = "=" if operator == "==" else operator
    number = as_number(value)
    made = Condition(quoted or name, operator, value, number)
    if operator in ("<", "<=", ">", ">=") and number is None and made.name != "when":
        raise UsageError(
            f"--where {text!r}: {value!r} is not a number, and {operator} compares numbers.",
            f"Write a number, or compare with = or ~: '{made.name}~*text*'.",
        )
    return made


def as_number(value: Scalar) -> float | None:
    """A number, or a text that is one; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str) and not re.fullmatch(
        r"\s*[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?|\s*[+-]?(inf|nan)", value, re.IGNORECASE
    ):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return None


def holds(made: Condition, value: Scalar) -> bool:
    """Whether a value fulfils a condition. One of another kind never does."""
    if made.operator == "~":
        return fnmatch.fnmatchcase(_text(value), made.value)
    number = as_number(value)
    if made.number is None or number is None:
        if made.operator in ("=", "!="):
            same = _text(value) == made.value
            return same == (made.operator == "=")
        return False
    if made.operator in ("=", "!="):
        close = math.isclose(number, made.number, rel_tol=1e-12)
        same = close or (math.isnan(number) and math.isnan(made.number))
        return same == (made.operator == "=")
    if made.operator == "<":
        return number < made.number
    if made.operator == "<=":
        return number <= made.number
    return number > made.number if made.operator == ">" else number >= made.number


def moment(text: str, now: datetime, *, end: bool = False) -> datetime:
    """When: `2026-05-01`, `2026-05-01T12:00` (local time), `7d` ago. `end`: a day ends there.

    Raises `UsageError`.
    """
    if ago := _AGO.fullmatch(text.strip()):
        try:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
    try:
        found = datetime.fromisoformat(text.strip())
        is_day = re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text.strip()) is not None
        found = found if found.tzinfo else found.astimezone()
        return found + timedelta(days=1) if end and is_day else found
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time.",
            "Write a date (2026-05-01), a time (2026-05-01T12:00), or how long ago: 12h, 7d, 2w.",
        ) from None


class Names:
    """What the names of some runs' values mean."""

    def __init__(self, runs: Iterable[IndexedRun]) -> None:
        """Looks at all the runs once."""
        self._files: dict[str, dict[str, set[str]]] = {"metric": {}, "param": {}}
        self._variables: set[str] = set()
        self._clashes: dict[str, set[str]] = {"metric": set(), "param": set()}
        seen: set[tuple[str, str, tuple[str, ...]]] = set()
        for run in runs:
            self._variables.update(run.matrix, run.replicate)
            for kind, files in (("metric", run.metrics), ("param", run.params)):
                for file, values in files.items():
                    # most runs have the same names: those of one list of them are looked at once
                    shape = (kind, file, tuple(values))
                    if shape not in seen:
                        seen.add(shape)
                        for name in values:
                            self._files[kind].setdefault(name, set()).add(file)
                if len(files) > 1:
                    self._note_clashes(kind, files)

    def _note_clashes(self, kind: str, files: Mapping[str, Mapping[str, Scalar]]) -> None:
        once: set[str] = set()
        for values in files.values():
            self._clashes[kind].update(once.intersection(values))
            once.update(values)

    @property
    def variables(self) -> list[str]:
        """The variables of matrices and replicates."""
        return sorted(self._variables)

    def labels(self, kind: str) -> list[str]:
        """The names of metrics or params, each with its file where a run has it in several."""
        found = []
        for name, files in self._files[kind].items():
            clash = name in self._clashes[kind]
            found += [f"{file}:{name}" for file in sorted(files)] if clash else [name]
        return found

    def all(self) -> list[str]:
        """Every name that can be written."""
        return [*FIELDS, *self.variables, *self.labels("metric"), *self.labels("param")]

    def reader(self, name: str, where: str) -> Read:
        """What reads the value of this name. `where` is the option that has it, for messages.

        Raises `UsageError` for a name that no run has, or that means several things.
        """
        kind, separator, rest = name.partition(":")
        if separator and kind in KINDS and rest:
            found = self._of_kind(kind, rest, where)
            if found is None:
                raise self._unknown(rest, where, self._names(kind), f"{kind}:")
            return found
        if name in FIELDS:
            return FIELDS[name]
        meanings = {
            kind: read for kind in KINDS if (read := self._of_kind(kind, name, where)) is not None
        }
        if not meanings:
            raise self._unknown(name, where, self.all())
        if len(meanings) > 1:
            raise UsageError(
                f"{where}: {name} is a {' and a '.join(meanings)}.",
                f"Write {' or '.join(f'{kind}:{name}' for kind in meanings)}.",
            )
        return next(iter(meanings.values()))

    def is_metric(self, name: str) -> bool:
        """Whether it names a metric, with or without its file."""
        kind, _, rest = name.partition(":")
        bare = rest if kind == "metric" else name
        return bare in self._files["metric"] or self._split("metric", bare) is not None

    def _names(self, kind: str) -> list[str]:
        return self.variables if kind == "variable" else self.labels(kind)

    def _split(self, kind: str, name: str) -> tuple[str, str] | None:
        """`file:name`, where there is such a file and name; either may hold colons."""
        for place in (match.start() for match in re.finditer(":", name)):
            file, bare = name[:place], name[place + 1 :]
            if file in self._files[kind].get(bare, ()):
                return file, bare
        return None

    def _of_kind(self, kind: str, name: str, where: str) -> Read | None:
        if kind == "variable":
            return _variable(name) if name in self._variables else None
        if name in self._files[kind]:
            if name in self._clashes[kind]:
                ways = [f"{file}:{name}" for file in sorted(self._files[kind][name])]
                raise UsageError(
                    f"{where}: {name} is in several files of the same run.",
                    f"Write {' or '.join(ways[:MOST_NAMES])}.",
                )
            return _value(kind, None, name)
        split = self._split(kind, name)
        return _value(kind, *split) if split is not None else None

    def _unknown(self, name: str, where: str, known: Sequence[str], prefix: str = "") -> UsageError:
        near = [prefix + one for one in difflib.get_close_matches(name, known, n=3)]
        if near:
            hint = f"Did you mean {' or '.join(near)}?"
        else:
            listed = [prefix + one for one in known if one not in FIELDS] or list(known)
            more = "" if len(listed) <= MOST_NAMES else f" and {len(listed) - MOST_NAMES} more"
            hint = f"There are: {', '.join(listed[:MOST_NAMES])}{more}." if listed else ""
        from mcgitops.report.escape import clean

        return UsageError(
            f"{where}: no run has a metric, parameter or variable {clean(prefix + name, 80)!r}.",
            clean(hint, 400),
        )


def _known(value: float | None) -> float:
    if value is None:
        raise KeyError
    return value


def _variable(name: str) -> Read:
    def read(run: IndexedRun) -> Scalar:
        return run.replicate[name] if name in run.replicate else run.matrix[name]

    return read


def _value(kind: str, file: str | None, name: str) -> Read:
    def read(run: IndexedRun) -> Scalar:
        files = run.metrics if kind == "metric" else run.params
        if file is not None:
            return files[file][name]
        for values in files.values():
            if name in values:
                return values[name]
        raise KeyError(name)

    return read


def _text(value: Scalar) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.17g}" if isinstance(value, float) else str(value)
