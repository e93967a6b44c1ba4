"""What a process of its own does in tests of folders: a module that needs no test tools."""

from __future__ import annotations

from pathlib import Path

from mcgitops.store.folder import FolderBackend


def create(folder: str, number: int, gate: object) -> bool:
    """Write a record that others write at the same moment; whether it was this one's."""
    backend = FolderBackend(Path(folder))
    gate.wait()  # type: ignore[attr-defined]
    return backend.create("runs/p/s/f.json", b"%d" % number * 10_000)
