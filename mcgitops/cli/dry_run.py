"""Shows a rollout instead of carrying it out: as text, as JSON, or as a script of the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mcgitops.cli.app import App
    from mcgitops.plan.model import Section
    from mcgitops.plan.rollout import Rollout


def show(app: App, rollout: Rollout, *, as_json: bool, as_shell: bool) -> None:
    """Print what would be executed."""
    if as_shell:
        from mcgitops.plan.model import Plan, Revision
        from mcgitops.plan.views import to_shell

        plan = Plan(
            app.project.name, Revision(), Revision(), (),
            sections(rollout, rollout.environment, f"release {rollout.release}"),
        )  # fmt: skip
        files = tuple(str(path) for path in app.project.files)
        click.echo(to_shell(plan, files=files, folder=str(app.project.folder)), nl=False)
        return
    from mcgitops.deploy.views import rollout_json, rollout_text

    if as_json:
        import json

        click.echo(json.dumps(rollout_json(rollout), indent=2))
    else:
        click.echo(rollout_text(rollout))


def sections(rollout: Rollout, environment: str, reason: str) -> tuple[Section, ...]:
    """A rollout as sections of a plan. Until the commit there is a way back."""
    from mcgitops.deploy.views import order
    from mcgitops.plan.model import Section

    name = f"deploy {environment}"
    if rollout.nothing_to_do:
        return (Section(name, reason),)
    notes = tuple(line for line in order(rollout) if line)
    return (
        Section(name, reason, rollout.revocable, rollout.undo, notes=notes),
        Section(f"commit {environment}", "on all hosts", rollout.of("commit")),
        Section(f"tidy up {environment}", "", rollout.of("finish"), only_warns=True),
    )
