"""What every verb starts from: the global options, and the project and store that they name."""

from __future__ import annotations

import os
import sys
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mcgitops.deferred import dataclass

if TYPE_CHECKING:
    from mcgitops.plan.model import RunPlan
    from mcgitops.project.model import Project
    from mcgitops.run.progress import Reporter
    from mcgitops.run.workspace import Workspace
    from mcgitops.store.records import RunRecord
    from mcgitops.store.store import Store

HEAD_SHA = "MCGITOPS_HEAD_SHA"
"""Of a pull request: the head that the checked-out merge commit was made from."""


class Named(NamedTuple):
    """A project's folder, its name, and the store that its file names."""

    folder: Path
    name: str
    store: str


@dataclass
class App:
    """The global options; loads the project and opens stores when first asked."""

    files: tuple[str, ...] = ()
    directory: str = ""
    debug: bool = False
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @cached_property
    def folder(self) -> Path:
        """The project folder, absolute."""
        try:
            return Path(self.directory or ".").resolve()
        except FileNotFoundError:
            from mcgitops.errors import UsageError

            raise UsageError(
                "The folder that this was started in is not there any more.", "Go to another one."
            ) from None

    @cached_property
    def project(self) -> Project:
        """The project, loaded through `docker compose config` and validated (`ProjectError`).

        Beside an agent (`MCGITOPS_PROJECT`, and no compose file) it is what was deployed there.
        """
        from mcgitops.facts.compose import has_files, load_project

        name = self.environ.get("MCGITOPS_PROJECT", "")
        if name and not self.files and not has_files(self.folder, self.environ):
            from mcgitops.deploy.agents.here import here
            from mcgitops.store.store import open_store

            url = self.environ.get("MCGITOPS_STORE", "") or ".mcgitops/store"
            store = open_store(url if "://" in url else str((self.folder / url).resolve()))
            return here(store, name, self.folder, self.environ)
        return load_project(self.folder, self.files)

    @cached_property
    def named(self) -> Named:
        """What of the project decides which store it is. A verb may know it from before."""
        return Named(self.project.folder, self.project.name, self.project.spec.store)

    @cached_property
    def local_store(self) -> Store:
        """The folder store beside the project: cache and default store."""
        from mcgitops.store.store import open_store

        return open_store(str(self.named.folder / ".mcgitops" / "store"))

    @property
    def store_url(self) -> str:
        """The project's store: `MCGITOPS_STORE`, else the file's, else the local one."""
        return self.environ.get("MCGITOPS_STORE") or self.named.store

    @cached_property
    def store(self) -> Store:
        """The project's store; the same object as `local_store` where that is the one."""
        from mcgitops.errors import UsageError
        from mcgitops.project.store_url import check_store_url
        from mcgitops.store.store import open_store

        try:
            check_store_url(self.store_url)
        except ValueError as error:
            raise UsageError(f"MCGITOPS_STORE: {error}") from None
        url = self.store_url
        if "://" not in url:
            path = (self.named.folder / url).resolve()
            if path == self.named.folder / ".mcgitops" / "store":
                return self.local_store
            url = str(path)
        return open_store(url, self.named.folder / ".mcgitops" / "cache" / "records")

    @cached_property
    def workspace(self) -> Workspace:
        """The project with its stores, for planning and training."""
        project = self.project  # before the imports: they are done while Compose reads the file
        from mcgitops.run.workspace import Workspace

        remote = None if self.store is self.local_store else self.store
        head = self.environ.get(HEAD_SHA, "")
        return Workspace(project, self.local_store, remote, head, self.environ)

    def reporter(self, *, quiet: bool = False) -> Reporter:
        """Who shows a training's progress: live on a terminal, plain lines elsewhere."""
        from mcgitops.run.progress import PlainReporter, TerminalReporter

        if self.is_terminal:
            return TerminalReporter()
        if not self.environ.get("GITHUB_ACTIONS"):
            return PlainReporter(quiet=quiet)
        from mcgitops.forge import workflow

        annotate = workflow.Annotations(most=8)  # the runner shows ten; the job has its own to make

        def failure(run: RunPlan, record: RunRecord) -> str:
            tail = "\n".join(record.log_tail)
            return annotate("error", tail, title=f"{run.label} {record.state}")

        return PlainReporter(
            group=workflow.group,
            endgroup=workflow.endgroup,
            untrusted=workflow.untrusted,
            failure=failure,
            quiet=quiet,
        )

    @property
    def in_ci(self) -> bool:
        """Whether this runs in CI: plain lines and log groups instead of a live view."""
        return bool(self.environ.get("CI") or self.environ.get("GITHUB_ACTIONS"))

    @property
    def is_terminal(self) -> bool:
        """Whether standard error is a terminal that can show a live view."""
        return sys.stderr.isatty() and not self.in_ci and self.environ.get("TERM") != "dumb"
