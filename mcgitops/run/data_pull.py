"""`data pull`: brings pinned data as a person asks for it, whole or in part."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mcgitops.errors import UsageError
from mcgitops.facts.dvc import Out
from mcgitops.project.model import is_within
from mcgitops.project.pin import Pin
from mcgitops.run.data import Brought, Chosen
from mcgitops.run.workspace import Workspace

if TYPE_CHECKING:
    from mcgitops.store.transfer import OnProgress


def pull(
    workspace: Workspace,
    paths: Sequence[str],
    *,
    force: bool = False,
    told: OnProgress | None = None,
) -> tuple[list[Brought], list[str]]:
    """Bring all pins, or these project-relative paths.

    Gives what was done, and the pins whose data was changed here and stays so. Raises `UsageError`
    for a path that is not pinned, and `StoreError` where no store has the data.
    """
    wanted: list[tuple[Pin, Chosen | None]] = []
    tracked: list[tuple[Out, Chosen | None]] = []
    for path in paths:
        if of_dvc := _of_dvc(workspace, path):
            tracked += of_dvc
        if not of_dvc or workspace.data.below(path):
            wanted += _named(workspace, path)
    if not paths:
        wanted = [(pin, None) for pin in workspace.data.pins]
        tracked = [(out, None) for out in workspace.data.outs]
    done: list[Brought] = []
    edited: list[str] = []
    for pin, chosen in wanted:
        is_here = os.path.lexists(workspace.folder / pin.path)
        if force or not is_here or workspace.data.here(pin).digest != pin.tree:
            done.append(workspace.data.bring(pin, chosen, force=force, told=told))
        done.append(workspace.data.link(pin, chosen))
        if not force and workspace.data.edits(pin):
            edited.append(pin.path)
    for out, chosen in tracked:
        count, size, aside = workspace.data.dvc.bring(out, chosen)
        done.append(Brought(count, size, aside=tuple(aside)))
        if not workspace.data.dvc.state(out).counts:
            edited.append(out.path)
    return done, edited


def _of_dvc(workspace: Workspace, path: str) -> list[tuple[Out, Chosen | None]]:
    """What DVC tracks at or below a path, or the part of it that the path is."""
    below: list[tuple[Out, Chosen | None]] = [
        (out, None) for out in workspace.data.outs if is_within(out.path, path)
    ]
    if below:
        return below
    out = next((out for out in workspace.data.outs if is_within(path, out.path)), None)
    if out is None or not out.is_folder:
        return []
    inside = path[len(out.path) + 1 :]
    if not any(is_within(name, inside) for name in workspace.data.dvc.listed(out)):
        raise UsageError(f"{out.file} tracks no {inside}.", "Check the name.")
    return [(out, partial(is_within, folder=inside))]


def _named(workspace: Workspace, path: str) -> list[tuple[Pin, Chosen | None]]:
    below = workspace.data.below(path)
    if below:
        return [(pin, None) for pin in below]
    pin = workspace.data.covering(path)
    if pin is None:
        raise UsageError(f"{path} is not pinned.", "mcgitops data status lists what is.")
    inside = path[len(pin.path) + 1 :]
    if not any(is_within(entry.path, inside) for entry in workspace.data.manifest(pin).entries):
        raise UsageError(f"{pin.file} pins no {inside}.", "mcgitops data status shows how it is.")
    return [(pin, partial(is_within, folder=inside))]
