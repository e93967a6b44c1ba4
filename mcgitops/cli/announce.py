"""Telling others of a rollout while a verb carries it out: webhooks, and GitHub's deployments.

Whatever goes wrong here is a warning, never a failed rollout.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.forge.settings import read_settings

if TYPE_CHECKING:
    from mcgitops.deploy.outcome import Report
    from mcgitops.deploy.told import Told
    from mcgitops.forge.deployments import DeploymentOnGitHub


class Announcement:
    """`with Announcement(app, environment, release) as told: told.of(deploy(…))`."""

    def __init__(self, app: App, environment: str, release: str) -> None:
        self.app = app
        self.environment = environment
        self.release = release
        in_ci = app.environ.get("GITHUB_ACTIONS") == "true"
        self.settings = read_settings(app.environ if in_ci else {})
        self.told: Told | None = None
        self.deployment: DeploymentOnGitHub | None = None

    def of(self, report: Report) -> Report:
        """Take the report of a rollout that went well."""
        return self.told.of(report) if self.told else report

    def __enter__(self) -> Announcement:
        from mcgitops.deploy.told import Told

        project = self.app.project
        spec = project.spec.environments[self.environment]
        record = self.app.store.release(project.name, self.release)
        if record is None:  # there is nothing to announce: the verb itself says so
            return self
        self._on_github(record.commit, spec.url or "")
        self.told = Told(
            project.name, self.environment, spec, self.release, project.folder, self.app.environ,
            _say, commit=record.commit, log=self.settings.run_url,
        )  # fmt: skip
        self.told.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.told is None:
            return
        if self.deployment is not None:
            notice = self.told.end(error)
            headline = notice.headline.removeprefix(f"{notice.project}: ")
            self.deployment.end(headline, succeeded=error is None)
        self.told.__exit__(kind, error, trace)

    def _on_github(self, commit: str, url: str) -> None:
        if not self.settings.in_actions:
            return
        from mcgitops.forge.deployments import DeploymentOnGitHub, is_shown

        if is_shown(self.settings, self.app.environ) and commit:
            self.deployment = DeploymentOnGitHub(self.settings, _say)
            self.deployment.begin(commit, self.environment, self.release, url)


def webhooks(app: App, environment: str, release: str) -> Told:
    """Only the webhooks: what needs neither store nor forge."""
    from mcgitops.deploy.told import Told

    spec = app.project.spec.environments[environment]
    return Told(app.project.name, environment, spec, release, app.project.folder, app.environ, _say)


def _say(line: str) -> None:
    click.echo(line, err=True)
