"""What a process of its own does in tests of the index: a module that needs no test tools."""

from __future__ import annotations

from pathlib import Path

from mcgitops.facts.files import tree
from mcgitops.facts.index import Index


def look(root: str, file: str) -> str:
    """The digest of the tree at `root`, with the index in `file`."""
    return tree(Path(root), Index(Path(file))).digest
