"""`mcgitops data`: what is too large for git is in the store, and small files pin it in git."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mcgitops.cli.app import App
from mcgitops.errors import UsageError

if TYPE_CHECKING:
    from mcgitops.cli.data_view import Change
    from mcgitops.run.data_push import PushedData

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group(name="data")
def command() -> None:
    """Keep data that is too large for git in the store, pinned in git.

    `mcgitops data add data/images` writes `data/images.mcgitops`, which is committed in place of
    the data. Before a stage is trained, what it reads is fetched.
    """


@command.command(name="add")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True)
@click.option("--push", is_flag=True, help="Bring the data to the project's store at once.")
@click.option(
    "--as-is", is_flag=True,
    help="Leave out what is pinned and was never fetched here; without this it is refused.",
)  # fmt: skip
@_JSON
@click.pass_obj
def add(app: App, paths: tuple[str, ...], push: bool, as_is: bool, as_json: bool) -> None:
    """Pin folders or files as they are now.

    Their content goes into the local store, a pin beside each of them, and a line into .gitignore.
    Commit the pin; `mcgitops push` brings the data to the project's store.
    """
    workspace = app.workspace
    from mcgitops.cli.data_view import added_as_json, added_in_words, linked_in_words, pasted
    from mcgitops.report.escape import clean
    from mcgitops.run.data_add import add as pin

    names = [_relative(app, path) for path in paths]
    done = [pin(workspace, name, as_is=as_is) for name in names]
    for one in done:
        for warning in one.warnings:
            click.echo(f"warning: {clean(warning, 400)}", err=True)
    pushed = push_pins(app) if push else None
    shared = [workspace.data.link(one.pin) for one in done] if push else []
    if as_json:
        click.echo(json.dumps([added_as_json(one) for one in done]))
        return
    for one in done:
        click.echo(added_in_words(one))
    named = dict.fromkeys(f for one in done for f in (one.pin.file, one.ignore) if f)
    files = " ".join(map(pasted, named))
    if pushed is None and workspace.remote is not None:
        click.echo(f"Commit {files}. mcgitops push brings the data to {workspace.remote.url}.")
    else:
        click.echo(f"Commit {files}.{linked_in_words(shared)}")


@command.command(name="status")
@click.argument("paths", metavar="[PATH…]", nargs=-1)
@_JSON
@click.pass_obj
def status(app: App, paths: tuple[str, ...], as_json: bool) -> int:
    """Say how the folder stands to its pins, and whether the store has the data.

    Croissant descriptions that stages name are verified, also where the data isn't here. Exit code
    1 where data was changed here, isn't known to be in the store, or isn't what its description
    says.
    """
    workspace = app.workspace
    from mcgitops.cli.data_view import status_in_words, status_of

    found = status_of(workspace, _chosen(app, paths))
    if found.silent is not None:
        asked = "Whether the store has the data is not known"
        click.echo(f"{asked}: {found.silent}", err=True)
    if as_json:
        click.echo(json.dumps(found.as_json))
    else:
        click.echo(status_in_words(found))
    return 0 if found.is_well else 1


@command.command(name="pull")
@click.argument("paths", metavar="[PATH…]", nargs=-1)
@click.option("--for", "stage", metavar="STAGE", default="", help="Only what this stage reads.")
@click.option(
    "--force", is_flag=True,
    help="Also bring back what was changed here. What no store has is set aside.",
)  # fmt: skip
@_JSON
@click.pass_obj
def pull(app: App, paths: tuple[str, ...], stage: str, force: bool, as_json: bool) -> None:
    """Bring data as it is pinned: all of it, or only PATH, which may be a part of it.

    What was changed here by hand stays as it is, unless --force.
    """
    if paths and stage:
        raise UsageError("PATH and --for contradict each other.", "Name one of them.")
    workspace = app.workspace
    from mcgitops.cli.data_view import pasted, pulled_in_words
    from mcgitops.cli.transfer import shown
    from mcgitops.report.escape import clean

    with shown(app, "Fetching") as told:
        if stage:
            from mcgitops.run.gather import check_stages, needs_of

            check_stages(workspace, [stage])
            needs = needs_of(workspace, workspace.project.services[stage])
            brought = [workspace.data.fetch(needs, told)]
            edited: list[str] = []
        else:
            from mcgitops.run.data_pull import pull as bring

            names = [_relative(app, path) for path in paths]
            brought, edited = bring(workspace, names, force=force, told=told)
    if workspace.remote is None and _links_are_asked_for():
        click.echo("note: nothing is linked, as the local store is the only one.", err=True)
    tracked = {out.path for out in workspace.data.outs}
    for path in edited:
        named = pasted(path)
        how = f"mcgitops data add {named} pins it, --force brings back what is pinned."
        if path in tracked:
            how = f"dvc add {named} takes it up, dvc checkout --force goes back."
        click.echo(f"{clean(path)} was changed here and stays so: {how}", err=True)
    for one in brought:
        for path in one.aside:
            said = f"{clean(path)} was in no store; it is kept in .mcgitops/replaced/."
            click.echo(said, err=True)
    if as_json:
        done: dict[str, Any] = {
            "written": sum(one.written for one in brought),
            "bytes": sum(one.size for one in brought),
            "removed": sum(one.removed for one in brought),
            "linked": sum(one.linked for one in brought),
            "aside": [path for one in brought for path in one.aside],
            "edited": edited,
        }
        click.echo(json.dumps(done))
    else:
        click.echo(pulled_in_words(brought, len(edited)))


@command.command(name="diff")
@click.argument("a", metavar="[A]", default="HEAD")
@click.argument("b", metavar="[B]", default="")
@click.option("--all", "everything", is_flag=True, help="List every file, however many there are.")
@_JSON
@click.pass_obj
def diff(app: App, a: str, b: str, everything: bool, as_json: bool) -> None:
    """Show which data changed between two revisions: files and sizes.

    Without B: from A (default: the checked-out commit) to what lies in the folder.
    """
    workspace = app.workspace
    from mcgitops.cli.data_view import as_json as changes_as_json
    from mcgitops.cli.data_view import changes_between, in_words

    changes: list[Change] = changes_between(workspace, a, b)
    if as_json:
        click.echo(json.dumps(changes_as_json(changes)))
    else:
        click.echo(in_words(changes, everything=everything))


def push_pins(app: App, *, again: bool = False) -> PushedData:
    """Bring pinned data to the project's store; says what it can't bring."""
    from mcgitops.cli.transfer import shown
    from mcgitops.report.escape import clean
    from mcgitops.run.data_push import push as push_data

    with shown(app, "Pushing data") as told:
        done = push_data(app.workspace, again=again, progress=told)
    for path in done.elsewhere:
        click.echo(
            f"warning: the data of {clean(path)} is neither here nor in {app.store.url}: push it "
            "from the machine where it was added.",
            err=True,
        )
    return done


def _links_are_asked_for() -> bool:
    import os

    from mcgitops.store.link import are_asked_for

    return are_asked_for(os.environ)


def _relative(app: App, path: str) -> str:
    """A path as the user gave it, relative to the project folder."""
    import os

    whole = os.path.normpath(os.path.join(app.folder, path))  # noqa: PTH118
    name = os.path.relpath(whole, app.project.folder)
    if name.startswith("../") or name == "..":
        raise UsageError(f"{path} is outside the project folder.", "Name a path inside it.")
    if not os.path.isdir(whole):  # noqa: PTH112
        name = name.removesuffix(".mcgitops")
    return name


def _chosen(app: App, paths: tuple[str, ...]) -> Callable[[str], bool]:
    """Which pins the paths name; all, where there are none."""
    from mcgitops.project.model import is_within

    names = [_relative(app, path) for path in paths]
    for name, path in zip(names, paths, strict=True):
        if not any(is_within(pinned, name) for pinned in app.workspace.data.paths):
            raise UsageError(f"{path} is not pinned.", "mcgitops data status lists what is.")
    return lambda pinned: not names or any(is_within(pinned, name) for name in names)
