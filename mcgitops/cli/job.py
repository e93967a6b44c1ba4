"""One job of a CI: the agenda's activities, each done by the verb that a person would call.

Which activities an event has is decided in `mcgitops.forge.event`, and what they are called with in
`mcgitops.cli.agenda`. Here they are done in order, and their exit codes put together.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from mcgitops.cli import history
from mcgitops.cli.agenda import Agenda, Options, shown
from mcgitops.cli.app import HEAD_SHA, App
from mcgitops.cli.interrupt import ended_politely
from mcgitops.cli.place import LEG, Place
from mcgitops.commands.command import Command
from mcgitops.errors import (
    GateFailed,
    McgitopsError,
    ProjectError,
    StoreError,
    TrainingFailed,
    UsageError,
)
from mcgitops.facts.base import Base
from mcgitops.forge import workflow
from mcgitops.forge.comment import Marker
from mcgitops.forge.event import PullRequest, Push, Tag
from mcgitops.forge.runner import Runner
from mcgitops.forge.settings import cleaned, comment_key, leg_of, read_settings

if TYPE_CHECKING:
    from mcgitops.forge.github import GitHub, Pull
    from mcgitops.forge.sticky import Outcome
    from mcgitops.report.model import Report

SSH_KEY = "MCGITOPS_SSH_KEY"
HTML_ARTIFACT = "MCGITOPS_HTML_ARTIFACT"
"""Set by the actions: `true` where their next step uploads the HTML report."""
MOST_LINES = 50


class Job:
    """What the event asks for, and what came of it."""

    def __init__(self, app: App, options: Options) -> None:
        self.app = app
        self.options = options
        self.settings = read_settings(app.environ)
        self.runner = Runner(self.settings)
        self.outcome: Outcome | None = None
        self.code = 0

    @cached_property
    def agenda(self) -> Agenda:
        """What there is to do. Reads the event and the project's file, and does nothing."""
        if self.options.key:
            cleaned("--key", self.options.key, comment_key)
        cleaned(LEG, self.app.environ.get(LEG, ""), leg_of)
        return Agenda.of(self.app, self.settings, self.options)

    def run(self) -> int:
        """Do it all; returns the exit code. What failed is said on the run's page, too."""
        self.runner.hide(self.app.environ.get(SSH_KEY, ""))
        os.environ.pop(SSH_KEY, None)  # no compose file can hand it to a container
        try:
            self.runner.say(self.agenda.heading())
            if isinstance(self.agenda.event, PullRequest):
                self.app.environ[HEAD_SHA] = self.agenda.event.head_sha
            with ended_politely(), _results_aside(self.options.as_json):
                if self.agenda.has_no_secrets:
                    self._do_without_store()
                self.code = self._train_and_report()
                if self.code == 0:
                    self._release_and_deploy()
        except McgitopsError as error:
            self.code = error.exit_code
            self._failed(error)
        self.runner.output("exit-code", str(self.code))
        self.runner.finish()
        return self.code

    def to_json(self) -> dict[str, Any]:
        """What was or would be done, for programs."""
        done = {"code": self.code, "outputs": self.runner.outputs}
        comment = {"comment": asdict(self.outcome)} if self.outcome else {}
        known = self._decided or self.code == 0
        return (self.agenda.to_json() if known else {}) | comment | done

    def _train_and_report(self) -> int:
        """A failed training is reported on, too, and so is a failed gate; 4 comes before 3."""
        failed: TrainingFailed | None = None
        for activity in self.agenda.select("train", "push"):
            try:
                self._call(self.agenda.command(activity))
            except TrainingFailed as error:
                failed = failed or error
        report = self._report(failed) if self.agenda.select("report") else None
        if failed:
            self._failed(failed, in_summary=report is None)
        elif report and (gates := _failed_gates(report)):
            self.runner.error(str(gates))
            return self._with_status(report, gates.exit_code)
        return self._with_status(report, failed.exit_code if failed else 0)

    def _release_and_deploy(self) -> None:
        """In order; the first failure ends it."""
        releases, deploys = self.agenda.select("release"), self.agenda.select("deploy")
        event = self.agenda.event
        # a release is all that an environment that pulls waits for: it is held to the same
        deploying = bool(deploys or self.agenda.pulling)
        if deploying and isinstance(event, Tag) and not self.options.any_branch:
            history.require_branch(self.app, lambda: self._github, event)
        for activity in releases:
            self._call(self.agenda.command(activity))
            self.runner.output("release", activity.target)
        deployed: list[str] = []
        for activity in deploys:
            self._call(self.agenda.command(activity))
            deployed.append(activity.target)
            self.runner.output("environments", " ".join(deployed))
        if releases or deploys:
            from mcgitops.report.escape import plain

            text = f"### Released {plain(self.agenda.release)}\n"
            places = ", ".join(plain(activity.target) for activity in deploys)
            text += f"\nDeployed to {places}.\n" if places else ""
            if pulling := ", ".join(plain(name) for name in self.agenda.pulling):
                text += f"\nPulled by {pulling}: mcgitops agent deploys it there.\n"
            self.runner.summary(text)

    def _call(self, command: Command | None) -> None:
        """Call one of our verbs within this process; its errors come out as they are."""
        from mcgitops.cli.main import cli

        assert command is not None  # noqa: S101 - a comment isn't called
        name, *arguments = command.argv[1:]
        found = cli.get_command(click.Context(cli), name)
        assert found is not None  # noqa: S101 - the agenda's verbs are ours
        self.runner.say(f"$ {command.shell_line()}   # {shown(command.reason)}")
        # A training tells log and commands apart by itself; what others quote isn't ours either.
        with nullcontext() if name == "train" else self.runner.unheard():
            code = found.main(
                args=arguments, obj=self.app, prog_name=f"mcgitops {name}", standalone_mode=False
            )
        if isinstance(code, int) and code:
            raise McgitopsError(f"mcgitops {name} ended with {code}.")

    def _report(self, failed: TrainingFailed | None) -> Report | None:
        """Make the report and show it. None where a training failed before it left anything."""
        from mcgitops.cli.evidence import make_report
        from mcgitops.report import json_view, markdown
        from mcgitops.report.words import is_quiet

        event = self.agenda.event
        head, name = "", ""
        if isinstance(event, PullRequest):
            head, name = event.head_sha, event.head_ref
        elif isinstance(event, Push) and event.branch != event.default_branch:
            # It leads where its pull request says, which needn't be the default branch. Without
            # one the event knows better than a clone which branch that is.
            if self._pulls:
                event = replace(event, default_branch=self._pulls[0].base_ref)
            self.app.environ["GITHUB_BASE_REF"] = event.default_branch
        base = self.options.base or history.base_for(self.app, lambda: self._github, event) or ""
        given = base.commit if isinstance(base, Base) else base
        self.runner.say("$ mcgitops report" + (f" --base {shown(given)}" if given else ""))
        try:
            report = make_report(self.app, base=base, shown_head=head, name=name)
        except UsageError:
            if failed:
                return None
            raise
        report = self._with_waivers(report)
        if self.agenda.has_no_secrets or self.app.store.is_local:
            report = self._left_as_artifact(report)
        else:  # the bucket holds nothing of a stranger's
            report = self._published(report)
        self.runner.say(f"{report.project}: {report.headline}")
        text = markdown.render(replace(report, project=self._place.shown))
        self._keep("report", f"report-{self._key}.md", text)
        self._keep("report-json", f"report-{self._key}.json", json_view.render(report) + "\n")
        if self.agenda.has_no_secrets:
            self._hand_over(report)
        self.runner.output("gate", "failed" if report.failed_gates else "passed")
        self.runner.summary(markdown.render(report, workflow.SUMMARY_BYTES // 4))
        self._comment(text, quiet=self.options.quiet and is_quiet(report))
        return report

    def _published(self, report: Report) -> Report:
        """The report with the addresses of its HTML, which goes into the bucket, and of artifacts.

        It is worth a notice where that fails, and no reason to say nothing of the model.
        """
        from mcgitops.cli.html_report import publish_html, with_artifact_links

        store, link = self.app.store, self.app.project.spec.report.link
        page = report
        try:
            commit = "" if report.head.dirty else report.head.commit
            if commit and store.commits(commit, report.project):
                page = report = replace(report, fetch=f"mcgitops pull {commit[:12]}")
            report = with_artifact_links(store, report, link)
        except StoreError as error:
            self.runner.notice(f"The artifacts could not be linked: {error.message}")
        if link != "presigned":  # a signature ends, and the page stays
            page = report
        try:
            address = publish_html(store, page, self._key, link)
        except StoreError as error:
            self.runner.notice(f"The HTML report could not be stored: {error.message}")
            return self._left_as_artifact(report)
        self.runner.say(f"HTML report stored in {self.app.store.url}")
        return replace(report, full_report=address)

    def _left_as_artifact(self, report: Report) -> Report:
        """The report with the address of the run's artifacts, where the action's next step puts it.

        As it was where no action asks for that, or the server's artifacts are of another kind.
        """
        from mcgitops.cli.html_report import artifacts_address, write_pages

        wanted = self.app.environ.get(HTML_ARTIFACT) == "true"
        address = artifacts_address(self.settings) if wanted else ""
        if not address:
            return report
        folder = (self.settings.temp or self.app.workspace.state) / f"mcgitops-{self._key}-pages"
        write_pages(folder, report)
        self.runner.output("html", str(folder))
        self.runner.output("html-name", f"mcgitops-{self._key}")
        return replace(report, full_report=address)

    def _keep(self, output: str, name: str, text: str) -> None:
        """Keep a text for the steps that come after, and tell them where."""
        path = (self.settings.temp or self.app.workspace.state) / f"mcgitops-{name}"
        path.write_text(text, encoding="utf-8", errors="replace")
        self.runner.output(output, str(path))

    def _hand_over(self, report: Report) -> None:
        """Leave the report as data for a workflow that may comment, in a folder of its own."""
        from mcgitops.forge.handover import MEMBER, packed

        folder = (self.settings.temp or self.app.workspace.state) / f"mcgitops-{self._key}"
        folder.mkdir(exist_ok=True)
        path = folder / MEMBER
        path.write_text(packed(report), encoding="utf-8")
        self.runner.output("hand-over", str(path))

    def _with_waivers(self, report: Report) -> Report:
        """The report, with those gates waived that somebody waived in the pull request."""
        numbers = self._numbers
        if not (report.failed_gates and numbers and self.options.waivers and self.settings.token):
            return report
        from mcgitops.forge.github import ForgeError
        from mcgitops.forge.waivers import waived
        from mcgitops.report.waived import with_waivers

        for number in numbers:
            try:
                found = waived(self._github, number, Marker(self._key, sha=self.agenda.head))
            except ForgeError as error:
                self.runner.notice(f"Waivers could not be read: {error}")
                continue
            for note in found.notes:
                self.runner.say(shown(note))
            report = with_waivers(report, found.waivers)
        for waiver in report.waivers:
            self.runner.say(f"{shown(waiver.gate)} is waived by {waiver.by} ({waiver.how})")
        return report

    def _comment(self, text: str, *, quiet: bool = False) -> None:
        """Post to the pull requests that this is about, where a comment is wanted."""
        if not self.agenda.select("comment"):
            return
        sha = self.agenda.head
        marker = Marker(self._key, self.settings.run_id, self.settings.run_attempt, sha)
        for number in self._numbers:
            self.outcome = outcome = self._github.report_comment(
                number, marker, text, way=self.options.way, quiet=quiet
            )
            if outcome.posted:
                self.runner.output("comment-url", outcome.url)
                self.runner.say(f"comment {outcome.action}: {outcome.url} ({outcome.reason})")
            elif outcome.action == "refused":
                summary = "in the job's summary" if self.settings.summary else "above"
                self.runner.notice(f"No comment: {outcome.reason} The report is {summary}.")
            else:
                earlier = "; the earlier one is gone" if outcome.action == "removed" else ""
                self.runner.say(f"no comment: {outcome.reason}{earlier}")

    @property
    def _numbers(self) -> tuple[int, ...]:
        """The pull requests that this job is about."""
        event = self.agenda.event
        if isinstance(event, PullRequest):
            return (event.number,)
        return tuple(pull.number for pull in self._pulls)

    @cached_property
    def _pulls(self) -> tuple[Pull, ...]:
        """The open pull requests that the pushed commit is the head of."""
        if not (isinstance(self.agenda.event, Push) and self.agenda.select("comment")):
            return ()
        if not (self.settings.token and self.settings.repository):
            return ()
        from mcgitops.forge.github import ForgeError

        try:
            found = self._github.open_pulls(self.agenda.head)
        except ForgeError as error:
            self.runner.say(f"No comment: {error}")
            return ()
        ours = tuple(p for p in found if p.base_repository == self.settings.repository)
        numbers = ", ".join(str(pull.number) for pull in ours)
        self.runner.say(f"pull request {numbers}" if ours else "no open pull request has this head")
        return ours

    def _with_status(self, report: Report | None, code: int) -> int:
        """Set the commit's status where it is wanted; returns `code`."""
        if self.options.status and self.agenda.select("report"):
            said = report.headline if report else "training failed"
            outcome = self._github.set_status(
                self.agenda.head, "failure" if code else "success", f"mcgitops/{self._key}", said,
                self.settings.run_url,
            )  # fmt: skip
            if not outcome.posted:
                self.runner.notice(f"No commit status: {outcome.reason}")
        return code

    def _failed(self, error: McgitopsError, *, in_summary: bool = True) -> None:
        if isinstance(error, ProjectError):
            for problem in error.problems:
                self.runner.error(str(problem), self._in_repository(problem.file), problem.line)
        else:
            self.runner.error(str(error))
        if not in_summary:
            return
        text = self._failure(error)
        self.runner.summary(text)
        # A report of an earlier commit would otherwise stand there as if it were this one's.
        if self._decided and self.outcome is None:
            self._comment(text)

    def _failure(self, error: McgitopsError) -> str:
        """What is said instead of a report."""
        from mcgitops.report.escape import fence, plain

        decided = self._decided
        name = plain(self._place.shown) if decided else "mcgitops"
        head = f" of `{self.agenda.head[:12]}`" if decided and self.agenda.head else ""
        words = fence(str(error).splitlines()[-MOST_LINES:])
        return f"### 🔴 {name}: failed\nThere is no report{head}:\n\n{words}\n"

    @property
    def _decided(self) -> bool:
        """Whether it is known what there is to do; not where the event or the file is wrong."""
        return "agenda" in vars(self)

    def _in_repository(self, file: str) -> str:
        """The file's path as the forge knows it, to show the message beside the line."""
        if not file or self.settings.workspace is None:
            return ""
        return os.path.relpath(self.app.folder / file, self.settings.workspace)

    def _do_without_store(self) -> None:
        """Without secrets a job may not even be able to read the store: then it uses its own."""
        try:
            self.app.store.release(self.app.project.name, "probe")
        except StoreError as error:
            self.runner.notice(
                "This job has no credentials for the store, as for a fork's or Dependabot's pull "
                f"request. There may be nothing to compare with. {error.message}"
            )
            self.app.environ["MCGITOPS_STORE"] = ".mcgitops/store"
            for name in ("store", "workspace"):
                vars(self.app).pop(name, None)  # made anew from the variable

    @property
    def _key(self) -> str:
        return self._place.key

    @cached_property
    def _place(self) -> Place:
        return Place.of(self.app, self.options.key)

    @cached_property
    def _github(self) -> GitHub:
        from mcgitops.forge.github import GitHub

        settings = self.settings
        return GitHub(
            settings.api_url, settings.token, settings.repository,
            author=self.options.comment_author,
        )  # fmt: skip


def _failed_gates(report: Report) -> GateFailed | None:
    from mcgitops.cli.report import fail_on_gates

    try:
        fail_on_gates(report)
    except GateFailed as failed:
        return failed
    return None


@contextmanager
def _results_aside(wanted: bool) -> Iterator[None]:
    """With `--json` the verbs' own results go to standard error."""
    if not wanted:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield
