"""What a tracking tool is told so that an unchanged script writes where its stage says; pure.

A stage that declares MLflow's database or folder, or W&B's folder, among its metrics gets the
variables that lead the tool there. A variable that the service, or the run's combination, sets
itself stays as it is.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Container
from urllib.parse import quote

from mcgitops.project.load import writable_mount
from mcgitops.project.model import Project, Service

DATABASES = ("mlflow*.db", "mlflow*.sqlite", "mlflow*.sqlite3", "mlruns.db")
MLFLOW_FOLDER = "mlruns"
WANDB_FOLDER = "wandb"


def tracking(project: Project, stage: Service, own: Container[str] = ()) -> dict[str, str]:
    """Variables for the stage's container, by name.

    own: names that the run's combination sets.
    """
    wanted: dict[str, str] = {}
    for path in stage.spec.metrics:
        for name, value in _variables(path, stage.spec.readers.get(path, ""), project, stage):
            wanted.setdefault(name, value)  # of several the first one
    if _sets(stage, own, "MLFLOW_TRACKING_URI"):
        wanted.pop("MLFLOW_ALLOW_FILE_STORE", None)
    return {name: value for name, value in wanted.items() if not _sets(stage, own, name)}


def _variables(
    path: str, reader: str, project: Project, stage: Service
) -> tuple[tuple[str, str], ...]:
    inside = inside_of(project, stage, path)
    name = posixpath.basename(path)
    if not inside:
        return ()
    is_database = any(fnmatch.fnmatchcase(name, pattern) for pattern in DATABASES)
    if reader == "mlflow_db" or (not reader and is_database):
        return (("MLFLOW_TRACKING_URI", f"sqlite:///{inside}"),)
    if reader == "mlflow_files" or (not reader and name == MLFLOW_FOLDER):
        return (
            ("MLFLOW_TRACKING_URI", f"file://{quote(inside)}"),
            ("MLFLOW_ALLOW_FILE_STORE", "true"),  # refused otherwise since 3.13
        )
    if reader == "wandb" or (not reader and name == WANDB_FOLDER):
        # it makes a folder of that name itself
        above = posixpath.dirname(inside) if name == WANDB_FOLDER else inside
        return (("WANDB_MODE", "offline"), ("WANDB_DIR", above))
    return ()


def inside_of(project: Project, stage: Service, path: str) -> str:
    """Where a path of the project folder is in the stage's container; "" where it isn't."""
    mount = writable_mount(project, stage, path)
    if mount is None:
        return ""
    source = project.relative(mount.source) or "."
    below = path if source == "." else path[len(source) + 1 :]
    return posixpath.join(mount.target, below) if below else mount.target


def _sets(stage: Service, own: Container[str], name: str) -> bool:
    return name in stage.environment or name in own
