"""Which runs are meant: conditions, times, commits. For all verbs that look over many runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mcgitops.cli.app import App

if TYPE_CHECKING:
    from mcgitops.cli.where import Condition, Names
    from mcgitops.store.index import Head, IndexedRun

COMMITS = ("commit", "branch")
"""Names of conditions that are about git."""


def within(
    app: App, heads: list[Head], since: str, until: str, conditions: Sequence[Condition]
) -> tuple[list[Head], list[Condition]]:
    """Those of the time and the commits that are asked for, and the conditions that are left.

    Nothing of a run is read for it. Raises `UsageError` for what is no time, or no commit.
    """
    commits = _commits(app, conditions)
    left = [one for one in conditions if one.name not in COMMITS]
    if not (since or until or commits):
        return heads, left
    from datetime import UTC, datetime

    from mcgitops.cli.where import moment

    now = datetime.now(UTC)
    first = moment(since, now).timestamp() if since else float("-inf")
    last = moment(until, now, end=True).timestamp() if until else float("inf")
    found = [
        head
        for head in heads
        if first <= head.started <= last and all(fits(head.commit) for fits in commits)
    ]
    return found, left


def fulfilling(
    runs: list[IndexedRun], conditions: Sequence[Condition], names: Names
) -> list[IndexedRun]:
    """Those of which all conditions hold; one that lacks a value fulfils no condition on it."""
    from mcgitops.cli.where import holds

    for one in conditions:
        read = names.reader(one.name, "--where")
        if one.name == "run" and one.operator in ("=", "!="):
            wants = one.operator == "="
            runs = [run for run in runs if run.fingerprint.startswith(one.value) == wants]
            continue
        kept = []
        for run in runs:
            try:
                value = read(run)
            except KeyError:
                continue
            if holds(one, value):
                kept.append(run)
        runs = kept
    return runs


def _commits(app: App, conditions: Sequence[Condition]) -> list[Callable[[str], bool]]:
    """What the conditions on commits and branches ask of a run's commit."""
    from mcgitops.errors import UsageError

    found: list[Callable[[str], bool]] = []
    for one in conditions:
        if one.name not in COMMITS:
            continue
        if one.operator not in ("=", "!="):
            raise UsageError(
                f"--where {one.name}{one.operator}{one.value}: a {one.name} is not compared so.",
                f"Write {one.name}=… or {one.name}!=….",
            )
        of = _commit(app, one.value) if one.name == "commit" else _branch(app, one.value)
        found.append(of if one.operator == "=" else _not(of))
    return found


def _not(of: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda commit: not of(commit)


def _commit(app: App, value: str) -> Callable[[str], bool]:
    from mcgitops.errors import UsageError
    from mcgitops.facts import git

    try:
        sha = git.resolve(app.project.folder, value)
    except UsageError:
        if not re.fullmatch(r"[0-9a-f]{4,64}", value):
            raise
        return lambda commit: commit.startswith(value)  # it needn't be in this clone
    return lambda commit: commit == sha


def _branch(app: App, value: str) -> Callable[[str], bool]:
    from mcgitops.facts import git

    commits = git.reachable(app.project.folder, value)
    return lambda commit: commit in commits
