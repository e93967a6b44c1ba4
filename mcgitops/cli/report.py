"""`mcgitops report`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App

if TYPE_CHECKING:
    from mcgitops.report.model import Report

FORMATS = ("terminal", "markdown", "json", "html", "svg", "png")


@click.command(name="report")
@click.option(
    "--base", default="", metavar="REV",
    help="Compare with this revision. Default: the merge base with the target branch.",
)  # fmt: skip
@click.option(
    "--head", default="", metavar="REV",
    help="Report on this revision. Default: the present state of the folder.",
)  # fmt: skip
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="terminal",
    show_default=True, help="How it is written. html: one file with charts, for a browser. "
    "svg, png: an image of the summary, for chat and e-mail.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--output", default="", metavar="FILE", help="Write it to a file, not to standard output."
)
@click.pass_obj
def command(app: App, base: str, head: str, format_: str, as_json: bool, output: str) -> None:
    """Compare the model with the base's and judge the gates.

    Says which base was taken and why. Exits with 3, after the report, where a gate failed.
    """
    _ = app.project  # before the imports: they are done while Compose reads the file
    from mcgitops.cli.evidence import make_report

    report = make_report(app, base=base, head=head)
    form = "json" if as_json else format_
    if form == "png":
        _image(report, output)
        fail_on_gates(report)
        return
    text = render(report, form, plain=bool(output))
    if output:
        _write(Path(output), text)
    else:
        click.echo(text, nl=False)
    fail_on_gates(report)


def render(report: Report, form: str, *, plain: bool = False) -> str:
    """The report as `terminal`, `markdown`, `json`, `html` or `svg`; `plain` never has colour."""
    if form == "json":
        from mcgitops.report import json_view

        return json_view.render(report) + "\n"
    if form == "markdown":
        from mcgitops.report import markdown

        return markdown.render(report)
    if form == "html":
        from mcgitops.report import html

        return html.render(report)
    if form == "svg":
        from mcgitops.report import chart

        return chart.svg(report)
    from mcgitops.report import terminal

    return terminal.render(report, width=width(), color=not plain and wants_color())


def fail_on_gates(report: Report) -> None:
    """Raise `GateFailed` where one of the gates failed."""
    if not (failed := report.failed_gates):
        return
    from mcgitops.errors import GateFailed
    from mcgitops.report.escape import clean

    names = list(dict.fromkeys(clean(gate.metric, 60) for gate in failed))
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    word = "gate" if len(names) == 1 else "gates"
    raise GateFailed(
        f"{len(names)} {word} failed: {shown}.",
        "Improve the model, or change the gate in x-mcgitops.metrics.",
    )


def width() -> int:
    """The terminal's width; wide where nobody looks."""
    return shutil.get_terminal_size((120, 24)).columns


def wants_color() -> bool:
    """Whether standard output is a terminal that wants colour (`NO_COLOR` is honoured)."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def _image(report: Report, output: str) -> None:
    from mcgitops.errors import UsageError
    from mcgitops.report import chart

    if not output and sys.stdout.isatty():
        raise UsageError("A terminal can't show a PNG image.", "Give --output FILE.")
    image = chart.png(report)
    if output:
        _write(Path(output), image)
    else:
        click.echo(image, nl=False)


def _write(path: Path, content: str | bytes) -> None:
    from mcgitops.errors import UsageError

    try:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise UsageError(
            f"{path}: the report can't be written: {error.strerror}.", "Name another file."
        ) from None
