"""The values that a deployment takes from its caller: variables, env files, secret files.

They are read at the moment of deploying, from the caller's environment and project folder, and go
to the hosts only: never into a release, a plan, a command line or a log.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mcgitops.deploy import composefile
from mcgitops.deploy.composefile import Needs
from mcgitops.errors import EngineError, UsageError
from mcgitops.facts.program import output

OF_THE_HOST = frozenset({
    "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST", "HOME", "HOSTNAME", "LOGNAME", "PATH", "PWD",
    "SHELL", "TMPDIR", "UID", "USER", "XDG_DATA_HOME",
})  # fmt: skip
"""Variables that mean something on the machine where Compose runs: a host's own are taken there."""


@dataclass(frozen=True, repr=False)
class SecretFile:
    """A file of the caller's: content and mode."""

    content: bytes
    mode: int


@dataclass(frozen=True, repr=False)
class Values:
    """Everything secret that a release folder will hold. Has no readable form."""

    variables: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()  # of all variables that may have a value, for taking them away
    env_files: dict[str, SecretFile] = field(default_factory=dict)
    secret_files: dict[str, SecretFile] = field(default_factory=dict)


def gather(folder: Path, needs: Needs) -> Values:
    """Read what a release needs. Raises `UsageError` where a required file is missing."""
    env_files: dict[str, SecretFile] = {}
    names = set(needs.variables)
    for path, required in needs.env_files:
        found = _read(folder / path)
        if found is None and required:
            raise UsageError(
                f"env_file {path} does not exist in {folder}.",
                "It is not part of a release, since it may hold secrets: put it there before "
                "deploying.",
            )
        if found is not None:
            env_files[path] = found
            names |= composefile.variables(found.content.decode("utf-8", "replace"))
    secret_files: dict[str, SecretFile] = {}
    for path in needs.secret_files:
        found = _read(folder / path)
        if found is None:
            raise UsageError(
                f"The secret's file {path} does not exist in {folder}.",
                "Secrets are not part of a release: put it there before deploying.",
            )
        secret_files[path] = found
    names -= OF_THE_HOST
    return Values(_values(folder, names), tuple(sorted(names)), env_files, secret_files)


def _read(path: Path) -> SecretFile | None:
    if not path.is_file():
        return None
    return SecretFile(path.read_bytes(), path.stat().st_mode & 0o777)


def _values(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The variables' values as Compose itself sees them: its environment over `.env`."""
    wanted = sorted(names)
    if not wanted:
        return {}
    document = {
        "services": {"none": {"image": "none"}},
        "x-values": {name: f"${{{name}-}}" for name in wanted},
        "x-set": {name: f"${{{name}+1}}" for name in wanted},
    }
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
        raise EngineError(f"The variables of the compose file can't be read: {lines[-1]}.")
    shown = json.loads(answer.stdout)
    return {
        name: shown["x-values"][name].replace("$$", "$") for name in wanted if shown["x-set"][name]
    }


def dotenv(variables: dict[str, str]) -> str:
    """A `.env` file from which Compose reads exactly these values."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(variables.items()))


def _quoted(value: str) -> str:
    """Single quotes keep everything but themselves and backslashes before them; double ones
    need escapes for what Compose would expand."""
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'
