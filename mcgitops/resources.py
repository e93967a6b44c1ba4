"""Where the files are that ship with the package: `templates/`.

In a checkout they lie beside the package, in the wheel inside it.
"""

from __future__ import annotations

from pathlib import Path


def templates(*parts: str) -> Path:
    """A folder or file below `templates/`."""
    package = Path(__file__).parent
    inside = package / "templates"
    root = inside if inside.is_dir() else package.parent / "templates"
    return root.joinpath(*parts)
