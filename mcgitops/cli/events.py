"""What CI does for an event beyond training, as sections of a plan.

The same function as in CI decides (`mcgitops.forge.event.activities`), so that what is shown here
is what a job does.
"""

from __future__ import annotations

from mcgitops.cli.agenda import Agenda, Options, targets
from mcgitops.cli.app import App
from mcgitops.commands.command import Command
from mcgitops.errors import UsageError
from mcgitops.facts import git
from mcgitops.forge.event import Event, PullRequest, Push, Tag, activities, pulling
from mcgitops.plan.model import Plan, Section


def sections(app: App, plan: Plan, event: str, tag: str | None) -> tuple[Section, ...]:
    """The sections after the training's own."""
    value = _event(app, plan, event, tag)
    known = targets(app)
    agenda = Agenda(value, activities(value, known), Options(), pulling(value, known))
    record = app.store.release(app.project.name, agenda.release) if agenda.release else None
    found: list[Section] = []
    for activity in agenda.select("report", "release", "deploy"):
        command = agenda.command(activity)
        assert command is not None  # noqa: S101 - a verb does each of these
        if activity.kind == "deploy":
            found += _deployment(app, activity.target, agenda.release, command, record is None)
        elif activity.kind == "report" or record is None:
            found.append(Section(activity.kind, commands=(command,)))
    for name in agenda.pulling:
        found.append(Section(f"deploy {name}", "its hosts pull the release: mcgitops agent"))
    return tuple(found)


def _deployment(
    app: App, environment: str, release: str, command: Command, pending: bool
) -> tuple[Section, ...]:
    """Exact commands where the release exists by now. Until the commit there is a way back."""
    name = f"deploy {environment}"
    if pending:
        return (Section(name, f"decides when {release} is released", (command,)),)
    from mcgitops.cli.dry_run import sections as of_rollout
    from mcgitops.deploy.rollout import plan_rollouts

    rollout = plan_rollouts(app.project, app.store, environment, release, app.environ)
    return of_rollout(rollout, environment, f"release {release}")


def _event(app: App, plan: Plan, event: str, tag: str | None) -> Event:
    """The event that would be sent for what is checked out."""
    commit = plan.head.commit
    if event == "tag":
        return Tag(tag or _tag_of_head(app), commit)
    if event == "push":
        return Push(plan.head.name, commit)
    branch = plan.head.name
    return PullRequest(
        number=0, base_sha="", base_ref="", head_sha=commit, head_ref=branch, head_repo="",
        merge_sha=commit, is_fork=False,
    )  # fmt: skip


def _tag_of_head(app: App) -> str:
    if found := git.tags_at_head(app.project.folder):
        return found[-1]
    raise UsageError("HEAD has no tag.", "Name one: --tag NAME.")
