"""`mcgitops ci`: reads the event and calls the verbs that it asks for, as a person would."""

from __future__ import annotations

import json

import click

from mcgitops.cli.app import App

COMMENT = ("true", "edit", "hide", "recreate", "changes", "false")


def _variable(option: str) -> str:
    """The variable through which an action passes an option."""
    return "MCGITOPS_CI_" + option.upper().replace("-", "_")


@click.command(name="ci")
@click.option(
    "--event", type=click.Choice(("auto", "push", "tag")), default="auto", show_default=True,
    envvar=_variable("event"),
    help="auto: the event of this run of a workflow. Otherwise what the checked-out branch or tag "
    "would do.",
)  # fmt: skip
@click.option(
    "--only", multiple=True, type=click.Choice(("train", "report", "deploy")),
    envvar=_variable("only"), help="Do only this part of it; may be repeated.",
)  # fmt: skip
@click.option(
    "--stage", "stages", multiple=True, metavar="STAGE", envvar=_variable("stage"),
    help="Train only this stage and what it needs; may be repeated.",
)  # fmt: skip
@click.option(
    "--base", default="", metavar="REV", envvar=_variable("base"),
    help="Compare with this revision. Default: what the event is based on.",
)  # fmt: skip
@click.option(
    "--key", default="", metavar="KEY", envvar=_variable("key"),
    help="One comment for each key: for jobs that report on one project side by side. "
    "Default: the project's name, with its folder and the leg of the workflow's matrix.",
)  # fmt: skip
@click.option(
    "--comment", "comment", multiple=True, type=click.Choice(COMMENT, case_sensitive=False),
    envvar=_variable("comment"),
    help="true: report in a comment of the pull request, edited in place (edit); hide: minimise "
    "the earlier comment and write a new one; recreate: delete it and write a new one; changes: "
    "make no comment while nothing changed; false: none. May be repeated. Default: true.",
)  # fmt: skip
@click.option("--no-comment", is_flag=True, help="The same as --comment false.")
@click.option(
    "--waivers/--no-waivers", default=True, show_default=True, envvar=_variable("waivers"),
    help="Let labels and comments of people who may write waive gates that failed.",
)  # fmt: skip
@click.option(
    "--comment-author", default="", metavar="LOGIN", envvar=_variable("comment-author"),
    help="Who the token writes as, where it is another App's. Default: found out.",
)  # fmt: skip
@click.option(
    "--status/--no-status", default=False, show_default=True, envvar=_variable("status"),
    help="Set a commit status, too.",
)  # fmt: skip
@click.option(
    "--environment", "environments", multiple=True, metavar="ENV",
    envvar=_variable("environment"),
    help="Deploy this environment, whatever its trigger; may be repeated.",
)  # fmt: skip
@click.option(
    "--release", default="", metavar="NAME", envvar=_variable("release"),
    help="Deploy this release, which exists. Default: the event's own, which is made.",
)  # fmt: skip
@click.option(
    "--any-branch", is_flag=True, envvar=_variable("any-branch"),
    help="Deploy tags whose commit isn't on the default branch, too.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True, envvar=_variable("dry-run"), help="Only say what it would do."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    app: App,
    event: str,
    only: tuple[str, ...],
    stages: tuple[str, ...],
    base: str,
    key: str,
    comment: tuple[str, ...],
    no_comment: bool,
    waivers: bool,
    comment_author: str,
    status: bool,
    environments: tuple[str, ...],
    release: str,
    any_branch: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Do what the CI event asks for: train, report, release, deploy.

    A branch is trained and reported on in the job's summary, and deploys the environments whose
    trigger it is; a pull request gets a comment; a tag is released and deployed. Reads the
    variables that GitHub's runner sets, and Forgejo's and Gitea's too.
    """
    from mcgitops.cli.agenda import Options
    from mcgitops.cli.job import Job

    options = Options(
        event=event,
        only=only,
        stages=stages,
        base=base,
        key=key,
        comment=("false",) if no_comment else comment,
        waivers=waivers,
        comment_author=comment_author,
        status=status,
        environments=environments,
        release=release,
        any_branch=any_branch,
        as_json=as_json,
    )
    job = Job(app, options)
    code = 0 if dry_run else job.run()
    if as_json:
        click.echo(json.dumps(job.to_json(), indent=2))
    elif dry_run:
        click.echo("\n".join([job.agenda.heading(), *job.agenda.lines()]))
    return code
