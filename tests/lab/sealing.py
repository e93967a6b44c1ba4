"""Keys, and files encrypted for them by the real `age` and `sops`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab import debian
from tests.lab.program import CACHE, LabError, output, run, say


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
    folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
    if not shutil.which("age") or not shutil.which("age-keygen"):
        folders.append(str(_unpacked_age() / "usr" / "bin"))
    return os.pathsep.join(folders)


def _unpacked_age() -> Path:
    """Debian's package, unpacked in the lab's cache: it needs no root, and nothing is installed."""
    ready = CACHE / "age"
    if ready.is_dir():
        return ready
    if not debian.family():
        raise LabError("age is missing here. Please install it, then repeat.")
    say("age is missing. Unpacking the Debian package age into .cache/lab.")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="age-", dir=CACHE) as name:
        folder = Path(name)
        for sub in ("lists/partial", "cache/archives/partial", "tree"):
            (folder / sub).mkdir(parents=True)
        own = [f"Dir::State::Lists={folder}/lists", f"Dir::Cache={folder}/cache",
               "APT::Sandbox::User=root"]  # fmt: skip
        options = [word for option in own for word in ("-o", option)]
        run("apt-get", "-qq", *options, "update")
        run("apt-get", "-qq", *options, "download", "age", cwd=folder)
        run("dpkg-deb", "--extract", next(folder.glob("age_*.deb")), folder / "tree")
        with suppress(OSError):  # somebody else was first
            (folder / "tree").rename(ready)
    return ready


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
