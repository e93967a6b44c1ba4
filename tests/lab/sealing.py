"""Keys, and files encrypted for them by the real `age` and `sops`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools
from tests.lab.program import output, run


@dataclass(frozen=True)
class Key:
    """An age key pair: a file that holds the identity, and the recipient to encrypt for."""

    file: Path
    recipient: str

    @property
    def text(self) -> str:
        """The secret line alone, as it stands in a CI's secret store."""
        return self.file.read_text().strip().splitlines()[-1]


def path() -> str:
    """A PATH on which `age` and `sops` are. sops comes with the virtual environment."""
    tools.provide(("age", "age-keygen"))
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))


def new_key(file: Path) -> Key:
    """Make a key pair."""
    run("age-keygen", "--output", file)
    return Key(file, output("age-keygen", "-y", file))


def age(key: Key, content: str | bytes, target: Path, *options: str) -> None:
    """Encrypt `content` with age into `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    plain = target.with_name(target.name + ".plain")
    plain.write_bytes(content.encode() if isinstance(content, str) else content)
    run("age", "--encrypt", *options, "--recipient", key.recipient, "--output", target, plain)
    plain.unlink()


def sops(key: Key, content: str, target: Path, *options: str) -> None:
    """Encrypt `content` with SOPS into `target`, whose suffix says of what kind it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
    run(
        "sops", "--encrypt", "--in-place", "--age", key.recipient, *options, target,
        env={"PATH": path()},
    )  # fmt: skip
