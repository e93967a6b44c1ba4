"""The project as a release itself describes it: for a host that has the store and no checkout.

Only the environment counts there. It is deployed on the engine of that host, whatever `hosts:`
says, and from the store's own layers.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcgitops.deploy import yamlfile
from mcgitops.errors import UsageError
from mcgitops.facts.program import output
from mcgitops.project.environment import Environment
from mcgitops.project.hosts import LOCAL
from mcgitops.project.load import unescape
from mcgitops.project.model import Project
from mcgitops.project.spec import ProjectSpec
from mcgitops.store.records import ReleaseRecord
from mcgitops.store.store import Store
from mcgitops.typed.mistakes import ValidationError

LARGEST_COMPOSE = 16 * 1024 * 1024
_KEY = "x-mcgitops"
# what is about other machines than this one
_HERE: Mapping[str, Any] = {
    "hosts": [LOCAL], "known_hosts": None, "registry": None, "parallel": 1, "canary": None,
}  # fmt: skip


def pulled(store: Store, record: ReleaseRecord, environment: str, folder: Path) -> Project:
    """A project with this one environment. Raises `UsageError` where the release has none such.

    folder: where `.env`, env files and files of secrets and values lie.
    """
    text = store.read_bytes(record.compose.digest, LARGEST_COMPOSE).decode()
    document = yamlfile.read(text)
    if _KEY not in document:  # made by a version that did not keep our keys
        return bare(record.project, environment, folder)
    known = (document[_KEY] or {}).get("environments") or {}
    if environment not in known:
        names = ", ".join(sorted(known)) or "none"
        raise UsageError(
            f"Release {record.name} of {record.project} has no environment {environment}.",
            f"It has: {names}.",
        )
    written = _with_values(known[environment] or {}, environment, folder)
    try:
        spec = Environment.model_validate({**written, **_HERE})
    except ValidationError as error:
        first = error.mistakes[0]
        key = ".".join(str(part) for part in first.place)
        raise UsageError(
            f"environments.{environment} of release {record.name} can't be read: {key}: "
            f"{first.text}.",
            "If the release was made by a newer mcgitops, upgrade the one on this host.",
        ) from None
    return _project(record.project, environment, spec, folder)


def bare(project: str, environment: str, folder: Path) -> Project:
    """The same where nothing is known of the environment but its name."""
    spec = Environment.model_validate({**_HERE, "pull": True})
    return _project(project, environment, spec, folder)


def _project(name: str, environment: str, spec: Environment, folder: Path) -> Project:
    return Project(
        name=name,
        folder=folder,
        files=(),
        services={},
        spec=ProjectSpec(environments={environment: spec}),
        resolved={},
    )


def _with_values(written: Mapping[str, Any], environment: str, folder: Path) -> Mapping[str, Any]:
    """Our keys may hold variables as the rest of the file: Compose puts in this host's values."""
    text = json.dumps(written)
    if "$" not in text:
        return written
    document = {"name": "values", "services": {"none": {"image": "none"}}, _KEY: written}
    with tempfile.TemporaryDirectory(prefix="mcgitops-") as name:
        file = Path(name) / "values.json"
        file.write_text(json.dumps(document))
        answer = output(
            ("docker", "compose", "--project-directory", str(folder), "--file", str(file),
             "config", "--format", "json"),
            folder, check=False,
        )  # fmt: skip
    if answer.code != 0:
        lines = answer.stderr.strip().splitlines() or ["docker compose gave no reason"]
        raise UsageError(
            f"environments.{environment} holds a variable without a value: {lines[-1].rstrip('.')}."
        )
    found: Mapping[str, Any] = unescape(json.loads(answer.stdout)[_KEY])
    return found
