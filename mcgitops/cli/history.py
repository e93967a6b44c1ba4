"""Makes enough of git's history known for a job: CI checks out one commit and nothing before it.

Asked in this order: what is here, then the remote (a short fetch of commits), then the forge's API,
which answers even where the checkout left no credentials for git. `github` is a function, since
only few jobs need the client, and loading it takes longer than all the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mcgitops.cli.app import App
from mcgitops.errors import UsageError
from mcgitops.facts import base as bases
from mcgitops.facts import git
from mcgitops.facts.program import output
from mcgitops.forge.event import Event, MergeGroup, PullRequest, Push, Tag

if TYPE_CHECKING:
    from mcgitops.forge.github import GitHub

DEPTH = bases.ANCESTORS


def base_for(app: App, github: Callable[[], GitHub], event: Event) -> bases.Base | None:
    """The base where git alone can't tell it; None where it can, or where nobody can."""
    if isinstance(event, MergeGroup):
        what = f"{event.base_ref}, which the queue merges into"
        return bases.Base(event.base_sha, event.base_ref, what) if event.base_sha else None
    folder = app.project.folder
    if not git.is_shallow(folder):
        return None
    head = git.head(folder)
    target = _target(event)
    if bases.is_pull_merge(head, app.environ) or not target or _is(event, target):
        # GitHub's merge with the base, or the base's own branch: the first parent is known. Its
        # ancestors matter only where it has no runs of its own.
        if head.parents and not _has_runs(app, head.parents[0]):
            _fetch(app, head.parents[0])
        return None
    tracking = f"refs/remotes/origin/{target}"
    if _fetch(app, head.commit, f"+refs/heads/{target}:{tracking}") and git.merge_base(
        folder, head.commit, tracking
    ):
        return None
    return _merge_base(github, target, head.commit) or _tip(event)


def require_branch(app: App, github: Callable[[], GitHub], tag: Tag) -> None:
    """Raise unless a tag's commit is on the default branch."""
    from mcgitops.forge.github import ForgeError

    folder = app.project.folder
    branch = tag.default_branch or (git.default_branch(folder) or "").removeprefix("origin/")
    hint = "Merge it first, or allow it: --any-branch (the action's input any-branch: true)."
    try:
        branch = branch or github().default_branch()
        there = _is_ancestor(app, tag.sha, branch) or github().is_on_branch(tag.sha, branch)
    except ForgeError as error:
        raise UsageError(
            f"It can't be told whether {tag.name} is on the default branch: {error.message}",
            "Check out with fetch-depth: 0, give the token contents: read, or pass --any-branch.",
        ) from None
    if not there:
        raise UsageError(
            f"{tag.name} is not deployed: its commit {tag.sha[:12]} is not on {branch}.", hint
        )


def _target(event: Event) -> str:
    if isinstance(event, PullRequest):
        return event.base_ref
    return event.default_branch if isinstance(event, Push) else ""


def _is(event: Event, target: str) -> bool:
    return isinstance(event, Push) and event.branch == target


def _has_runs(app: App, sha: str) -> bool:
    project = app.project
    return any(
        store.commit(sha, project.name, stage.name)
        for store in (app.local_store, app.store)
        for stage in project.stages
    )


def _fetch(app: App, *refs: str) -> bool:
    """Fetch commits or branches with some of their ancestors; False where the remote says no."""
    done = output(
        ("git", "fetch", "--quiet", "--no-tags", f"--depth={DEPTH}", "origin", *refs),
        app.project.folder,
        env={"GIT_TERMINAL_PROMPT": "0"},
        check=False,
    )
    return done.code == 0


def _merge_base(github: Callable[[], GitHub], target: str, sha: str) -> bases.Base | None:
    from mcgitops.forge.github import ForgeError

    try:
        return bases.Base(github().merge_base(target, sha), target, f"merge base with {target}")
    except ForgeError:
        return None


def _tip(event: Event) -> bases.Base | None:
    """What the event itself says of the base: the branch's tip, later than the merge base."""
    if not (isinstance(event, PullRequest) and event.base_sha):
        return None
    return bases.Base(event.base_sha, event.base_ref, f"the tip of {event.base_ref}")


def _is_ancestor(app: App, sha: str, branch: str) -> bool:
    folder = app.project.folder
    return any(
        git.merge_base(folder, sha, name) == sha
        for name in (f"origin/{branch}", branch)
        if branch and git.exists(folder, name)
    )
