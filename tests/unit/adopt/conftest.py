"""Facts about a project, without a folder: what `propose` decides on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mcgitops.adopt.look import Named, Seen, SeenFile
from mcgitops.project.model import Mount, Project, Service
from mcgitops.project.spec import ProjectSpec

FOLDER = Path("/nowhere/shop")
MakeSeen = Callable[..., Seen]


@pytest.fixture
def seen() -> MakeSeen:
    """Make facts of services (compose mappings), files (path → metrics) and names in scripts."""

    def make(
        services: Mapping[str, Mapping[str, Any]],
        files: Mapping[str, tuple[str, ...]] | None = None,
        named: Mapping[str, tuple[str, ...]] | None = None,
        params: tuple[str, ...] = (),
        ignored: tuple[str, ...] = (),
    ) -> Seen:
        project = Project(
            name="shop",
            folder=FOLDER,
            files=(FOLDER / "compose.yml",),
            services={name: _service(name, definition) for name, definition in services.items()},
            spec=ProjectSpec(),
            resolved={},
        )
        return Seen(
            project,
            {
                path: SeenFile(path, 10, numbers, path in ignored)
                for path, numbers in (files or {}).items()
            },
            {
                name: tuple(Named(path, f"{name}.py") for path in paths)
                for name, paths in (named or {}).items()
            },
            params,
        )

    return make


def _service(name: str, definition: Mapping[str, Any]) -> Service:
    mounts = []
    for volume in definition.get("volumes", ()):
        source, target, *mode = volume.split(":")
        kind = "bind" if source.startswith(".") else "volume"
        mounts.append(Mount(kind, str(FOLDER / source), target, mode == ["ro"]))
    return Service(
        name,
        {key: value for key, value in definition.items() if key != "depends_on"},
        depends_on=dict.fromkeys(
            definition.get("depends_on", ()), "service_completed_successfully"
        ),
        mounts=tuple(mounts),
    )
