"""Which commit the head is compared with, and why. Asks git and, by a callback, the store.

The base is the merge base with the target branch; where that has no runs, the nearest of its
first-parent ancestors that has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.facts import git

ANCESTORS = 50
"""How far back a base is looked for."""
AT_ONCE = 10
AS_ASKED = "as asked for"


@dataclass(frozen=True)
class Base:
    """A commit to compare with. `why` is for people."""

    commit: str
    name: str
    why: str


def wanted(
    folder: Path, head: git.Head, environ: Mapping[str, str], given: str = ""
) -> Base | None:
    """The base before anybody looked whether it has runs; None outside git and without history."""
    if given:
        return Base(git.resolve(folder, given), given, AS_ASKED)
    if not head.commit:
        return None
    if is_pull_merge(head, environ):
        # What is checked out is the merge with the base, whose tip is the first parent. It need
        # not be here (a shallow clone) to be looked up in the store.
        name = environ.get("GITHUB_BASE_REF") or "the base"
        return Base(head.parents[0], name, f"{name}, which the pull request is merged with")
    for target, tip in _targets(folder, environ):
        base = tip if tip == head.commit else git.merge_base(folder, head.commit, tip)
        if base is None:
            continue
        name = target.removeprefix("origin/")
        if base != head.commit:
            return Base(base, name, f"merge base with {name}")
        if head.dirty:
            return Base(base, "HEAD", "the last commit")
        break
    if head.parents:
        return Base(head.parents[0], "", "the commit before")
    return None


def is_pull_merge(head: git.Head, environ: Mapping[str, str]) -> bool:
    """Whether GitHub's own merge of a pull request is checked out.

    A workflow may have checked out the branch instead, whose last commit may be a merge, too.
    """
    merged = environ.get("GITHUB_SHA") or head.commit
    is_pull = environ.get("GITHUB_EVENT_NAME") == "pull_request"
    return is_pull and len(head.parents) > 1 and merged == head.commit


def with_runs(folder: Path, base: Base, has_runs: Callable[[str], bool]) -> Base | None:
    """The base, or its nearest first-parent ancestor for which the store has runs."""
    if has_runs(base.commit):  # nearly always
        return base
    commits = git.first_parents(folder, base.commit, ANCESTORS)
    found = _first(commits, has_runs)
    if found is None:
        return None
    what = "1 commit" if found == 1 else f"{found} commits"
    origin = f"the {base.why}" if base.why.startswith("merge base") else base.name or base.why
    return Base(commits[found], base.name, f"nearest ancestor with runs, {what} before {origin}")


def _targets(folder: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The branches that this work may be merged into, best guess first: name and revision."""
    if target := environ.get("GITHUB_BASE_REF"):
        yield from ((n, n) for n in (f"origin/{target}", target) if git.exists(folder, n))
    if default := git.default_branch_at(folder):
        yield default


def _first(commits: Sequence[str], has_runs: Callable[[str], bool]) -> int | None:
    """The index of the first commit after `commits[0]` that has runs.

    Asks for several at once, as each may be far.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for start in range(1, len(commits), AT_ONCE):
            found = list(pool.map(has_runs, commits[start : start + AT_ONCE]))
            if any(found):
                return start + found.index(True)
    return None
