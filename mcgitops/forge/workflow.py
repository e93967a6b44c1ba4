"""What a job says to the runner that executes it: log groups, annotations, outputs, the summary.

Almost all of it is text in, text out; the two functions at the end append to the files that the
runner names. GitHub's runner defined these commands; Forgejo's and Gitea's understand them too.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from mcgitops.deferred import dataclass

Level = Literal["error", "warning", "notice"]

MOST_ANNOTATIONS = 10
"""The runner shows ten of each level a step, and drops the others without a word."""

SUMMARY_BYTES = 900_000
"""A summary of more than 1 MiB a step is dropped as a whole."""

CUT = "\n\n*The summary was too long and is cut here.*\n"


def group(title: str) -> str:
    """Begin a foldable part of the log."""
    return f"::group::{_data(title)}"


def endgroup() -> str:
    """End it."""
    return "::endgroup::"


def untrusted(text: str) -> str:
    """Text of somebody else's program, in which the runner must not look for commands.

    A training script may print `::add-path::…` or `::set-env …`, by accident or not.
    """
    if not text:
        return ""
    begin, end = unheard()
    return f"{begin}\n{text}\n{end}"


def unheard() -> tuple[str, str]:
    """Two lines, between which the runner carries out no commands. Nobody can guess the second."""
    token = secrets.token_hex(16)
    return f"::stop-commands::{token}", f"::{token}::"


def annotation(
    level: Level, message: str, *, title: str = "", file: str = "", line: int | None = None
) -> str:
    """A message on the run's page, and beside the file's line where one is given."""
    properties = {"title": title, "file": file, "line": str(line) if line and file else ""}
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{level}{' ' + shown if shown else ''}::{_data(message)}"


@dataclass
class Annotations:
    """Makes annotations until the runner would drop them; what is over goes by as plain text."""

    most: int = MOST_ANNOTATIONS
    _made: dict[Level, int] = field(default_factory=dict)

    def __call__(
        self,
        level: Level,
        message: str,
        *,
        title: str = "",
        file: str = "",
        line: int | None = None,
    ) -> str:
        """The annotation, or the message alone where there are too many already."""
        self._made[level] = self._made.get(level, 0) + 1
        if self._made[level] > self.most:
            return untrusted(": ".join(part for part in (level, title, message) if part))
        return annotation(level, message, title=title, file=file, line=line)


def mask(secret: str) -> list[str]:
    """The commands that make the runner hide a secret, in every form it could be printed in."""
    forms: dict[str, None] = {}
    for line in (secret, *secret.splitlines()):
        text = line.strip()
        if len(text) < 4:  # hiding every "a" of the log would hide nothing else
            continue
        encoded = base64.b64encode(text.encode()).decode()
        for form in (
            text,
            encoded,
            encoded.rstrip("="),
            quote(text, safe=""),
            json.dumps(text)[1:-1],
        ):
            forms[form] = None
    return [f"::add-mask::{_data(form)}" for form in forms]


def output(name: str, value: str, delimiter: str = "") -> str:
    """An entry for the file of outputs. A value can't end its own entry and begin another."""
    delimiter = delimiter or f"mcgitops_{secrets.token_hex(16)}"
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"{name!r} is not a name for an output")
    if delimiter in value or delimiter in name:
        raise ValueError(f"the value of {name} contains its own delimiter")
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def clamped(text: str, limit: int = SUMMARY_BYTES) -> str:
    """Markdown cut to a number of bytes, at a line's end."""
    if len(text.encode()) <= limit:
        return text
    room = limit - len(CUT.encode())
    if room <= 0:
        return ""
    head = text.encode()[:room].decode(errors="ignore")
    return head[: head.rfind("\n") + 1].rstrip("\n") + CUT


def write_output(path: Path, name: str, value: str) -> None:
    """Set an output of the step."""
    with path.open("a", encoding="utf-8") as file:
        file.write(output(name, value))


def append_summary(path: Path, text: str) -> None:
    """Add to the step's summary what still fits."""
    used = path.stat().st_size if path.exists() else 0
    with path.open("a", encoding="utf-8") as file:
        file.write(clamped(text.rstrip("\n") + "\n", SUMMARY_BYTES - used))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
