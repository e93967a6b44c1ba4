"""What git says of the project folder: revisions, branches, what is dirty. Changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.errors import EngineError, UsageError
from mcgitops.facts.program import output


@dataclass(frozen=True)
class Head:
    """The checked-out state. All empty outside git, or before the first commit."""

    commit: str = ""
    tree: str = ""
    branch: str = ""  # "" when detached
    dirty: bool = False
    parents: tuple[str, ...] = ()


_FIELDS_BEFORE_PATH = {"1": 8, "2": 9, "u": 10}  # changed, renamed, unmerged


def _git(folder: Path, *arguments: str) -> str | None:
    """Git's output without the last newline, or None where it says no."""
    done = output(("git", *arguments), folder, check=False)
    return done.stdout.rstrip("\n") if done.code == 0 else None


def head(folder: Path, ignoring: frozenset[str] = frozenset()) -> Head:
    """What is checked out. Changes of files below the `ignoring` paths don't make it dirty."""
    status = _git(
        folder, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no", "--", "."
    )  # fmt: skip
    if status is None:
        return Head()
    commit = branch = ""
    changed: list[str] = []
    lines = iter(status.rstrip("\0").split("\0"))
    for line in lines:
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ")
        elif line.startswith("# branch.head "):
            branch = line.removeprefix("# branch.head ")
        elif line[:1] in _FIELDS_BEFORE_PATH:
            changed.append(line.split(" ", _FIELDS_BEFORE_PATH[line[0]])[-1])
            if line[0] == "2":  # renamed: the old path follows
                changed.append(next(lines, ""))
    if commit in ("", "(initial)"):
        return Head()
    prefix = (_git(folder, "rev-parse", "--show-prefix") or "") if changed and ignoring else ""
    ignored = tuple(prefix + path for path in ignoring)
    dirty = any(not any(path == i or path.startswith(i + "/") for i in ignored) for path in changed)
    # The commit itself names its parents in a shallow clone too, where rev-list knows none.
    shown = (_git(folder, "cat-file", "commit", commit) or "").partition("\n\n")[0]
    fields = [line.split(" ", 1) for line in shown.splitlines() if " " in line]
    parents = tuple(value for name, value in fields if name == "parent")
    tree = next((value for name, value in fields if name == "tree"), "")
    return Head(commit, tree, "" if branch == "(detached)" else branch, dirty, parents)


def untracked(folder: Path) -> tuple[str, ...]:
    """Files below `folder` that git neither tracks nor ignores, relative to it."""
    shown = _git(folder, "ls-files", "--others", "--exclude-standard", "-z")
    return tuple(path for path in (shown or "").split("\0") if path)


def resolve(folder: Path, revision: str) -> str:
    """The commit that a revision names, 40 hex. Raises `UsageError` where there is none."""
    if revision.startswith("-"):
        raise UsageError(f"{revision!r} is not a revision.", "Name a branch, a tag or a commit.")
    found = _git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not found or not re.fullmatch(r"[0-9a-f]{40,64}", found):
        raise UsageError(
            f"git knows no revision {revision!r} here.",
            "Check the name; in a shallow clone fetch it first: git fetch origin " + revision + ".",
        )
    return found


def exists(folder: Path, revision: str) -> bool:
    """Whether a revision names a commit that is here."""
    return not revision.startswith("-") and bool(
        _git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    )


def merge_base(folder: Path, a: str, b: str) -> str | None:
    """The best common ancestor, or None (no common history, or a shallow clone)."""
    return _git(folder, "merge-base", a, b) or None


def is_shallow(folder: Path) -> bool:
    """Whether commits are missing from this clone."""
    return _git(folder, "rev-parse", "--is-shallow-repository") == "true"


def first_parents(folder: Path, revision: str, limit: int = 100) -> list[str]:
    """`revision` and its first-parent ancestors, newest first."""
    shown = _git(folder, "rev-list", "--first-parent", f"--max-count={limit}", revision, "--")
    return shown.split() if shown else []


def reachable(folder: Path, revisions: str) -> frozenset[str]:
    """The commits of a branch, or of a range such as `main..feature`. `UsageError` for others."""
    shown = None
    if not revisions.startswith("-") and not re.search(r"\s", revisions):
        shown = _git(folder, "rev-list", revisions, "--")
    if shown is None:
        raise UsageError(
            f"git knows no branch or range {revisions!r} here.",
            "Name a branch, or a range such as main..feature.",
        )
    return frozenset(shown.split())


def names(folder: Path) -> list[str]:
    """Branches and tags, as people write them."""
    shown = _git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
    return (shown or "").split()


def default_branch(folder: Path) -> str | None:
    """The name of the branch that work is merged into: the remote's HEAD, main or master."""
    found = default_branch_at(folder)
    return found[0] if found is not None else None


_DEFAULTS = (
    "refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master",
    "refs/heads/main", "refs/heads/master",
)  # fmt: skip


def default_branch_at(folder: Path) -> tuple[str, str] | None:
    """The default branch and its commit; all candidates are asked for in one call."""
    shown = _git(folder, "for-each-ref", "--format=%(refname) %(objectname) %(symref)", *_DEFAULTS)
    lines = (line.split(" ") for line in (shown or "").splitlines())
    there = {name: (symbolic or name, commit) for name, commit, symbolic in lines}
    for candidate in _DEFAULTS:
        if candidate in there:
            name, commit = there[candidate]
            return name.removeprefix("refs/heads/").removeprefix("refs/remotes/"), commit
    return None


def describe(folder: Path, revision: str) -> str:
    """A name for people: the branch or tag that points there, else twelve digits."""
    name = _git(folder, "name-rev", "--name-only", "--no-undefined", revision)
    if name and not re.search(r"[~^]", name):
        return name.removeprefix("remotes/").removeprefix("tags/")
    return revision[:12]


def root(folder: Path) -> Path | None:
    """The top folder of the repository that holds `folder`, or None outside git."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    return Path(top) if top else None


def tag_commit(folder: Path, tag: str) -> str | None:
    """The commit that a tag points to, or None where there is no such tag."""
    return _git(folder, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}") or None


def changed_between(folder: Path, a: str, b: str) -> list[str]:
    """Paths below `folder` that differ between two commits, relative to it."""
    shown = _git(folder, "diff", "--name-only", "--relative", "-z", a, b, "--", ".")
    if shown is None:
        raise EngineError(f"git could not compare {a[:12]} and {b[:12]}.")
    return [path for path in shown.split("\0") if path]


def commits_between(folder: Path, a: str, b: str) -> tuple[str, ...] | None:
    """`git log --oneline a..b`; None where this clone doesn't know both."""
    if not a or not b or not exists(folder, a) or not exists(folder, b):
        return None
    said = _git(folder, "log", "--oneline", "--no-decorate", f"{a}..{b}", "--")
    return None if said is None else tuple(said.splitlines())


def tags_at_head(folder: Path) -> list[str]:
    """The tags that point to the checked-out commit."""
    return (_git(folder, "tag", "--points-at", "HEAD") or "").split()
