"""Finds which reader understands which of a stage's files, and has them read: `find`.

A reader is a module in `mcgitops.metrics.formats`, or what an entry point of the group
`mcgitops.readers` names, that follows `Reader`. It is imported when a file's name makes it likely.
What no reader claims goes to the plain formats by its ending (`mcgitops.metrics.readers`).
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Protocol, cast

from mcgitops.deferred import dataclass
from mcgitops.metrics import readers
from mcgitops.metrics.files import Files, Part
from mcgitops.metrics.foreign import harmless
from mcgitops.metrics.values import Findings, Scalar, UnreadableError, Warnings

GROUP = "mcgitops.readers"
"""The entry points' group of readers that others wrote."""


@dataclass(frozen=True)
class Claim:
    """Files that belong together, such as a folder of runs. `source` names them in reports."""

    source: str
    paths: tuple[str, ...]


class Reader(Protocol):
    """One tool's files. Neither method trusts them.

    `read` raises `UnreadableError` where nothing can be understood; what is wrong with a part of
    the files becomes a warning.
    """

    def claims(self, files: Files) -> Iterable[Claim]:
        """The files that are this reader's, judged by names and first bytes; cheap."""
        ...

    def read(self, files: Files, claim: Claim, warnings: Warnings) -> Findings:
        """What is in them. `metrics` and `params` are by `claim.source`."""
        ...


Plain = Callable[[Files, str], Findings]
"""Reads a file that no reader claims."""

KNOWN: dict[str, tuple[str, ...]] = {
    # reader, which is the module's name: names of files that make it worth a look, in this order
    "mlflow_db": ("*.db", "*.sqlite", "*.sqlite3"),
    "mlflow_files": ("meta.yaml",),
    "tensorboard": ("*tfevents*",),
    "wandb": ("*.wandb",),
    "dvc": ("dvc.yaml",),
    "dvclive": ("*.tsv", "*.json", "params.yaml"),
    "hf_trainer": ("trainer_state.json",),
    "keras_log": ("*.log",),
    "lightning": ("metrics.csv", "hparams.yaml"),
    "model_card": ("*.md",),
    "whylogs_profile": ("*.bin",),
    "croissant": ("*.json", "*.JSON", "*.jsonld"),
    "evidently": ("*.json", "*.JSON"),
    "sklearn_report": ("*.json", "*.JSON", "*.csv", "*.tsv"),
    "predictions": ("*.csv", "*.tsv", "*.jsonl", "*.ndjson"),
}


def find(
    files: Files,
    declared: Mapping[str, str] = MappingProxyType({}),
    asked: Iterable[str] = (),
    plain: Plain | None = None,
) -> Findings:
    """All that these files hold; never raises for what is in them.

    declared: path, of a file or of a folder → the reader's name, where it isn't to be detected.
    asked:    files and folders that somebody named: a warning says which of them gave nothing,
              while a file in a folder may well be of a kind that no reader knows.
    plain:    reads a file that no reader claims: `everything` (the default), `values`, `series`.
    """
    plain = plain or everything
    left = dict.fromkeys(files.sizes)
    found: list[Findings] = []
    for path, name in declared.items():
        below = [p for p in left if p == path or p.startswith(f"{path}/")]
        reader = load(name)
        if reader is None:
            found.append(Findings(warnings=(f"{path}: there is no reader {name}.",)))
            for claimed in below:
                left.pop(claimed, None)
            continue
        claims = list(reader.claims(Part.of(files, below)))
        if not claims:
            found.append(Findings(warnings=(f"{path}: has nothing for the reader {name}.",)))
        found += [_read(reader, files, claim) for claim in claims]
        for claimed in below:
            left.pop(claimed, None)
    for reader in _likely(left):
        for claim in reader.claims(Part.of(files, left)):
            found.append(_read(reader, files, claim))
            for claimed in claim.paths:
                left.pop(claimed, None)
    found += [plain(files, path) for path in left if _is_plain(path)]
    unread = [path for path in left if not _is_plain(path)]
    found += [
        Findings(warnings=(said,)) for path in asked if (said := _silent(path, files, unread))
    ]
    return merged(found)


def everything(files: Files, path: str) -> Findings:
    """A plain file's values with their warnings, and its series if it has any."""
    return merged((values(files, path), series_if_any(files, path)))


def values(files: Files, path: str) -> Findings:
    """A plain file's values with their warnings."""
    try:
        with files.open(path) as stream:
            reading = readers.read(path, stream)
    except OSError as error:
        return _closed(path, error)
    return Findings(metrics={path: reading.values}, warnings=reading.warnings)


def series(files: Files, path: str) -> Findings:
    """A plain file's series, with the warnings that there are of it as a plot."""
    try:
        with files.open(path) as stream:
            reading = readers.read_plot(path, stream)
    except OSError as error:
        return _closed(path, error)
    return Findings(plots=(reading.plot,) if reading.plot else (), warnings=reading.warnings)


def series_if_any(files: Files, path: str) -> Findings:
    """A plain file's series; it isn't a fault to have none."""
    return Findings(plots=series(files, path).plots)


def known() -> tuple[str, ...]:
    """The names of all readers: ours, then those of installed packages."""
    return (*KNOWN, *(other.name for other in _others() if other.name not in KNOWN))


def is_known(path: str) -> bool:
    """Whether a file of this name is worth a look for one of our readers, or a plain format's.

    Which names a reader of another package knows can't be told without the files.
    """
    name = PurePosixPath(path).name
    ours = (pattern for patterns in KNOWN.values() for pattern in patterns)
    return (
        _is_plain(path)
        or any(fnmatch.fnmatchcase(name, pattern) for pattern in ours)
        or bool(_others())
    )


def load(name: str) -> Reader | None:
    """The reader of this name: ours, or one of an installed package."""
    if name in KNOWN:
        return cast(Reader, importlib.import_module(f"mcgitops.metrics.formats.{name}"))
    return next((other for other in _others() if other.name == name), None)


def merged(findings: Iterable[Findings]) -> Findings:
    """Several findings as one; of one source's values the later win."""
    metrics: dict[str, dict[str, Scalar]] = {}
    params: dict[str, dict[str, Scalar]] = {}
    all_ = tuple(findings)
    for one in all_:
        for source, values in one.metrics.items():
            metrics.setdefault(source, {}).update(values)
        for source, values in one.params.items():
            params.setdefault(source, {}).update(values)
    return Findings(
        metrics,
        params,
        tuple(plot for one in all_ for plot in one.plots),
        tuple(table for one in all_ for table in one.tables),
        tuple(matrix for one in all_ for matrix in one.matrices),
        tuple(check for one in all_ for check in one.checks),
        tuple(dict.fromkeys(warning for one in all_ for warning in one.warnings)),
    )


def _likely(paths: Iterable[str]) -> Iterator[Reader]:
    names = {PurePosixPath(path).name for path in paths}
    for module, patterns in KNOWN.items():
        if any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns):
            reader = load(module)
            if reader is not None:
                yield reader
    if names:
        yield from _others()


@dataclass(frozen=True)
class _Failed(Claim):
    """What a reader claims that couldn't look at the files: nothing, and why."""

    why: str


@dataclass(frozen=True)
class _Other:
    """A reader of an installed package. What is wrong with it costs its files, not the run."""

    name: str
    load: Callable[[], object]

    def claims(self, files: Files) -> Iterator[Claim]:
        try:
            reader = cast(Reader, self.load())
            found = [
                claim for claim in reader.claims(files) if set(claim.paths) <= set(files.sizes)
            ]
        except Exception as error:  # noqa: BLE001 - it is somebody else's code
            yield _Failed(f"the reader {self.name}", (), f"failed: {_said(error)}")
        else:
            yield from found

    def read(self, files: Files, claim: Claim, warnings: Warnings) -> Findings:
        if isinstance(claim, _Failed):
            raise UnreadableError(claim.why)
        try:
            found: object = cast(Reader, self.load()).read(files, claim, warnings)
            kept = harmless(found, warnings) if isinstance(found, Findings) else None
        except (UnreadableError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - it is somebody else's code
            raise UnreadableError(f"the reader {self.name} failed: {_said(error)}") from None
        if kept is None:
            raise UnreadableError(f"the reader {self.name} failed: it returned no Findings.")
        return kept


@functools.cache
def _others() -> tuple[_Other, ...]:
    """The readers of installed packages, by name; looking for them costs some milliseconds."""
    from importlib.metadata import entry_points

    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return tuple(_Other(point.name, point.load) for point in points)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _read(reader: Reader, files: Files, claim: Claim) -> Findings:
    warnings = Warnings()
    try:
        found = reader.read(Part.of(files, claim.paths), claim, warnings)
    except UnreadableError as error:
        warnings.add(str(error))
        found = Findings()
    except OSError as error:
        warnings.add(f"can't be read: {error.strerror or error}.")
        found = Findings()
    said = tuple(f"{claim.source}: {sentence}" for sentence in warnings.all())
    return merged((found, Findings(warnings=said)))


def _is_plain(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in readers.ENDINGS


def _silent(path: str, files: Files, unread: list[str]) -> str:
    """What to say of a path that somebody named and that gave nothing; "" where it gave something.

    What isn't among the files at all is not ours to miss.
    """
    if path in unread:
        ending = PurePosixPath(path).suffix
        kind = f"no reader knows the ending {ending}" if ending else "no reader knows this file"
        return f"{path}: {kind}, and none knows its content."
    below = [p for p in files.sizes if path == "." or p.startswith(f"{path}/")]
    if below and set(below) <= set(unread):
        return f"{path}: holds no file that a reader knows."
    return ""


def _closed(path: str, error: OSError) -> Findings:
    return Findings(warnings=(f"{path}: can't be read: {error.strerror or error}.",))
