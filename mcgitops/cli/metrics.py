"""`mcgitops metrics` and `mcgitops metrics diff`; `metrics_history` has the third of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcgitops.cli.app import App
from mcgitops.cli.metrics_history import history

if TYPE_CHECKING:
    from mcgitops.report.model import Report


class Verb(click.Group):
    """A group whose default is to show: `metrics REV` next to `metrics diff A B`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Everything but `diff` and `history` is an argument of `show`."""
        if args and args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "show", show, args

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options before a revision belong to `show`, too."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Verb, name="metrics")
def command() -> None:
    """Show metrics, compare two revisions, or see how one went.

    `mcgitops metrics [REV]` shows those of the folder's present state, or of a revision;
    `mcgitops metrics diff [A [B]]` compares two; `mcgitops metrics history METRIC` shows one metric
    over commits or over time.
    """


@click.command(name="show")
@click.argument("revision", default="", metavar="[REV]")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.pass_obj
def show(app: App, revision: str, as_json: bool) -> None:
    """Show the metrics of the folder's present state, or of a revision."""
    name = app.project.name  # before the imports: they are done while Compose reads the file
    from mcgitops import __version__
    from mcgitops.cli.evidence import Evidence
    from mcgitops.compare import compare
    from mcgitops.report.build import build

    evidence = Evidence(app)
    side = evidence.commit(revision) if revision else evidence.working_tree()
    comparison = compare(None, side, evidence.rules())
    report = build(name, comparison, tool=f"mcgitops {__version__}")
    _print(report, as_json, everything=True)


@click.command(name="diff")
@click.argument("a", default="", metavar="[A]")
@click.argument("b", default="", metavar="[B]")
@click.option("--all", "everything", is_flag=True, help="List the unchanged ones, too.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.pass_obj
def diff(app: App, a: str, b: str, everything: bool, as_json: bool) -> None:
    """Compare the metrics of revision A with those of B.

    Default: the base (as `mcgitops report` chooses it) with the folder's present state.
    """
    _ = app.project  # before the imports: they are done while Compose reads the file
    from mcgitops.cli.evidence import make_report

    _print(make_report(app, base=a, head=b, with_history=False), as_json, everything=everything)


command.add_command(show)
command.add_command(diff)
command.add_command(history)


def _print(report: Report, as_json: bool, *, everything: bool) -> None:
    from mcgitops.cli.report import wants_color, width

    if as_json:
        from mcgitops.report.json_view import text_of

        click.echo(text_of(_data(report)))
        return
    from mcgitops.report import terminal

    text = terminal.render_metrics(
        report, width=width(), color=wants_color(), everything=everything
    )
    click.echo(text, nl=False)


def _data(report: Report) -> dict[str, Any]:
    """The part of the report that is about metrics; `--format json` of `report` has it all."""
    from mcgitops.report.json_view import to_data

    names = ("format", "project", "status", "headline", "head", "base", "metrics", "gates")
    return {name: to_data(getattr(report, name)) for name in names}
