"""`mcgitops rerun`: a waiver was given or taken back, so the pull request is judged again."""

from __future__ import annotations

import click

from mcgitops.cli.app import App


@click.command(name="rerun")
@click.option(
    "--of", "file", default="mcgitops.yml", show_default=True, metavar="FILE",
    envvar="MCGITOPS_RERUN_OF", help="The workflow that reports, by its file name.",
)  # fmt: skip
@click.option(
    "--workflow", is_flag=True, help="Print the workflow that calls this, and do nothing else."
)
@click.pass_obj
def command(app: App, file: str, workflow: bool) -> int:
    """Run a pull request's workflow again, as somebody waived a gate of it.

    For a workflow on issue_comment and on labels of pull_request. Executes nothing of the pull
    request: its own workflow runs again where it ran before, and finds what it trained in the
    store.
    """
    from mcgitops.errors import McgitopsError
    from mcgitops.forge.event import Other, read_word
    from mcgitops.forge.runner import Runner
    from mcgitops.forge.settings import cleaned, read_settings

    if workflow:
        from mcgitops.adopt.workflow import action, render_waivers

        click.echo(render_waivers(action().reference), nl=False)
        return 0
    from mcgitops.forge import rerun
    from mcgitops.forge.github import GitHub

    settings = read_settings(app.environ)
    runner = Runner(settings)
    cleaned("--of", file, rerun.workflow_file)
    word = read_word(app.environ, settings.payload())
    if isinstance(word, Other):
        runner.say(f"nothing to do: {word.reason}.")
        return 0
    if not word.number or not rerun.is_waiver(word):
        runner.say("nothing to do: no waiver was given or taken back.")
        return 0
    github = GitHub(settings.api_url, settings.token, settings.repository)
    try:
        done = rerun.rerun(github, word, file)
    except McgitopsError as error:
        runner.error(str(error))
        return error.exit_code
    if done.how:
        runner.say(f"pull request {word.number}: {done.how} of {done.url}")
    else:
        runner.notice(f"Nothing runs again for pull request {word.number}: {done.reason}.")
    return 0
