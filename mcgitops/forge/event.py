"""The CI event as a value, and which event means which activity. Pure: nothing is looked up here.

`read_event` is given the runner's variables and the event's JSON; `activities` is given the event
and the environments' triggers. Everything in an event was written by somebody else (branch names,
a fork's repository), so that each field is checked for its type and form before it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError

Cause = Literal["push", "workflow_dispatch", "schedule", "repository_dispatch", "release"]
Kind = Literal["train", "push", "report", "comment", "release", "deploy"]

PRIVILEGED = ("pull_request_target", "workflow_run")
"""Events whose jobs hold the repository's secrets while the code may be a stranger's."""

DEPENDABOT = "dependabot[bot]"

QUEUE = "gh-readonly-queue/"
"""Where GitHub keeps the branches of its merge queue."""


@dataclass(frozen=True)
class Push:
    """A branch has a new head (or a person or a timer started the workflow on it)."""

    branch: str
    sha: str
    before: str = ""  # "" for a new branch, and where nobody pushed
    forced: bool = False
    default_branch: str = ""
    cause: Cause = "push"


@dataclass(frozen=True)
class PullRequest:
    """A pull request was opened or has a new head.

    `merge_sha` is what was checked out: the merge of the head with the base. The comment, the
    status and everything that people see belong to the head.
    """

    number: int
    base_sha: str
    base_ref: str
    head_sha: str
    head_ref: str
    head_repo: str  # "" where the fork has been deleted
    merge_sha: str
    is_fork: bool
    action: str = ""
    by_dependabot: bool = False

    @property
    def has_no_secrets(self) -> bool:
        """Whether GitHub gives its jobs a read-only token and none of the repository's secrets."""
        return self.is_fork or self.by_dependabot


@dataclass(frozen=True)
class MergeGroup:
    """A merge queue wants to know whether a group of pull requests may enter the branch."""

    base_sha: str
    base_ref: str
    sha: str


@dataclass(frozen=True)
class Tag:
    """A tag was pushed."""

    name: str
    sha: str
    default_branch: str = ""
    cause: Cause = "push"


@dataclass(frozen=True)
class Privileged:
    """An event under which nothing of the repository's code may be executed."""

    name: str


@dataclass(frozen=True)
class Other:
    """An event that asks for nothing, and why."""

    name: str
    reason: str


Event = Push | PullRequest | MergeGroup | Tag | Privileged | Other


@dataclass(frozen=True)
class Target:
    """An environment as far as an event is concerned: its name and its trigger's pattern."""

    name: str
    branch: str | None = None
    tag: str | None = None
    pulls: bool = False  # its hosts deploy themselves what was released for it


@dataclass(frozen=True)
class Activity:
    """One thing to do. `target` is a release's name or an environment's, `""` for the others."""

    kind: Kind
    reason: str
    target: str = ""


def read_event(environ: Mapping[str, str], payload: Any) -> Event:
    """The event of this run, from the runner's variables and the event's JSON."""
    name = environ.get("GITHUB_EVENT_NAME", "")
    if name in PRIVILEGED:
        return Privileged(name)
    if name == "pull_request":
        return _pull_request(environ, payload)
    if name == "merge_group":
        return _merge_group(environ, payload)
    if name in ("push", "workflow_dispatch", "schedule", "repository_dispatch"):
        return _ref(name, environ, payload)
    if name == "release":
        if _text(payload, "action") == "published":
            return _ref(name, environ, payload)
        return Other(name, "only a published release is released")
    if not name:
        return Other("", "this is no run of a workflow; --event push does what a push would")
    return Other(name, "mcgitops does nothing on this event")


@dataclass(frozen=True)
class FinishedRun:
    """Another workflow's run that ended, as GitHub itself describes it (`workflow_run`).

    The run may have been a stranger's; these fields aren't, as GitHub filled them in.
    """

    id: int
    attempt: int
    event: str
    head_sha: str
    head_branch: str
    head_repository: str  # "" where the fork has been deleted
    repository: str
    actor: str = ""

    @property
    def has_no_secrets(self) -> bool:
        """Whether it had a read-only token, so that it couldn't comment itself."""
        return self.head_repository != self.repository or self.actor == DEPENDABOT


def read_finished_run(environ: Mapping[str, str], payload: Any) -> FinishedRun:
    """The run that a `workflow_run` event is about. Raises `UsageError` under any other event."""
    name = environ.get("GITHUB_EVENT_NAME", "")
    if name != "workflow_run":
        raise UsageError(
            f"This job was started by {name or 'nobody'}, and only workflow_run hands a report "
            "over.",
            "Start the workflow with `on: workflow_run: {workflows: [NAME], types: [completed]}`.",
        )
    run = _at(payload, "workflow_run")
    found = FinishedRun(
        id=_positive(run, "id"),
        attempt=_positive(run, "run_attempt") or 1,
        event=_text(run, "event"),
        head_sha=_sha(run, "head_sha"),
        head_branch=_text(run, "head_branch"),
        head_repository=_text(run, "head_repository", "full_name"),
        repository=_text(run, "repository", "full_name"),
        actor=_text(run, "actor", "login"),
    )
    if not found.id or not found.head_sha:
        raise UsageError(
            "The event names no run: workflow_run.id or head_sha is missing.",
            "GITHUB_EVENT_PATH must be the file that the runner wrote.",
        )
    if found.repository != environ.get("GITHUB_REPOSITORY", ""):
        raise UsageError(
            f"The event is about a run of {found.repository or 'no repository'}, and this job is "
            f"of {environ.get('GITHUB_REPOSITORY') or 'none'}."
        )
    return found


@dataclass(frozen=True)
class Word:
    """What somebody said in a pull request that may waive a gate: a comment, or a label."""

    number: int
    by: str
    comment: str = ""
    label: str = ""
    taken_back: bool = False  # the label was removed


def read_word(environ: Mapping[str, str], payload: Any) -> Word | Other:
    """What was said, from `issue_comment` or from a label of `pull_request`."""
    name, action = environ.get("GITHUB_EVENT_NAME", ""), _text(payload, "action")
    by = _text(payload, "sender", "login")
    if name == "issue_comment" and action == "created":
        if not _at(payload, "issue", "pull_request"):
            return Other(name, "the comment is on an issue, not on a pull request")
        number = _positive(payload, "issue", "number")
        return Word(number, by, comment=_text(payload, "comment", "body"))
    if name == "pull_request" and action in ("labeled", "unlabeled"):
        number = _positive(payload, "pull_request", "number")
        label = _text(payload, "label", "name")
        return Word(number, by, label=label, taken_back=action == "unlabeled")
    return Other(name, "neither a new comment nor a label of a pull request")


def refuse_privileged(environ: Mapping[str, str]) -> None:
    """Raise where the event is one under which nothing may be trained or deployed."""
    name = environ.get("GITHUB_EVENT_NAME", "")
    if name in PRIVILEGED:
        raise UsageError(
            f"mcgitops doesn't train or deploy under {name}: the job holds the repository's "
            "secrets, and the code may be a stranger's.",
            "Start the workflow with `on: pull_request`, `push` or a tag. What comments on a fork's"
            " pull request is mcgitops hand-over.",
        )


def activities(event: Event, targets: tuple[Target, ...]) -> tuple[Activity, ...]:
    """What an event asks for, in order. Empty where there is nothing to do."""
    match event:
        case Privileged():
            refuse_privileged({"GITHUB_EVENT_NAME": event.name})
            return ()
        case PullRequest():
            if not event.number:  # one that isn't open yet, as a plan foresees it
                return tuple(_trained("pull request"))
            reason = f"pull request {event.number}"
            return (*_trained(reason), Activity("comment", reason))
        case MergeGroup():
            return tuple(_trained(f"merge queue of {event.base_ref}"))
        case Push():
            return (
                *_trained(f"{event.cause} on {event.branch}"),
                *_found_comment(event),
                *_branch_deployments(event, targets),
            )
        case Tag():
            return tuple(_tag(event, targets))
        case Other():
            return ()


def release_name(event: Push | Tag) -> str:
    """The tag, or `branch-sha12` for what a branch deploys."""
    return event.name if isinstance(event, Tag) else f"{event.branch}-{event.sha[:12]}"


def _trained(reason: str) -> Iterator[Activity]:
    yield Activity("train", reason)
    yield Activity("push", reason)
    yield Activity("report", reason)


def _found_comment(event: Push) -> Iterator[Activity]:
    """A workflow that starts with pushes only reports to the pull requests that they belong to.

    Not on the default branch, of which there hardly is one, and not for who merely looks.
    """
    if event.cause not in ("push", "workflow_dispatch") or event.branch.startswith(QUEUE):
        return
    if event.branch and event.default_branch not in ("", event.branch):
        yield Activity("comment", f"the open pull requests of {event.branch}, if there are any")


def _branch_deployments(event: Push, targets: tuple[Target, ...]) -> Iterator[Activity]:
    # A timer or another program's message isn't somebody's decision to deploy; a person who starts
    # the workflow by hand wants what a push would have done.
    if event.cause not in ("push", "workflow_dispatch") or event.branch.startswith(QUEUE):
        return
    if not event.branch:  # a detached checkout
        return
    matching = [
        target for target in targets if target.branch and fnmatchcase(event.branch, target.branch)
    ]
    if not matching:
        return
    name = release_name(event)
    pushed = [target for target in matching if not target.pulls]
    said = [f"{event.branch} deploys {_names(pushed)}"] if pushed else []
    yield Activity("release", "; ".join(said + _pulling(matching)), name)
    for target in pushed:
        yield Activity("deploy", f"its trigger is the branch {target.branch}", target.name)


def _tag(event: Tag, targets: tuple[Target, ...]) -> Iterator[Activity]:
    if event.cause not in ("push", "workflow_dispatch", "release"):
        return
    matching = [target for target in targets if target.tag and fnmatchcase(event.name, target.tag)]
    reason = "; ".join([f"tag {event.name}", *_pulling(matching)])
    yield Activity("release", reason, event.name)
    for target in matching:
        if not target.pulls:
            yield Activity("deploy", f"its trigger is the tag {target.tag}", target.name)


def pulling(event: Event, targets: tuple[Target, ...]) -> tuple[str, ...]:
    """The environments that deploy themselves what an event releases."""
    if not isinstance(event, Push | Tag):
        return ()
    released = any(activity.kind == "release" for activity in activities(event, targets))
    name, kind = (event.name, "tag") if isinstance(event, Tag) else (event.branch, "branch")
    return tuple(
        target.name
        for target in targets
        if released and target.pulls and fnmatchcase(name, getattr(target, kind) or "")
    )


def _pulling(targets: list[Target]) -> list[str]:
    pulling = [target for target in targets if target.pulls]
    return [f"{_names(pulling)}: the hosts pull it themselves"] if pulling else []


def _names(targets: list[Target]) -> str:
    return ", ".join(target.name for target in targets)


def _pull_request(environ: Mapping[str, str], payload: Any) -> Event:
    action = _text(payload, "action")
    if action == "closed":
        return Other("pull_request", "the pull request is closed")
    number = _positive(payload, "pull_request", "number")
    if not number:
        raise UsageError(
            "The event names no pull request: pull_request.number is missing.",
            "GITHUB_EVENT_PATH must be the file that the runner wrote.",
        )
    head = _text(payload, "pull_request", "head", "repo", "full_name")
    base = _text(payload, "pull_request", "base", "repo", "full_name")
    return PullRequest(
        number=number,
        base_sha=_sha(payload, "pull_request", "base", "sha"),
        base_ref=_text(payload, "pull_request", "base", "ref"),
        head_sha=_sha(payload, "pull_request", "head", "sha"),
        head_ref=_text(payload, "pull_request", "head", "ref"),
        head_repo=head,
        merge_sha=_hex(environ.get("GITHUB_SHA", "")),
        is_fork=head != (base or environ.get("GITHUB_REPOSITORY", "")),
        action=action,
        by_dependabot=environ.get("GITHUB_ACTOR") == DEPENDABOT,
    )


def _merge_group(environ: Mapping[str, str], payload: Any) -> Event:
    if _text(payload, "action") not in ("", "checks_requested"):
        return Other("merge_group", "the merge group is gone")
    base = _text(payload, "merge_group", "base_ref")
    return MergeGroup(
        base_sha=_sha(payload, "merge_group", "base_sha"),
        base_ref=base.removeprefix("refs/heads/"),
        sha=_hex(environ.get("GITHUB_SHA", "")) or _sha(payload, "merge_group", "head_sha"),
    )


def _ref(name: str, environ: Mapping[str, str], payload: Any) -> Event:
    cause: Cause = name  # type: ignore[assignment]  # the caller has compared it
    ref = environ.get("GITHUB_REF", "") or _text(payload, "ref")
    sha = _hex(environ.get("GITHUB_SHA", "")) or _sha(payload, "after")
    default = _text(payload, "repository", "default_branch")
    if _at(payload, "deleted") is True or re.fullmatch("0+", _text(payload, "after")):
        return Other(name, f"{ref} was deleted")
    if ref.startswith("refs/tags/"):
        return Tag(ref.removeprefix("refs/tags/"), sha, default, cause)
    if not ref.startswith("refs/heads/"):
        return Other(name, f"{ref or 'the event'} is neither a branch nor a tag")
    return Push(
        branch=ref.removeprefix("refs/heads/"),
        sha=sha,
        before=_sha(payload, "before"),
        forced=_at(payload, "forced") is True,
        default_branch=default,
        cause=cause,
    )


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(payload: Any, *path: str) -> str:
    value = _at(payload, *path)
    return value if isinstance(value, str) else ""


def _positive(payload: Any, *path: str) -> int:
    """A number of GitHub's; 0 for anything else."""
    value = _at(payload, *path)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value < 10**18 else 0


def _sha(payload: Any, *path: str) -> str:
    return _hex(_text(payload, *path))


def _hex(text: str) -> str:
    """A full commit id; anything else, all zeros included, becomes `""`."""
    is_id = re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text)
    return text if is_id and text.strip("0") else ""
