"""What CI does for an event beyond training, as sections of a plan."""

from __future__ import annotations

import fnmatch

from mcgitops.cli.app import App
from mcgitops.commands.ours import verb
from mcgitops.errors import UsageError
from mcgitops.facts import git
from mcgitops.facts.program import output
from mcgitops.plan.model import Plan, Section


def sections(app: App, plan: Plan, event: str, tag: str | None) -> tuple[Section, ...]:
    """The sections after the training's own."""
    if event == "pull_request":
        return (Section("report", commands=(verb("report", "--format", "markdown"),)),)
    if event == "push":
        branch = plan.head.name
        found = [Section("report", commands=(verb("report", "--format", "markdown"),))]
        for name, environment in app.project.spec.environments.items():
            pattern = environment.trigger.branch if environment.trigger else None
            if pattern and branch and fnmatch.fnmatchcase(branch, pattern):
                release = f"{branch}-{plan.head.commit[:12]}"
                found += _release_and_deploy(app, release, [name])
        return tuple(found)
    name = tag or _tag_of_head(app)
    environments = [
        environment_name
        for environment_name, environment in app.project.spec.environments.items()
        if environment.trigger
        and environment.trigger.tag
        and fnmatch.fnmatchcase(name, environment.trigger.tag)
    ]
    return tuple(_release_and_deploy(app, name, environments))


def _release_and_deploy(app: App, release: str, environments: list[str]) -> list[Section]:
    """The release; then each environment: exact commands where the release exists by now."""
    record = app.store.release(app.project.name, release)
    found: list[Section] = []
    if record is None:
        found.append(Section("release", commands=(verb("release", release),)))
    for environment in environments:
        if record is None:
            found.append(
                Section(
                    f"deploy {environment}",
                    f"decides when {release} is released",
                    (verb("deploy", environment, "--release", release),),
                )
            )
            continue
        from mcgitops.deploy.rollout import plan_rollouts

        rollout = plan_rollouts(app.project, app.store, environment, release, app.environ)
        found.append(
            Section(f"deploy {environment}", f"release {release}", rollout.commands, rollout.undo)
        )
    return found


def _tag_of_head(app: App) -> str:
    head = git.head(app.project.folder)
    if head.commit:
        done = output(("git", "tag", "--points-at", head.commit), app.project.folder, check=False)
        tags = done.stdout.split()
        if tags:
            return tags[-1]
    raise UsageError("HEAD has no tag.", "Name one: --tag NAME.")
