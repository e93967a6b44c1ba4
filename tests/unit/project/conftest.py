"""A project folder that is loaded as the program loads it: through `docker compose config`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mcgitops.facts.compose import load_project
from mcgitops.project.model import Project

Load = Callable[..., Project]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write files into a folder and load it: `load({"compose.yml": …}, "b.yml", start="sub")`."""

    def write_and_load(
        files: Mapping[str, str] | str, *named: str, start: str = "", name: str = "project"
    ) -> Project:
        folder = tmp_path / name
        for path, text in ({"compose.yml": files} if isinstance(files, str) else files).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return load_project(folder / start if start else folder, named)

    return write_and_load
