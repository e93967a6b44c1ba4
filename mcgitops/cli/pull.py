"""`mcgitops pull`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App

if TYPE_CHECKING:
    from mcgitops.store.making import Making


@click.command(name="pull")
@click.argument("revision", metavar="[REV]", default="HEAD")
@click.option(
    "--outputs/--no-outputs", default=True, show_default=True,
    help="Write the files of the selected runs into the project folder.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite files whose content is in no store.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(app: App, revision: str, outputs: bool, force: bool, as_json: bool) -> None:
    """Bring runs and their artifacts from the project's store.

    Those of the commit REV (default: the one that is checked out). Its metrics, plots and outputs
    are written into the project folder; a file there that no store has is never lost.
    """
    from mcgitops.cli.transfer import sentence, shown, summary
    from mcgitops.errors import StoreError
    from mcgitops.facts import git
    from mcgitops.run.workspace import Workspace
    from mcgitops.store.restore import Restored, restore
    from mcgitops.store.sync import pull

    commit = git.resolve(app.project.folder, revision)
    with ExitStack() as stack:
        making = stack.enter_context(_making(app)) if outputs else None
        with shown(app, "Pulling") as told:
            pulled = pull(
                app.store, app.local_store, app.project.name, commit, progress=told, making=making
            )
        if not pulled.commits:
            raise StoreError(
                f"{app.store.url} has no runs of {commit[:12]}.",
                "Train it (mcgitops train), or name another commit; mcgitops runs lists what "
                "there is.",
            )
        _ = Workspace(app.project, app.local_store).state  # hidden from git in a fresh clone, too
        restored = Restored((), ())
        if outputs:
            restored = restore(
                app.local_store, pulled.files, app.project.folder, force=force, making=making
            )
    if as_json:
        answer = {
            "commit": commit,
            "store": app.store.url,
            "stages": {record.stage: record.selected for record in pulled.commits},
            "written": restored.written,
            "unchanged": restored.unchanged,
            **summary(pulled.copied),
        }
        click.echo(json.dumps(answer, indent=2))
        return
    stages = ", ".join(record.stage for record in pulled.commits)
    click.echo(f"{commit[:12]} has runs of {stages}. Pulled {sentence(pulled.copied)}.")
    if outputs:
        count = len(restored.written)
        click.echo(
            f"Wrote {count} {'file' if count == 1 else 'files'}"
            f" ({len(restored.unchanged)} unchanged)." + _listed(restored.written)
        )


def _making(app: App) -> Making:
    from mcgitops.store.making import Making

    return Making(app.project.folder, app.local_store.path or app.project.folder)


def _listed(paths: tuple[str, ...]) -> str:
    from mcgitops.report.escape import clean

    return "".join(f"\n  {clean(path)}" for path in paths[:20]) + (
        "\n  …" if len(paths) > 20 else ""
    )
