"""`mcgitops diff`: what a deploy would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.cli.environment import chosen

if TYPE_CHECKING:
    from mcgitops.deploy.difference import Difference
    from mcgitops.report.model import Report


@click.command(name="diff")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option(
    "--release", "release", metavar="NAME",
    help="The release. Default: the one of HEAD that the environment's trigger names.",
)  # fmt: skip
@click.option("--exit-code", is_flag=True, help="Exit 1 where anything would change.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    app: App, environment: str | None, release: str | None, exit_code: bool, as_json: bool
) -> int:
    """Show what a deploy would change on the hosts, before it does.

    For each service: whether it is added, removed, replaced or left alone, why, and how; then the
    layers to send, the commits, the artifacts and the metrics between the releases. Values are
    compared and never shown. Exit 0 also where something would change, unless --exit-code is given.
    """
    from mcgitops.cli.deploy import default_release
    from mcgitops.deploy.difference import difference
    from mcgitops.deploy.target import target

    name = chosen(app, environment)
    wanted = release or default_release(app, name)
    found = difference(target(app.project, app.store, name, wanted, app.environ))
    reports = _metrics(app, found)
    if as_json:
        from mcgitops.cli.listing import json_text
        from mcgitops.deploy.views import difference_json
        from mcgitops.report.json_view import to_data

        data = difference_json(found)
        for step in data["releases"]:
            report = reports.get(step["before"])
            step["metrics"] = to_data(report.metrics) if report else None
        click.echo(json_text(data))
    else:
        from mcgitops.deploy.views import difference_text

        click.echo(difference_text(found))
        _print(reports)
    return 1 if exit_code and not found.is_empty else 0


def _metrics(app: App, found: Difference) -> dict[str, Report]:
    """By the release before: its metrics against those of the new one, where both are known."""
    from mcgitops.errors import McgitopsError

    reports = {}
    for step in found.steps:
        if not step.before_commit or not found.commit:
            continue
        from mcgitops.cli.evidence import make_report

        try:
            reports[step.before] = make_report(app, base=step.before_commit, head=found.commit)
        except McgitopsError:
            continue  # runs that are gone, or a commit that isn't here
    return reports


def _print(reports: dict[str, Report]) -> None:
    from mcgitops.cli.report import wants_color, width
    from mcgitops.report import terminal

    for before, report in reports.items():
        text = terminal.render_metrics(report, width=width(), color=wants_color(), everything=False)
        click.echo(f"\nmetrics, against {before}\n{text}", nl=False)
