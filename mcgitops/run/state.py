"""The folder that holds everything of ours in a project."""

from __future__ import annotations

from pathlib import Path

from mcgitops.project import STATE_FOLDER


def state_of(folder: Path) -> Path:
    """`.mcgitops`: made when first needed, and hidden from git without touching its files."""
    state = folder / STATE_FOLDER
    if not state.is_dir():
        state.mkdir(parents=True, exist_ok=True)
    ignore = state / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return state
