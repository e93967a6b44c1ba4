"""The project of a host that has no checkout: what its own folders and the store say of it.

With it `status`, `rollback`, `heal`, `lock`, `unlock` and `audit` work beside an agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mcgitops.deploy.agents.place import root
from mcgitops.deploy.agents.pulled import bare, pulled
from mcgitops.errors import StoreError, UsageError
from mcgitops.project.environment import Environment
from mcgitops.project.model import Project
from mcgitops.project.spec import ProjectSpec
from mcgitops.store.store import Store


def here(store: Store, name: str, folder: Path, environ: Mapping[str, str]) -> Project:
    """The project with the environments that were deployed on this machine.

    Each is as the release that is wanted there describes it; where the store doesn't answer, only
    its name is known, which is enough to look and to go back. folder: where values lie.
    """
    place = root(name, "any", environ).parent
    try:
        found = sorted(path.name for path in place.iterdir() if (path / "releases").is_dir())
    except OSError:
        found = []
    if not found:
        raise UsageError(
            f"Nothing of {name} was deployed on this machine by this user ({place}).",
            "Run it as the agent's user, or where a compose file is.",
        )
    specs = {environment: _spec(store, name, environment, folder) for environment in found}
    return Project(
        name=name, folder=folder, files=(), services={}, resolved={},
        spec=ProjectSpec(environments=specs),
    )  # fmt: skip


def _spec(store: Store, name: str, environment: str, folder: Path) -> Environment:
    try:
        wanted = store.wanted(name, environment)
        record = store.release(name, wanted.release) if wanted else None
    except StoreError:
        record = None
    project = (
        pulled(store, record, environment, folder) if record else bare(name, environment, folder)
    )
    return project.spec.environments[environment]
