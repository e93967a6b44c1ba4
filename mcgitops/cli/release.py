"""`mcgitops release`."""

from __future__ import annotations

import click

from mcgitops.cli.app import App


@click.command(name="release")
@click.argument("tag")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@click.pass_obj
def command(app: App, tag: str, as_json: bool) -> None:
    """Pin images, artifacts and configuration under a tag, immutably.

    TAG is a git tag, or a branch and twelve digits of a commit (main-1a2b3c4d5e6f). What was
    trained for that commit is released; nothing is trained here. Values of variables, env files
    and secrets are not part of a release. Environments with `pull: true` whose trigger it fits are
    told to run it.
    """
    from mcgitops.deploy.agents.wanted import announce
    from mcgitops.deploy.release import make_release
    from mcgitops.deploy.shipping.images import megabytes

    made = make_release(
        app.project, app.store, app.local_store, tag, say=lambda line: click.echo(line, err=True)
    )
    for warning in made.warnings:
        click.echo(f"Note: {warning}", err=True)
    record = made.record
    for told in announce(app.project, app.store, record):
        click.echo(str(told), err=True)
    if as_json:
        click.echo(record.model_dump_json(indent=2))
        return
    size = megabytes(sum(image.size or 0 for image in record.images))
    runs = ", ".join(f"{stage} {fingerprint[:12]}" for stage, fingerprint in record.runs.items())
    kept = "Released" if made.is_new else "Already released:"
    click.echo(
        f"{kept} {record.name} at {record.commit[:12]}: {_count(len(record.images), 'image')} "
        f"({size}), {_count(len(record.artifacts), 'artifact')}, "
        f"{_count(len(record.files), 'file')}" + (f"; runs {runs}" if runs else "")
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
