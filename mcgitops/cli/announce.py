"""Telling others of a rollout while a verb carries it out: webhooks, and GitHub's deployments.

Whatever goes wrong here is a warning. What is told of an end is what the hosts run, not what the
caller's exit code is made of.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.errors import HostNeedsAttention, McgitopsError
from mcgitops.forge.settings import read_settings

if TYPE_CHECKING:
    from mcgitops.deploy.notify import Notice, Notifier, State
    from mcgitops.deploy.outcome import Report
    from mcgitops.forge.deployments import DeploymentOnGitHub


class Announcement:
    """`with Announcement(app, environment, release) as told: told.of(deploy(…))`."""

    def __init__(self, app: App, environment: str, release: str) -> None:
        self.app = app
        self.environment = environment
        self.release = release
        self.spec = app.project.spec.environments[environment]
        in_ci = app.environ.get("GITHUB_ACTIONS") == "true"
        self.settings = read_settings(app.environ if in_ci else {})
        self.commit = ""
        self.report: Report | None = None
        self.notifier: Notifier | None = None
        self.deployment: DeploymentOnGitHub | None = None

    def of(self, report: Report) -> Report:
        """Take the report of a rollout that went well."""
        self.report = report
        return report

    def __enter__(self) -> Announcement:
        record = self.app.store.release(self.app.project.name, self.release)
        if record is None:  # there is nothing to announce: the verb itself says so
            return self
        self.commit = record.commit
        self._on_github()
        if self.spec.notify:
            from mcgitops.deploy.lock import owner_name
            from mcgitops.deploy.notify import Notice, Notifier

            self.notifier = Notifier(
                self.spec.notify, self.app.project.folder, self.app.environ, _say
            )
            self.notifier.tell(
                Notice(
                    self.app.project.name, self.environment, self.release, "started",
                    by=owner_name(self.app.environ), commit=self.commit,
                    url=self.spec.url or "", log=self.settings.run_url,
                )
            )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.notifier is None and self.deployment is None:
            return
        notice = self._end(error)
        if self.deployment is not None:
            headline = notice.headline.removeprefix(f"{notice.project}: ")
            self.deployment.end(headline, succeeded=error is None)
        if self.notifier is not None:
            specs = None
            if error is None and self._nothing_done:  # only who heard of a start waits for an end
                specs = [spec for spec in self.spec.notify if "started" in spec.on]
            self.notifier.tell(notice, specs)
            self.notifier.wait()

    @property
    def _nothing_done(self) -> bool:
        return self.report is not None and all(
            one.outcome == "nothing to do" for one in self.report.hosts.values()
        )

    def _on_github(self) -> None:
        from mcgitops.forge.deployments import DeploymentOnGitHub, is_shown

        if is_shown(self.settings, self.app.environ) and self.commit:
            self.deployment = DeploymentOnGitHub(self.settings, _say)
            self.deployment.begin(self.commit, self.environment, self.release, self.spec.url or "")

    def _end(self, error: BaseException | None) -> Notice:
        from mcgitops.deploy.lock import owner_name
        from mcgitops.deploy.notify import of_report
        from mcgitops.deploy.outcome import NeedsAttention, Report, RolledBack

        report = self.report or Report(self.environment, self.release, {})
        if isinstance(error, RolledBack | NeedsAttention):
            report = error.report
        state: State = "succeeded"
        problem = ""
        if error is not None:
            lost = isinstance(error, HostNeedsAttention)
            # anything else that we foresee has changed nothing, or has brought everything back
            foreseen = isinstance(error, McgitopsError | KeyboardInterrupt)
            state = "rolled-back" if foreseen and not lost else "needs-attention"
            problem = _problem(error)
        return of_report(
            report, state, project=self.app.project.name, problem=problem,
            by=report.by or owner_name(self.app.environ), commit=self.commit,
            url=self.spec.url or "", log=self.settings.run_url,
        )  # fmt: skip


def _problem(error: BaseException) -> str:
    if isinstance(error, McgitopsError):
        return error.message
    return "it was interrupted." if isinstance(error, KeyboardInterrupt) else "mcgitops failed."


def _say(line: str) -> None:
    click.echo(line, err=True)
