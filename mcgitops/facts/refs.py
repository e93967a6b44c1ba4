"""Which commits branches, tags and pull requests need: what garbage collection keeps runs of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.facts import git
from mcgitops.facts.program import output

SECONDS = 60
_LINE = re.compile(r"([0-9a-f]{40,64})\t(refs/\S+)\Z")


@dataclass(frozen=True)
class Needed:
    """Commits that are needed, and sentences about what could not be asked."""

    commits: frozenset[str]
    refs: int
    notes: tuple[str, ...] = ()


def needed(folder: Path, history: int, *, offline: bool = False) -> Needed:
    """The commits of all branches (the last `history` of each, along first parents) and tags.

    The remote is asked which branches and tags it has, so that those of others aren't overlooked:
    one that isn't here is an error. Its pull requests' heads count as well. offline: don't ask.
    """
    if git.root(folder) is None:
        return Needed(frozenset(), 0)
    if git.is_shallow(folder):
        raise UsageError(
            "This is a shallow clone: which commits the branches have can't be told.",
            "Run git fetch --unshallow; in GitHub Actions set fetch-depth: 0 for checkout.",
        )
    tips = _tips(folder)
    notes: list[str] = []
    beyond: set[str] = set()
    remotes = (_git(folder, "remote") or "").split()
    if remotes and offline:
        notes.append(f"Not asked: which branches, tags and pull requests {remotes[0]} has now.")
    elif remotes:
        remote = "origin" if "origin" in remotes else remotes[0]
        beyond = _beyond(folder, remote)
    return Needed(frozenset(_back(folder, tips, history) | beyond), len(tips), tuple(notes))


def pull_requests(refs: Mapping[str, str]) -> set[str]:
    """The heads of open pull requests among a remote's refs (name → commit).

    GitHub keeps the head of every pull request for ever, but a merge with the base only of those
    that are open. Where no merge is listed, nothing tells them apart, and all heads count.
    """
    heads, merges = _numbered(refs, "head"), _numbered(refs, "merge")
    chosen = {number: sha for number, sha in heads.items() if number in merges or not merges}
    return {*chosen.values(), *merges.values()}


def _numbered(refs: Mapping[str, str], which: str) -> dict[str, str]:
    found = ((re.fullmatch(rf"refs/pull/(\d+)/{which}", name), sha) for name, sha in refs.items())
    return {match[1]: sha for match, sha in found if match}


def _beyond(folder: Path, remote: str) -> set[str]:
    shown = _git(folder, "ls-remote", "--quiet", remote)
    if shown is None:
        raise UsageError(
            f"The remote {remote} could not be asked which branches it has.",
            "Without knowing them, runs of others could be removed. Say --offline to go by the "
            "branches and tags that are here.",
        )
    lines = (_LINE.match(line) for line in shown.splitlines())
    refs = {match[2]: match[1] for match in lines if match}
    own = {
        name.removesuffix("^{}"): sha
        for name, sha in sorted(refs.items())  # a tag's commit (^{}) comes after the tag
        if name.startswith(("refs/heads/", "refs/tags/"))
    }
    absent = sorted(name for name, sha in own.items() if not _is_here(folder, sha))
    if absent:
        name = absent[0].split("/", 2)[2]
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise UsageError(
            f"{remote} has commits that are not here: of {name}{more}.",
            f"Run git fetch --tags {remote} '+refs/heads/*:refs/remotes/{remote}/*' first.",
        )
    return {*own.values(), *pull_requests(refs)}


def _tips(folder: Path) -> set[str]:
    """The commits at which refs of any kind are, and the one that is checked out."""
    shown = _git(folder, "for-each-ref", "--format=%(objecttype) %(objectname) %(*objectname)")
    found = set()
    for line in (shown or "").splitlines():
        kind, name, *peeled = line.split()
        if kind in ("commit", "tag"):
            found.add(peeled[0] if peeled else name)
    head = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    return found | ({head} if head else set())


def _back(folder: Path, tips: Iterable[str], history: int) -> set[str]:
    """The tips and the first-parent ancestors, `history` commits of each."""
    starts = sorted(tips)
    if not starts:
        return set()
    shown = _git(folder, "rev-list", "--parents", "--all", "HEAD", "--")
    parents = {}
    for line in (shown or "").splitlines():
        commit, *of_it = line.split()
        parents[commit] = of_it[0] if of_it else ""
    found: set[str] = set()
    for start in starts:
        commit = start
        for _ in range(max(1, history)):
            if not commit:
                break
            found.add(commit)
            commit = parents.get(commit, "")
    return found


def _is_here(folder: Path, sha: str) -> bool:
    return _git(folder, "cat-file", "-e", sha) is not None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails. It asks nobody for a password."""
    silent = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    done = output(("git", *arguments), folder, env=silent, check=False, timeout=SECONDS)
    return done.stdout.strip() if done.code == 0 else None
