"""`mcgitops hand-over`: the second half of a report on a fork's pull request.

Runs on the default branch, needs no checkout, reads no project and executes nothing that came with
the pull request. What is believed, and what not, is in `mcgitops.forge.handover`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.cli.ci import COMMENT

if TYPE_CHECKING:
    from mcgitops.cli.agenda import Options
    from mcgitops.forge.event import FinishedRun
    from mcgitops.forge.github import GitHub
    from mcgitops.forge.runner import Runner
    from mcgitops.forge.settings import Settings
    from mcgitops.forge.sticky import Outcome


def _variable(option: str) -> str:
    """The variable through which the action passes an option."""
    return "MCGITOPS_HAND_OVER_" + option.upper().replace("-", "_")


@click.command(name="hand-over")
@click.option(
    "--artifact", default="mcgitops-report", show_default=True, metavar="NAME",
    envvar=_variable("artifact"), help="The artifact that the fork's run uploads.",
)  # fmt: skip
@click.option(
    "--key", default="", metavar="KEY", envvar=_variable("key"),
    help="One comment for each key. Default: the artifact's name.",
)  # fmt: skip
@click.option(
    "--comment", "comment", multiple=True, type=click.Choice(COMMENT[:-1], case_sensitive=False),
    envvar=_variable("comment"), help="As in mcgitops ci. Default: true.",
)  # fmt: skip
@click.option(
    "--comment-author", default="", metavar="LOGIN", envvar=_variable("comment-author"),
    help="Who the token writes as, where it is another App's. Default: found out.",
)  # fmt: skip
@click.option(
    "--workflow", is_flag=True, help="Print the workflow that calls this, and do nothing else."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    app: App, artifact: str, key: str, comment: tuple[str, ...], comment_author: str,
    workflow: bool, as_json: bool,
) -> int:  # fmt: skip
    """Comment with the report that a fork's own run handed over.

    For a workflow on workflow_run. Finds the pull request itself, reads one artifact of exactly
    that run as data, and says in the comment whose report it is. Sets no status.
    """
    from mcgitops.cli.agenda import Options
    from mcgitops.errors import McgitopsError
    from mcgitops.forge.handover import artifact_name
    from mcgitops.forge.runner import Runner
    from mcgitops.forge.settings import cleaned, comment_key, read_settings

    if workflow:
        from mcgitops.adopt.workflow import action, render_forks

        click.echo(render_forks(action().reference), nl=False)
        return 0
    settings = read_settings(app.environ)
    runner = Runner(settings)
    name = cleaned("--artifact", artifact, artifact_name)
    options = Options(comment=comment, comment_author=comment_author)
    # Never the key of a report that was made here: what a stranger made can't take its place.
    marked = "fork." + (cleaned("--key", key, comment_key) if key else name)[:59]
    outcome: Outcome | None = None
    code = 0
    try:
        outcome = _pass_on(app, settings, runner, options, name, marked)
    except McgitopsError as error:
        code = error.exit_code
        runner.error(str(error))
    runner.output("exit-code", str(code))
    runner.finish()
    if as_json:
        told = {"comment": asdict(outcome)} if outcome else {}
        click.echo(json.dumps(told | {"code": code, "outputs": runner.outputs}, indent=2))
    return code


def _pass_on(
    app: App, settings: Settings, runner: Runner, options: Options, name: str, key: str
) -> Outcome | None:
    """Post the report of the run that ended; None where there is nothing to do."""
    from mcgitops.errors import McgitopsError
    from mcgitops.forge.comment import Marker
    from mcgitops.forge.event import read_finished_run
    from mcgitops.forge.github import ForgeError, GitHub
    from mcgitops.forge.handover import HandOverError, without_report

    run = read_finished_run(app.environ, settings.payload())
    github = GitHub(
        settings.api_url, settings.token, settings.repository, author=options.comment_author
    )
    number = _pull_of(run, github, runner)
    if not number:
        return None
    refused: McgitopsError | None = None
    try:
        text = _text(run, settings, github, name)
        why = "" if text else f"It left no artifact {name}."
    except HandOverError as error:
        text, why, refused = "", f"What it handed over is refused: {error}", error
    # An earlier head's report must not stand there as if it were this one's.
    quiet = not text
    marker = Marker(key, run.id, run.attempt, run.head_sha)
    outcome = github.report_comment(
        number, marker, text or without_report(run.head_sha, why), way=options.way, quiet=quiet
    )
    if outcome.action == "refused":
        raise refused or ForgeError(outcome.reason)
    if outcome.url:
        runner.output("comment-url", outcome.url)
    runner.say(f"pull request {number}: {outcome.action} {outcome.url} {why or outcome.reason}")
    if refused:
        raise refused
    runner.summary(text)
    return outcome


def _pull_of(run: FinishedRun, github: GitHub, runner: Runner) -> int:
    """The open pull request whose head the run was of, asked of the server; 0 for none."""
    from mcgitops.errors import UsageError

    if run.event != "pull_request":
        runner.say(f"nothing to do: the run was of {run.event or 'no event'}, not a pull request.")
        return 0
    if not run.has_no_secrets:
        runner.say("nothing to do: the run was not a fork's, and comments itself.")
        return 0
    found = github.pulls_from(run.head_repository, run.head_branch) if run.head_repository else ()
    found = tuple(pull for pull in found if pull.base_repository == run.repository)
    heads = [pull.number for pull in found if pull.head_sha == run.head_sha]
    if not heads:
        runner.say(f"nothing to do: {run.head_sha[:7]} is no open pull request's head any more.")
        return 0
    if len(heads) > 1:
        numbers = ", ".join(map(str, heads))
        raise UsageError(
            f"{run.head_sha[:7]} is the head of the pull requests {numbers}: it can't be told "
            "which of them the report is about.",
            "Close all but one.",
        )
    return heads[0]


def _text(run: FinishedRun, settings: Settings, github: GitHub, name: str) -> str:
    """The comment's text; "" where nothing was handed over."""
    from mcgitops.forge import download, handover

    artifact = handover.chosen(download.artifacts_of(github, run, name), run, name)
    if artifact is None:
        return ""
    archive = download.archive_of(settings.api_url, settings.token, settings.repository, artifact)
    report = handover.report_of(handover.member(archive), run)
    url = f"{settings.server_url}/{settings.repository}/actions/runs/{run.id}"
    return handover.comment(report, url)
