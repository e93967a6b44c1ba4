"""Which release an environment with `pull: true` is to run, and where its agent learns that.

`announce` is the pushing end: making a release tells the environments whose trigger it fits. The
two sources are the pulling end: the store's own note, or the tags of a git repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from mcgitops.deferred import dataclass
from mcgitops.deploy.names import commit_of_branch_release
from mcgitops.errors import StoreError, UsageError
from mcgitops.facts import git
from mcgitops.facts.program import output
from mcgitops.project.environment import Trigger
from mcgitops.project.model import Project
from mcgitops.store.records import ReleaseRecord, WantedRecord
from mcgitops.store.store import Store

MOST_TAGS = 50
"""How many of the newest tags are looked for in the store."""


@dataclass(frozen=True)
class Want:
    """A release that an environment is to run."""

    release: str
    commit: str
    number: int = 0  # of the store's note


class Source(Protocol):
    """Where an agent learns what is wanted."""

    @property
    def name(self) -> str:
        """What it is, for messages; without credentials."""
        ...

    def newest(self) -> Want | None:
        """What is wanted now. Raises `StoreError` where it can't be asked."""
        ...


def allows(trigger: Trigger | None, release: str) -> bool:
    """Whether an environment's trigger allows a release, by the release's name."""
    if trigger is None:
        return False
    if trigger.tag is not None:
        return fnmatchcase(release, trigger.tag)
    branch = release[:-13] if commit_of_branch_release(release) else ""
    return bool(branch) and fnmatchcase(branch, trigger.branch or "")


@dataclass(frozen=True)
class Told:
    """What came of telling one environment about a release."""

    environment: str
    release: str
    wanted: str  # what it is to run now: another one where that is newer

    def __str__(self) -> str:
        if self.wanted == self.release:
            return f"{self.environment} pulls {self.release}: its agent deploys it."
        return (
            f"{self.environment} stays with {self.wanted}, whose commit is newer than that of "
            f"{self.release}."
        )


def announce(project: Project, store: Store, record: ReleaseRecord) -> tuple[Told, ...]:
    """Tell each environment that pulls, and whose trigger the release fits, to run it.

    Saying it again changes nothing, and a late job for an older commit doesn't take one back.
    """
    is_tag = git.tag_commit(project.folder, record.name) is not None
    chosen = [
        name
        for name, spec in project.spec.environments.items()
        if spec.pull
        and spec.trigger is not None
        and (spec.trigger.tag is not None) == is_tag
        and allows(spec.trigger, record.name)
    ]
    if not chosen:
        return ()
    committed = _committed(project.folder, record.commit)
    told = []
    for name in chosen:
        wanted = store.want(
            WantedRecord(
                project=record.project,
                environment=name,
                release=record.name,
                commit=record.commit,
                committed=committed,
                released=record.created,
            )
        )
        told.append(Told(name, record.name, wanted.release))
    return tuple(told)


def _committed(folder: Path, commit: str) -> datetime:
    shown = output(("git", "show", "--no-patch", "--format=%ct", commit), folder).stdout
    return datetime.fromtimestamp(int(shown.split()[0]), UTC)


class FromStore:
    """The store's own note. A poll with nothing new is one request."""

    def __init__(self, store: Store, project: str, environment: str, known: int = 0) -> None:
        self._store = store
        self._project = project
        self._environment = environment
        self._known = known  # what an earlier agent had seen: saves looking from the beginning
        self._last: WantedRecord | None = None

    @property
    def name(self) -> str:
        """The store's address."""
        return self._store.url

    def newest(self) -> Want | None:
        """What is wanted now."""
        found = self._look(self._last.number) if self._last else self._first()
        self._last = found or self._last
        if self._last is None:
            return None
        return Want(self._last.release, self._last.commit, self._last.number)

    def _first(self) -> WantedRecord | None:
        # the known one itself is asked for, too: the store may be another one by now
        return (self._look(self._known - 1) if self._known > 1 else None) or self._look(0)

    def _look(self, known: int) -> WantedRecord | None:
        return self._store.wanted(self._project, self._environment, known)


class FromGit:
    """The tags of a repository: the newest by version whose release is made and fits.

    trigger_of: what a release itself says of the environment's trigger.
    """

    def __init__(
        self, url: str, folder: Path, release: Callable[[str], ReleaseRecord | None],
        trigger_of: Callable[[ReleaseRecord], Trigger | None],
    ) -> None:  # fmt: skip
        self._url = url
        self._folder = folder
        self._release = release
        self._trigger_of = trigger_of
        self._fits: dict[tuple[str, str], bool] = {}  # a release never changes

    @property
    def name(self) -> str:
        """The repository's address without what may be a password."""
        return shown_url(self._url)

    def newest(self) -> Want | None:
        """What is wanted now."""
        tags = self._tags()
        for tag in newest_first(tags)[:MOST_TAGS]:
            if self._is_released(tag, tags[tag]):
                return Want(tag, tags[tag])
        return None

    def _is_released(self, tag: str, commit: str) -> bool:
        """Whether the tag has a release, of this very commit, that the trigger allows."""
        key = (tag, commit)
        if key not in self._fits:
            record = self._release(tag)
            if record is None or record.commit != commit:
                return False  # not made yet; or the tag was moved, and a release never is
            try:
                self._fits[key] = allows(self._trigger_of(record), tag)
            except UsageError:  # a release from before there was such an environment
                self._fits[key] = False
        return self._fits[key]

    def _tags(self) -> dict[str, str]:
        done = output(
            ("git", "ls-remote", "--tags", "--", self._url), self._folder, check=False, timeout=60,
            env={"GIT_TERMINAL_PROMPT": "0", **_batch_ssh(os.environ)},
        )  # fmt: skip
        if done.code != 0:
            lines = done.stderr.strip().splitlines() or ["git gave no reason"]
            said = next((line for line in lines if line.startswith("fatal:")), lines[-1])
            said = said.removeprefix("fatal: ").rstrip(".").replace(self._url, self.name)
            raise StoreError(f"{self.name} can't be read: {said}.")
        return tags_of(done.stdout.splitlines())


def _batch_ssh(environ: Mapping[str, str]) -> dict[str, str]:
    """Nobody is there to answer a question of ssh's."""
    given = environ.get("GIT_SSH_COMMAND") or environ.get("GIT_SSH")
    return {} if given else {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}


def shown_url(url: str) -> str:
    """A repository's URL without user and password."""
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def tags_of(lines: Iterable[str]) -> dict[str, str]:
    """Tag → commit, of what `git ls-remote --tags` prints; of an annotated tag what it is on."""
    found: dict[str, str] = {}
    peeled: dict[str, str] = {}
    for line in lines:
        commit, _, name = line.partition("\t")
        tag = name.removeprefix("refs/tags/")
        if tag.endswith("^{}"):
            peeled[tag.removesuffix("^{}")] = commit
        elif name.startswith("refs/tags/"):
            found[tag] = commit
    return {**found, **peeled}


def newest_first(tags: Iterable[str]) -> list[str]:
    """Tags by the version that they name: v1.10 before v1.9, v2.0 before v2.0-rc1."""
    return sorted(tags, key=_version, reverse=True)


_Natural = tuple[tuple[int, int, str], ...]


def _version(tag: str) -> tuple[tuple[int, ...], bool, _Natural, str]:
    match = re.search(r"\d+(?:\.\d+)*", tag)
    if match is None:
        return ((), False, (), tag)
    numbers = tuple(int(number) for number in match[0].split("."))
    rest = tag[match.end() :]
    is_final = not rest or rest.startswith("+")
    return (numbers, is_final, _natural(rest), tag)


def _natural(text: str) -> _Natural:
    """Digits compare as numbers: rc10 after rc9."""
    return tuple(
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    )
