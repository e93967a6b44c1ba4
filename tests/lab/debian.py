"""Debian packages: the machine's own and, beside them, single ones from newer suites.

Standard library only, one file: it also runs inside the image of the lab's SSH hosts. Where the
packages come from is never written down here: the mirror is that of the machine's own sources.

    python3 debian.py install docker.io/trixie docker-compose/sid
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class AptError(Exception):
    """apt failed; the text holds its last lines."""


def release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """`/etc/os-release` as a dictionary; empty where there is none."""
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, _, value in pairs}


def family(facts: dict[str, str] | None = None) -> str:
    """`debian`, `ubuntu` (packages of their own names), or "" for anything else."""
    facts = release() if facts is None else facts
    names = [facts.get("ID", ""), *facts.get("ID_LIKE", "").split()]
    for name in names:
        if name in ("debian", "ubuntu"):
            return name
    return ""


def sources(etc: Path = Path("/etc/apt")) -> list[str]:
    """The machine's own sources as one-line entries, from both formats apt knows."""
    found: list[str] = []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        if path.suffix == ".sources":
            found += _deb822(path.read_text())
        elif path.suffix == ".list":
            lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
            found += [line for line in lines if line.startswith("deb ")]
    return found


def _deb822(text: str) -> Iterable[str]:
    without_comments = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", without_comments):
        joined = re.sub(r"\n[ \t]+", " ", stanza)
        pairs = (line.partition(":") for line in joined.splitlines() if ":" in line)
        fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield f"deb {uri} {suite} {fields.get('components', '')}".strip()


def mirror(entries: Sequence[str]) -> str:
    """The address that serves Debian itself: the first whose suite is a plain release."""
    for entry in entries:
        words = re.sub(r"\[[^]]*\]", "", entry).split()
        if len(words) >= 4 and "main" in words[3:] and re.fullmatch(r"[a-z]+", words[2]):
            return words[1]
    raise AptError("no Debian mirror stands in /etc/apt/sources.list or sources.list.d.")


def install(packages: Sequence[str]) -> None:
    """Install `name` from the machine's release and `name/suite` from a newer one, nothing else.

    A newer suite is seen by one download only, through a private apt configuration: the machine's
    sources and its other packages stay as they are.
    """
    newer = [name for name in packages if "/" in name]
    with tempfile.TemporaryDirectory(prefix="lab-apt-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        _apt("apt-get", "-qq", "update")
        _download(newer, folder)
        debs = [str(deb) for deb in sorted(folder.glob("*.deb"))]
        plain = [name for name in packages if "/" not in name]
        _apt("apt-get", "-qq", "install", "-y", "--no-install-recommends", *debs, *plain)


def _download(packages: Sequence[str], folder: Path) -> None:
    if not packages:
        return
    uri = mirror(sources())
    suites = dict.fromkeys(name.split("/")[1] for name in packages)
    lines = [f"deb [signed-by={KEYRING}] {uri} {suite} main" for suite in suites]
    listing = folder / "sources.list"
    listing.write_text("\n".join(lines) + "\n")
    for sub in ("lists/partial", "cache/archives/partial"):
        (folder / sub).mkdir(parents=True)
    own = [
        f"Dir::Etc::sourcelist={listing}", "Dir::Etc::sourceparts=-",
        f"Dir::State::Lists={folder}/lists", f"Dir::Cache={folder}/cache",
        "APT::Sandbox::User=root",
    ]  # fmt: skip
    options = [word for option in own for word in ("-o", option)]
    _apt("apt-get", "-qq", *options, "update")
    _apt("apt-get", "-qq", *options, "download", *packages, cwd=folder)


def _apt(*argv: str, cwd: Path | None = None) -> None:
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        tail = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-15:])
        raise AptError(f"{' '.join(argv[:2])} failed:\n{tail}")


if __name__ == "__main__":
    try:
        install(sys.argv[2:])
    except AptError as error:
        sys.exit(str(error))
