"""What a CI job is to do: the event's activities as the options narrow them, and their commands."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mcgitops.cli.app import App
from mcgitops.commands.command import Command
from mcgitops.commands.ours import verb
from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.facts import git
from mcgitops.forge.comment import Way
from mcgitops.forge.event import (
    Activity,
    Event,
    MergeGroup,
    Other,
    PullRequest,
    Push,
    Tag,
    Target,
    activities,
    pulling,
    read_event,
    release_name,
)
from mcgitops.forge.settings import Settings

PARTS = {
    "train": ("train", "push"),
    "report": ("report", "comment"),
    "deploy": ("release", "deploy"),
}
"""What `--only` chooses."""


@dataclass(frozen=True)
class Options:
    """The options of `mcgitops ci`."""

    event: str = "auto"
    only: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    base: str = ""
    key: str = ""
    comment: tuple[str, ...] = ()  # the words of --comment
    waivers: bool = True
    comment_author: str = ""
    status: bool = False
    environments: tuple[str, ...] = ()
    release: str = ""
    any_branch: bool = False
    as_json: bool = False

    def __post_init__(self) -> None:
        """Raise `UsageError` where the words contradict each other."""
        words = {"edit" if word == "true" else word for word in self.comment}
        ways = words - {"changes"}
        if len(ways) > 1 or ("false" in ways and len(words) > 1):
            raise UsageError(
                f"--comment {' '.join(self.comment)}: these words contradict each other.",
                "Name one of true, edit, hide, recreate and false; changes may go with the first "
                "four.",
            )

    @property
    def comments(self) -> bool:
        """Whether a comment is wanted at all."""
        return "false" not in self.comment

    @property
    def quiet(self) -> bool:
        """Whether it is wanted only where something changed."""
        return "changes" in self.comment

    @property
    def way(self) -> Way:
        """What becomes of the earlier comment."""
        ways: tuple[Way, ...] = ("hide", "recreate")
        return next((way for way in ways if way in self.comment), "edit")


@dataclass(frozen=True)
class Agenda:
    """The event and the activities that it asks for, in order."""

    event: Event
    activities: tuple[Activity, ...]
    options: Options
    pulling: tuple[str, ...] = ()  # environments whose hosts deploy the release themselves

    @classmethod
    def of(cls, app: App, settings: Settings, options: Options) -> Agenda:
        """Read the event and decide. Nothing is done, and nothing outside is asked."""
        if options.event == "auto":
            event = read_event(app.environ, settings.payload())
        else:
            event = _checked_out(app, options.event)
        known = targets(app)
        wanted = _wanted(activities(event, known), event, known, options)
        released = any(activity.kind == "release" for activity in wanted)
        return cls(event, wanted, options, pulling(event, known) if released else ())

    def select(self, *kinds: str) -> list[Activity]:
        """The activities of these kinds."""
        return [activity for activity in self.activities if activity.kind in kinds]

    @property
    def has_no_secrets(self) -> bool:
        """Whether the job has neither rights nor secrets, as the code may be a stranger's."""
        return isinstance(self.event, PullRequest) and self.event.has_no_secrets

    @property
    def head(self) -> str:
        """The commit that people know this by."""
        event = self.event
        if isinstance(event, PullRequest):
            return event.head_sha
        return event.sha if isinstance(event, Push | Tag | MergeGroup) else ""

    @property
    def release(self) -> str:
        """The name of the release that is made or deployed."""
        if self.options.release:
            return self.options.release
        return release_name(self.event) if isinstance(self.event, Push | Tag) else ""

    def command(self, activity: Activity) -> Command | None:
        """The verb that does an activity; None for what no verb does."""
        match activity.kind:
            case "train":
                # A stranger's code must not fill the store that others are compared with.
                kept = ("--no-push",) if self.has_no_secrets else ()
                return verb("train", *kept, *self.options.stages, reason=activity.reason)
            case "push":
                return verb("push", reason=activity.reason)
            case "report":
                base = ("--base", self.options.base) if self.options.base else ()
                return verb("report", *base, "--format", "markdown", reason=activity.reason)
            case "comment":
                return None
            case "release":
                return verb("release", activity.target, reason=activity.reason)
            case "deploy":
                release = ("--release", self.release)
                return verb("deploy", activity.target, *release, reason=activity.reason)

    def heading(self) -> str:
        """The event on one line."""
        match self.event:
            case PullRequest(number=number, is_fork=is_fork):
                what = f"pull request {number}{' from a fork' if is_fork else ''}"
            case Push(branch=branch, cause=cause):
                what = f"{cause} on {shown(branch)}"
            case Tag(name=name):
                what = f"tag {shown(name)}"
            case MergeGroup(base_ref=base):
                what = f"merge queue of {shown(base)}"
            case _:
                what = self.event.name or "no event"
        what += f" at {self.head[:7]}" if self.head else ""
        if self.activities:
            return f"mcgitops: {what}"
        why = self.event.reason if isinstance(self.event, Other) else "it asks for nothing"
        return f"mcgitops: {what}: nothing to do: {why}."

    def lines(self) -> list[str]:
        """One line for each activity: the command that does it, and why."""
        made = []
        for activity in self.activities:
            command = self.command(activity)
            line = command.shell_line() if command else activity.kind
            made.append(f"{line}   # {shown(activity.reason)}")
        return made

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        commands = [(activity, self.command(activity)) for activity in self.activities]
        return {
            "event": {"type": type(self.event).__name__, **asdict(self.event)},
            "activities": [
                asdict(activity) | ({"command": list(command.argv)} if command else {})
                for activity, command in commands
            ],
        }


def targets(app: App) -> tuple[Target, ...]:
    """The project's environments as far as an event is concerned."""
    return tuple(
        Target(
            name,
            trigger.branch if trigger else None,
            trigger.tag if trigger else None,
            environment.pull,
        )
        for name, environment in app.project.spec.environments.items()
        for trigger in (environment.trigger,)
    )


def shown(name: str) -> str:
    """A ref's name, which anybody may have chosen, on one line."""
    return "".join(c if c.isprintable() else "�" for c in name)[:200]


def _checked_out(app: App, kind: str) -> Event:
    """The event that pushing what is checked out would be."""
    head = git.head(app.folder)
    if not head.commit:
        raise UsageError("There is no commit here.", "Run it in a git repository.")
    if kind == "push":
        if not head.branch:
            raise UsageError("No branch is checked out.", "Check one out: git switch main.")
        return Push(head.branch, head.commit)
    found = git.tags_at_head(app.folder)
    if len(found) != 1:
        has = f"has the tags {', '.join(found)}" if found else "has no tag"
        raise UsageError(f"The checked-out commit {has}.", "Check out a commit with one tag.")
    return Tag(found[0], head.commit)


def _wanted(
    found: Sequence[Activity], event: Event, known: Sequence[Target], options: Options
) -> tuple[Activity, ...]:
    """The event's activities as the options narrow or change them."""
    chosen = list(found)
    if options.environments:
        _check_environments(options.environments, known)
        chosen = [a for a in chosen if a.kind not in ("release", "deploy")]
        if isinstance(event, Push | Tag):
            chosen.append(Activity("release", "asked for", release_name(event)))
        elif not options.release:
            raise UsageError(
                "Nothing is released for this event, so that there is nothing to deploy.",
                "Name a release: --release NAME.",
            )
        chosen += [Activity("deploy", "asked for", name) for name in options.environments]
    if options.release:
        chosen = [a for a in chosen if a.kind != "release"]
    if options.only:
        kinds = {kind for part in options.only for kind in PARTS[part]}
        chosen = [a for a in chosen if a.kind in kinds]
    if not options.comments:
        chosen = [a for a in chosen if a.kind != "comment"]
    if isinstance(event, PullRequest) and event.has_no_secrets:
        chosen = [a for a in chosen if a.kind != "push"]
    return tuple(chosen)


def _check_environments(wanted: Sequence[str], known: Sequence[Target]) -> None:
    names = [target.name for target in known]
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"The file has {', '.join(names)}."
            raise UsageError(
                f"There is no environment {name}.", hint if names else "The file has none."
            )
