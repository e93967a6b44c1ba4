"""One job of a CI: the event's activities, each done by the verb that a person would call.

Which activities an event has is decided in `mcgitops.forge.event`, and what is said to the runner
in `mcgitops.forge.workflow`. Here they are put in order, and their exit codes together.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcgitops.cli import history
from mcgitops.cli.app import HEAD_SHA, App
from mcgitops.commands.command import Command
from mcgitops.commands.ours import verb
from mcgitops.errors import GateFailed, McgitopsError, TrainingFailed, UsageError
from mcgitops.facts import git
from mcgitops.forge import workflow
from mcgitops.forge.comment import Marker
from mcgitops.forge.event import (
    Activity,
    Event,
    MergeGroup,
    Other,
    Privileged,
    PullRequest,
    Push,
    Tag,
    Target,
    activities,
    read_event,
    release_name,
)
from mcgitops.forge.settings import Settings, cleaned, comment_key, key_from, read_settings

if TYPE_CHECKING:
    from mcgitops.forge.github import GitHub, Outcome
    from mcgitops.report.model import Report

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
    comment: bool = True
    comment_author: str = ""
    status: bool = False
    environments: tuple[str, ...] = ()
    release: str = ""
    any_branch: bool = False
    to_stderr: bool = False


@dataclass
class Job:
    """The event, what it asks for, and what came of it."""

    app: App
    options: Options
    settings: Settings
    event: Event
    activities: tuple[Activity, ...]
    report: Report | None = None
    comment: Outcome | None = None
    results: dict[str, str] = field(default_factory=dict)
    code: int = 0

    @classmethod
    def from_app(cls, app: App, options: Options) -> Job:
        """Read the event and decide; nothing has been done yet."""
        settings = read_settings(app.environ)
        if options.key:
            cleaned("--key", options.key, comment_key)
        event = _event(app, settings, options.event)
        targets = _targets(app)
        wanted = _wanted(activities(event, targets), event, targets, options)
        if isinstance(event, PullRequest):
            app.environ[HEAD_SHA] = event.head_sha
        return cls(app, options, settings, event, wanted)

    # Doing

    def run(self) -> int:
        """Do it all; returns the exit code. What failed is said on the run's page, too."""
        self._say(self._heading())
        self._hide_key()
        try:
            with self._streams():
                self._evidence()
                if self.code == 0:
                    self._delivery()
        except McgitopsError as error:
            self.code = error.exit_code
            self._failed(error)
        self._write_outputs()
        return self.code

    def _evidence(self) -> None:
        """Train and report. A failed training is reported on, too, and so is a failed gate."""
        training: McgitopsError | None = None
        for activity in self._of("train", "push"):
            try:
                self._call(self._command(activity))
            except TrainingFailed as error:
                training = training or error
        if training:
            self.code = training.exit_code
            self._failed(training)
        gates = self._report() if self._of("report") else None
        if self._of("comment") and self.report:
            self._comment(self.report)
        if gates and not training:
            self.code = gates.exit_code
            self._failed(gates, summary=False)
        if self.options.status and self._of("report"):
            self._status()

    def _delivery(self) -> None:
        """Release and deploy, in order; the first failure ends it."""
        todo = self._of("release", "deploy")
        if isinstance(self.event, Tag) and self._of("deploy") and not self.options.any_branch:
            history.require_branch(self.app, self._github, self.event)
        for activity in todo:
            self._call(self._command(activity))
            self.results[activity.kind] = activity.target
        if todo:
            self._summary(self._delivered())

    def _command(self, activity: Activity) -> Command:
        """The verb that does an activity."""
        match activity.kind:
            case "train":
                return verb("train", *self.options.stages, reason=activity.reason)
            case "report":
                base = ("--base", self.options.base) if self.options.base else ()
                return verb("report", *base, "--format", "markdown", reason=activity.reason)
            case "release":
                return verb("release", activity.target, reason=activity.reason)
            case "deploy":
                release = ("--release", self._release())
                return verb("deploy", activity.target, *release, reason=activity.reason)
            case "push" | "comment":
                return verb(activity.kind, reason=activity.reason)

    def _call(self, command: Command) -> None:
        """Call one of our verbs within this process; its errors come out as they are."""
        from mcgitops.cli.main import cli

        name, *arguments = command.argv[1:]
        found = cli.get_command(click.Context(cli), name)
        if found is None:
            raise UsageError(f"There is no verb {name}.")
        self._say(f"$ {command.shell_line()}   # {_shown(command.reason)}")
        code = found.main(
            args=arguments, obj=self.app, prog_name=f"mcgitops {name}", standalone_mode=False
        )
        if isinstance(code, int) and code:
            raise McgitopsError(f"mcgitops {name} ended with {code}.")

    def _report(self) -> GateFailed | None:
        """Make the report and show it; returns what its gates say."""
        from mcgitops.cli.evidence import make_report
        from mcgitops.cli.report import fail_on_gates
        from mcgitops.report import json_view, markdown

        event = self.event
        head = event.head_sha if isinstance(event, PullRequest) else ""
        name = event.head_ref if isinstance(event, PullRequest) else ""
        base = self.options.base or history.base_for(self.app, self._github, event)
        self._say("$ mcgitops report" + (f" --base {base[:12]}" if base else ""))
        try:
            report = make_report(self.app, base=base, shown_head=head, name=name)
        except UsageError:
            if self.code:  # the training failed before there was anything to report on
                return None
            raise
        self.report = report
        self._summary(markdown.render(report, workflow.SUMMARY_BYTES // 4))
        self.results["report"] = str(self._keep("md", markdown.render(report)))
        self.results["report-json"] = str(self._keep("json", json_view.render(report) + "\n"))
        self.results["gate"] = "failed" if report.failed_gates else "passed"
        self._say(f"{report.project}: {report.headline}")
        try:
            fail_on_gates(report)
        except GateFailed as failed:
            return failed
        return None

    def _comment(self, report: Report) -> None:
        from mcgitops.report import markdown

        assert isinstance(self.event, PullRequest)  # noqa: S101 - only they have the activity
        marker = Marker(
            self._key(), self.settings.run_id, self.settings.run_attempt, self.event.head_sha
        )
        outcome = self._github.report_comment(self.event.number, marker, markdown.render(report))
        self.comment = outcome
        if outcome.posted:
            self.results["comment-url"] = outcome.url
            self._say(f"Comment {outcome.action}: {outcome.url} ({outcome.reason})")
            return
        where = "in the job's summary" if self.settings.summary else self.results["report"]
        self._annotate("notice", f"No comment: {outcome.reason} The report is {where}.")

    def _status(self) -> None:
        sha = getattr(self.event, "head_sha", "") or getattr(self.event, "sha", "")
        said = self.report.headline if self.report else "failed"
        outcome = self._github.set_status(
            sha, "failure" if self.code else "success", f"mcgitops/{self._key()}", said,
            self.settings.run_url,
        )  # fmt: skip
        if not outcome.posted:
            self._annotate("notice", f"No commit status: {outcome.reason}")

    # Saying

    def to_json(self) -> dict[str, Any]:
        """What was or would be done, for programs."""
        from dataclasses import asdict

        shown: dict[str, Any] = {
            "event": {"type": type(self.event).__name__, **asdict(self.event)},
            "activities": [
                {"kind": a.kind, "target": a.target, "reason": a.reason}
                | ({} if a.kind == "comment" else {"command": list(self._command(a).argv)})
                for a in self.activities
            ],
            "code": self.code,
            "results": self.results,
        }
        if self.comment:
            shown["comment"] = asdict(self.comment)
        return shown

    def to_text(self) -> str:
        """What would be done, for people."""
        lines = [self._heading()]
        for activity in self.activities:
            if activity.kind == "comment":
                lines.append(f"comment on {_shown(activity.reason)}")
            else:
                command = self._command(activity)
                lines.append(f"{command.shell_line()}   # {_shown(activity.reason)}")
        return "\n".join(lines)

    def _heading(self) -> str:
        match self.event:
            case PullRequest():
                fork = " from a fork" if self.event.is_fork else ""
                what = f"pull request {self.event.number}{fork} at {self.event.head_sha[:7]}"
            case Push():
                what = f"{self.event.cause} on {_shown(self.event.branch)} at {self.event.sha[:7]}"
            case Tag():
                what = f"tag {_shown(self.event.name)} at {self.event.sha[:7]}"
            case MergeGroup():
                what = f"merge queue of {_shown(self.event.base_ref)} at {self.event.sha[:7]}"
            case Privileged() | Other():
                what = self.event.name or "no event"
        if self.activities:
            return f"mcgitops: {what}"
        why = self.event.reason if isinstance(self.event, Other) else "it asks for nothing"
        return f"mcgitops: {what}: nothing to do: {why}."

    def _delivered(self) -> str:
        from mcgitops.report.escape import plain

        deployed = [plain(a.target) for a in self._of("deploy")]
        text = f"### Released {plain(self._release())}\n"
        return text + (f"\nDeployed to {', '.join(deployed)}.\n" if deployed else "")

    def _failed(self, error: McgitopsError, *, summary: bool = True) -> None:
        """Say on the run's page, and in the log, what went wrong."""
        self._annotate("error", str(error))
        if summary:
            from mcgitops.report.escape import clean

            lines = [f"    {clean(line, 300)}" for line in str(error).splitlines()[:50]]
            self._summary("### 🔴 mcgitops\n\n" + "\n".join(lines) + "\n")

    def _annotate(self, level: workflow.Level, text: str) -> None:
        if self.settings.in_actions:
            self._say(workflow.annotation(level, text, title="mcgitops"))
        else:
            self._say(text)

    def _hide_key(self) -> None:
        """Let the runner hide the SSH key, wherever it came from. No other runner may see this."""
        if self.settings.in_actions:
            for line in workflow.mask(self.app.environ.get("MCGITOPS_SSH_KEY", "")):
                self._say(line)

    def _say(self, text: str) -> None:
        click.echo(text, err=True)

    def _summary(self, text: str) -> None:
        if self.settings.summary:
            workflow.append_summary(self.settings.summary, text)

    def _write_outputs(self) -> None:
        if self.settings.output is None:
            return
        for name, value in {"exit-code": str(self.code), **self.results}.items():
            workflow.write_output(self.settings.output, name, value)

    def _keep(self, ending: str, text: str) -> Path:
        """The report as a file, for steps that come after."""
        folder = self.settings.temp or self.app.workspace.state
        path = folder / f"mcgitops-report-{self._key()}.{ending}"
        path.write_text(text, encoding="utf-8")
        return path

    # Small things

    def _of(self, *kinds: str) -> list[Activity]:
        return [activity for activity in self.activities if activity.kind in kinds]

    def _key(self) -> str:
        return self.options.key or key_from(self.app.project.name)

    def _release(self) -> str:
        if self.options.release:
            return self.options.release
        assert isinstance(self.event, Push | Tag)  # noqa: S101 - only they deploy
        return release_name(self.event)

    @property
    def _github(self) -> GitHub:
        from mcgitops.forge.github import GitHub

        settings = self.settings
        author = self.options.comment_author
        return GitHub(settings.api_url, settings.token, settings.repository, author=author)

    @contextmanager
    def _streams(self) -> Iterator[None]:
        """With `--json` the verbs' own results go to standard error."""
        if not self.options.to_stderr:
            yield
            return
        with redirect_stdout(sys.stderr):
            yield


def _event(app: App, settings: Settings, wanted: str) -> Event:
    if wanted == "auto":
        return read_event(app.environ, settings.payload())
    head = git.head(app.folder)
    if not head.commit:
        raise UsageError("There is no commit here.", "Run it in a git repository.")
    if wanted == "push":
        if not head.branch:
            raise UsageError("No branch is checked out.", "Check one out: git switch main.")
        return Push(head.branch, head.commit)
    tag = git.describe(app.folder, head.commit)
    if git.tag_commit(app.folder, tag) != head.commit:
        raise UsageError("The checked-out commit has no tag.", "Make one: git tag v1.0.0.")
    return Tag(tag, head.commit)


def _targets(app: App) -> tuple[Target, ...]:
    return tuple(
        Target(name, trigger.branch if trigger else None, trigger.tag if trigger else None)
        for name, environment in app.project.spec.environments.items()
        for trigger in (environment.trigger,)
    )


def _wanted(
    found: Sequence[Activity], event: Event, targets: Sequence[Target], options: Options
) -> tuple[Activity, ...]:
    """The event's activities as the options narrow or change them."""
    chosen = list(found)
    if options.environments:
        known = {target.name for target in targets}
        for name in options.environments:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1) or sorted(known)
                raise UsageError(
                    f"There is no environment {name}.",
                    f"The file has {', '.join(near)}." if near else "The file has none.",
                )
        chosen = [a for a in chosen if a.kind not in ("release", "deploy")]
        if isinstance(event, Push | Tag):
            chosen.append(Activity("release", "asked for", release_name(event)))
        elif not options.release:
            raise UsageError(
                f"{type(event).__name__} has no release to deploy.", "Name one: --release."
            )
        chosen += [Activity("deploy", "asked for", name) for name in options.environments]
    if options.release:
        chosen = [a for a in chosen if a.kind != "release"]
    if options.only:
        kinds = {kind for part in options.only for kind in PARTS[part]}
        chosen = [a for a in chosen if a.kind in kinds]
    if not options.comment:
        chosen = [a for a in chosen if a.kind != "comment"]
    return tuple(chosen)


def _shown(name: str) -> str:
    """A ref's name, which anybody may have chosen, on one line."""
    return "".join(c if c.isprintable() else "�" for c in name)[:200]
