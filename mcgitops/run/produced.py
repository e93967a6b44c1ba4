"""How the project folder stands to what the runs of the checked-out commit produced.

Every byte is read, whatever a file's `stat` says. What other bytes are is told by whether a store
has them: then another run made them, as where something was trained before it was committed, and
nothing is lost or damaged; otherwise nobody but this folder has them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.facts import git
from mcgitops.facts.pins import tracked
from mcgitops.project.model import Project, is_within
from mcgitops.store.objects import hashed
from mcgitops.store.records import RunRecord
from mcgitops.store.restore import place_of
from mcgitops.store.store import Store


@dataclass(frozen=True)
class Produced:
    """What isn't as the selected runs left it: path → the run that it is of, for people.

    `changed`: other bytes, which no store has. `missing`: not here, though other files of the run
    are; of a run that was never brought here nothing is. `others`: another run's bytes.
    `extra`: files in folders of outputs that none of these runs made, and no store has.
    """

    changed: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether every file is one that a run made."""
        return not (self.changed or self.missing or self.extra)


def look(project: Project, stores: Sequence[Store]) -> Produced:
    """Read what the selected runs of the checked-out commit made, and what lies beside it.

    What git tracks is left out of `extra`, and tells nothing of whether a run was brought here:
    git says itself how that stands. Records that can't be read are the store's findings.
    """
    folder = project.folder
    commit = git.head(folder).commit
    of_git = frozenset(tracked(folder, ".")) if commit else frozenset()
    made: dict[str, str] = {}
    missing: dict[str, str] = {}
    other: dict[str, str] = {}  # path → digest of what is here
    names: set[str] = set()  # of outputs
    unmade: set[str] = set()  # what stages write of which this commit has no run
    for stage in project.stages if commit else ():
        run = _selected(stores, project.name, stage.name, commit)
        if run is None:
            unmade |= {*stage.spec.produced}
            continue
        names |= {name for name in stage.spec.outputs if name != "."}
        try:
            here = {file.path: _digest(place_of(file.path, folder)) for file in run.files}
        except StoreError:
            continue  # of a record that no pull takes
        label = f"run {run.fingerprint[:12]} of {stage.name}"
        made |= dict.fromkeys(here, label)
        if any(digest is not None and path not in of_git for path, digest in here.items()):
            missing |= {path: label for path, digest in here.items() if digest is None}
        wanted = {file.path: file.digest for file in run.files}
        other |= {p: digest for p, digest in here.items() if digest not in (None, wanted[p])}
    below = {path for name in names for path in _files_below(folder, name)} - made.keys() - of_git
    extra = {
        path: _digest(folder / path) or ""
        for path in sorted(below)
        if not _is_gits(path) and not any(is_within(path, name) for name in unmade)
    }
    lost = _unknown({*other.values(), *extra.values()}, stores)
    return Produced(
        {path: made[path] for path, digest in sorted(other.items()) if digest in lost},
        dict(sorted(missing.items())),
        {path: made[path] for path, digest in sorted(other.items()) if digest not in lost},
        tuple(path for path, digest in extra.items() if digest in lost),
    )


def _digest(place: Path) -> str | None:
    """What a file holds; None where there is none, "" where it can't be read."""
    try:
        with place.open("rb") as stream:
            return hashed(stream)[0]
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def _unknown(digests: set[str], stores: Sequence[Store]) -> set[str]:
    """Those that none of the stores has; what can't be read is among them."""
    lacking = digests - {""}
    for store in stores:
        lacking = store.missing(lacking) if lacking else lacking
    return lacking | {""}


def _is_gits(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".git")


def _selected(stores: Sequence[Store], project: str, stage: str, commit: str) -> RunRecord | None:
    """The selected run of a commit's stage, from the first store that has it whole."""
    for store in stores:
        try:
            record = store.commit(commit, project, stage)
            run = store.run(project, stage, record.selected) if record is not None else None
        except StoreError:
            continue  # what is damaged was named already
        if run is not None:
            return run
    return None


def _files_below(folder: Path, name: str) -> Iterator[str]:
    """The files in a folder of outputs, relative to the project's; nothing where it is none."""
    for parent, _, files in os.walk(folder / name):
        for file in files:
            yield Path(parent, file).relative_to(folder).as_posix()
