"""What a training works with: the project, its two stores, the index and the engine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mcgitops.deferred import dataclass
from mcgitops.facts.index import Index
from mcgitops.project.model import STATE_FOLDER, Project
from mcgitops.project.pin import shown_read_only
from mcgitops.run.engine import Engine
from mcgitops.run.state import state_of
from mcgitops.store.store import Store

if TYPE_CHECKING:
    from mcgitops.facts.git import Head
    from mcgitops.run.data import Data


@dataclass
class Workspace:
    """A project with its stores.

    remote:     the project's store where it isn't the local one.
    local_path: the folder of the local store; differs from the project's own for a worktree.
    environ:    the caller's environment: a CI says in it what the work is to be merged into.
    checked_out: what git says of the folder, where the caller has looked already.
    head_sha:   of a pull request: the head that the checked-out merge commit was made from.
    """

    project: Project
    local: Store
    remote: Store | None = None
    head_sha: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)  # what CI says of the event
    engine: Engine = field(default_factory=Engine)
    checked_out: Head | None = None

    def __post_init__(self) -> None:
        self.project = shown_read_only(self.project, lambda: self.data.paths)

    @property
    def folder(self) -> Path:
        """The project folder."""
        return self.project.folder

    @cached_property
    def state(self) -> Path:
        """`.mcgitops`: made when first needed, and hidden from git without touching its files."""
        return state_of(self.folder)

    @cached_property
    def index(self) -> Index:
        """The digests of files that were hashed before; in a folder that is read-only, none."""
        try:
            return Index(self.state / "index.sqlite")
        except OSError:
            return Index(self.folder / STATE_FOLDER / "index.sqlite")

    @cached_property
    def data(self) -> Data:
        """Its pinned data."""
        from mcgitops.run.data import Data

        return Data(self)


def lock_folder() -> Path:
    """Where this user's locks live on this machine: one place for all checkouts."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and os.access(base, os.W_OK):
        folder = Path(base) / "mcgitops"
    else:
        folder = Path(tempfile.gettempdir()) / f"mcgitops-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # somebody else's folder under our name
        folder = Path(tempfile.mkdtemp(prefix="mcgitops-"))
    return folder


def owner(process: int | None = None) -> str:
    """Who runs a container: host and process, so that what died can be told from what lives."""
    return f"{os.uname().nodename}:{process or os.getpid()}"


def is_alive(owner_: str) -> bool:
    """Whether that owner may still be at work. On another host nobody can tell: it may."""
    host, _, process = owner_.rpartition(":")
    if host != os.uname().nodename or not process.isdigit():
        return bool(host)
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
