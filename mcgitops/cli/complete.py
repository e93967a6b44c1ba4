"""What a shell offers after Tab: stages, names of metrics, runs, revisions.

From what is known without waiting: the index of the last list, and git. Whatever goes wrong, there
is nothing to offer, and no message in the middle of somebody's line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from mcgitops.cli.app import App
    from mcgitops.cli.where import Names
    from mcgitops.store.index import IndexedRun

MOST = 200
DIGITS = 12


def stages(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The stages of the project."""
    return _offer(ctx, incomplete, lambda app: (stage.name for stage in app.project.stages))


def metrics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The metrics of the runs that are known."""
    return _offer(ctx, incomplete, lambda app: _names(app).labels("metric"))


def names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Fields, variables, metrics and params; of a list of them, the last."""
    from click.shell_completion import CompletionItem

    before, comma, last = incomplete.rpartition(",")
    found = _offer(ctx, last, lambda app: _names(app).all())
    return [CompletionItem(before + comma + item.value) for item in found]


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest runs, and git's branches and tags."""

    def offered(app: App) -> Iterable[str]:
        from mcgitops.facts import git

        yield from (run.fingerprint[:DIGITS] for run in _known(app))
        yield from git.names(app.project.folder)

    return _offer(ctx, incomplete, offered)


def _offer(
    ctx: click.Context, incomplete: str, look: Callable[[App], Iterable[str]]
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from mcgitops.cli.app import App

    top = ctx.find_root().params
    app = App(files=tuple(top.get("files") or ()), directory=top.get("directory") or "")
    try:
        found = [name for name in look(app) if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001  (a shell shows what it gets in the middle of a line)
        return []
    return [CompletionItem(name) for name in dict.fromkeys(found[:MOST])]


def _known(app: App) -> list[IndexedRun]:
    """The newest runs of the project's store, without asking a bucket."""
    from mcgitops.cli.listing import open_index

    index = open_index(app, app.store)
    name = app.project.name
    heads = index.heads(name) if app.store.is_local else index.remembered(name)
    return index.runs(heads[:MOST])


def _names(app: App) -> Names:
    from mcgitops.cli.where import Names

    return Names(_known(app))
