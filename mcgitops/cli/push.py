"""`mcgitops push`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App, Named

if TYPE_CHECKING:
    from mcgitops.run.unchanged import Unchanged


@click.command(name="push")
@click.option(
    "--again", is_flag=True, help="Ask the store about everything, also what it was given before."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(app: App, again: bool, as_json: bool) -> None:
    """Copy this commit's runs and their artifacts to the project's store.

    With them go all other local runs, releases and deployments of the project that the store was
    not given yet, and pinned data. Artifacts are copied first and records last; what is there isn't
    sent again.
    """
    from mcgitops.run.unchanged import Unchanged

    before = Unchanged(app.folder, app.files, app.environ)
    try:
        url = "" if again or as_json else before.store()
        if url:
            click.echo(f"Nothing to push: {url} has everything.")
        else:
            _push(app, again, as_json, before)
    finally:
        before.end()


def _push(app: App, again: bool, as_json: bool, before: Unchanged) -> None:
    from mcgitops.cli.transfer import sentence, shown, summary
    from mcgitops.run.state import state_of
    from mcgitops.store.sync import push
    from mcgitops.store.transfer import CopyResult

    if (known := before.project()) is not None:
        app.named = Named(*known)
    data = ""
    if app.store is app.local_store:
        result = CopyResult()
        text = f"Nothing to push: the project's store is this folder's own, {app.store.url}."
    else:
        cache = state_of(app.named.folder) / "cache"
        with shown(app, "Pushing") as told:
            result = push(
                app.local_store, app.store, app.named.name, cache, again=again, progress=told
            )
        is_whole = True
        if not before.pins_nothing:
            from mcgitops.cli.data import push_pins

            moved = push_pins(app, again=again)
            data = f" Data: {moved.in_words}." if moved.objects else ""
            is_whole = not moved.elsewhere
        if result.records or result.objects:
            text = f"Pushed {sentence(result)} to {app.store.url}."
        elif data:
            text = f"Pushed to {app.store.url}."
        else:
            text = f"Nothing to push: {app.store.url} has everything."
        if is_whole:
            before.remember(app.named.name, app.store.url)
        before.remember_project(app.named.name, app.named.store)
    for name in result.conflicts:
        click.echo(
            f"Release {name} is another one in {app.store.url}, and stays as it is there: "
            "releases never change. Choose a new name.",
            err=True,
        )
    click.echo(json.dumps({"store": app.store.url, **summary(result)}) if as_json else text + data)
