"""What a runner tells a job, as one typed value with a cleaner for each field.

The variables are read here once and nowhere else in `forge`; a value of the wrong form becomes an
error that names the variable.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.forge.comment import KEY

T = TypeVar("T")

MAX_EVENT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """The runner's variables. The token never appears in the printed form."""

    api_url: str = "https://api.github.com"
    server_url: str = "https://github.com"
    repository: str = ""
    token: str = field(default="", repr=False)
    event_path: Path | None = None
    run_id: int = 0
    run_attempt: int = 1
    summary: Path | None = None
    output: Path | None = None
    temp: Path | None = None
    workspace: Path | None = None
    in_actions: bool = False

    @property
    def run_url(self) -> str:
        """The page of this run, `""` outside one."""
        if not (self.run_id and self.repository):
            return ""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"

    def payload(self) -> Any:
        """The event's JSON; None where the runner gave none."""
        if self.event_path is None:
            return None
        try:
            if self.event_path.stat().st_size > MAX_EVENT_BYTES:
                raise UsageError(f"{self.event_path}: the event is larger than 32 MiB.")
            return json.loads(self.event_path.read_bytes())
        except OSError as error:
            raise UsageError(
                f"The event could not be read: {error.strerror}: {self.event_path}.",
                "GITHUB_EVENT_PATH must name the file that the runner wrote.",
            ) from None
        except ValueError as error:
            raise UsageError(
                f"{self.event_path} is not JSON: {error}.",
                "GITHUB_EVENT_PATH must name the file that the runner wrote.",
            ) from None


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings from the environment; variables that aren't set keep their defaults."""
    known: dict[str, tuple[str, Callable[[str], Any]]] = {
        "api_url": ("GITHUB_API_URL", _url),
        "server_url": ("GITHUB_SERVER_URL", _url),
        "repository": ("GITHUB_REPOSITORY", _repository),
        "token": ("GITHUB_TOKEN", _token),
        "event_path": ("GITHUB_EVENT_PATH", Path),
        "run_id": ("GITHUB_RUN_ID", _number),
        "run_attempt": ("GITHUB_RUN_ATTEMPT", _number),
        "summary": ("GITHUB_STEP_SUMMARY", Path),
        "output": ("GITHUB_OUTPUT", Path),
        "temp": ("RUNNER_TEMP", Path),
        "workspace": ("GITHUB_WORKSPACE", Path),
        "in_actions": ("GITHUB_ACTIONS", lambda text: text == "true"),
    }
    values: dict[str, Any] = {}
    for name, (variable, clean) in known.items():
        if text := environ.get(variable, "").strip():
            values[name] = cleaned(variable, text, clean)
    return Settings(**values)


def cleaned(variable: str, text: str, clean: Callable[[str], T]) -> T:
    """`clean(text)`; its `ValueError` becomes an error that names the variable."""
    try:
        return clean(text)
    except ValueError as error:
        raise UsageError(f"{variable}: {error}") from None


def comment_key(text: str) -> str:
    """A key of a comment, as it may stand in the comment's marker."""
    if not KEY.fullmatch(text):
        raise ValueError(f"{text!r} is not a key. Use letters, digits, `.`, `_`, `-`; at most 64.")
    return text


def key_from(name: str, *apart: str) -> str:
    """The key that a project's name gives: what isn't allowed becomes `-`.

    apart: what tells this comment from others of the same name, such as the project's folder or the
           workflow's leg, where there is any. A digest of it keeps keys apart that look alike.
    """
    key = _slug(name) or "project"
    told = [text for text in apart if text]
    if not told:
        return key[:64]
    digest = hashlib.sha256(json.dumps([name, *apart]).encode()).hexdigest()[:8]
    return f"{key}.{_slug('.'.join(told))}"[: 64 - 9].rstrip("-._") + f".{digest}"


def leg_of(text: str) -> str:
    """The workflow's leg in words, from its matrix as JSON: `cpu, 3.11`; "" without a matrix.

    Raises `ValueError` where it is no JSON object.
    """
    matrix = json.loads(text) if text.strip() else None
    if matrix is None:
        return ""
    if not isinstance(matrix, dict):
        raise ValueError("is no matrix. Leave it to the action: ${{ toJSON(matrix) }}.")
    return ", ".join(v if isinstance(v, str) else json.dumps(v) for v in matrix.values())[:200]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is not an address. Write https://….")
    if parts.username or parts.password:
        raise ValueError("holds a password. Give the token as GITHUB_TOKEN.")
    return text.rstrip("/")


def _repository(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", text):
        raise ValueError(f"{text!r} is not a repository. Write owner/name.")
    return text


def _token(text: str) -> str:
    if not text.isascii() or any(c.isspace() for c in text):
        raise ValueError("holds blanks or characters that no token has.")
    return text


def _number(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise ValueError(f"{text!r} is not a number.")
    return int(text)
