"""Programs that the tests and the demo call: git, ssh, npm, Chromium. Installed where missing.

Also the virtual environment in `.venv`, made from the hashed lock. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.lab import browser, debian
from tests.lab.program import ROOT, LabError, run, say

PACKAGES = {
    "git": "git",
    "ssh": "openssh-client",
    "ssh-agent": "openssh-client",
    "npm": "npm",
    "chromium": "chromium",
}
LOCK = ROOT / "requirements" / "dev.lock"
VENV = ROOT / ".venv"


def provide(names: Iterable[str] = PACKAGES) -> None:
    """Have each of these programs; on Debian and Ubuntu root installs what is missing."""
    missing = [name for name in names if not _is_here(name)]
    if missing:
        _install(missing, list(dict.fromkeys(PACKAGES[name] for name in missing)))


def _is_here(name: str) -> bool:
    return bool(browser.path() if name == "chromium" else shutil.which(name))


def _install(missing: list[str], packages: list[str]) -> None:
    if os.geteuid() != 0 or not debian.family():
        raise LabError(f"Missing here: {', '.join(missing)}. Please install it, then repeat.")
    say(f"Missing: {', '.join(missing)}. Installing Debian packages: {', '.join(packages)}.")
    try:
        debian.install(packages)
    except debian.AptError as error:
        raise LabError(str(error)) from None


def make_venv() -> Path:
    """`.venv` with exactly what the lock says, and this checkout. A second call does nothing."""
    stamp = VENV / ".lock"
    digest = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return VENV
    say(f"Making {VENV.name}/ from {LOCK.relative_to(ROOT)} with Python {sys.version.split()[0]} …")
    if not (VENV / "bin" / "python").exists():
        _create()
    python = VENV / "bin" / "python"
    uv = shutil.which("uv") or str(_own_uv(python))
    install = (uv, "pip", "install", "--quiet", "--python", python)
    run(uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, LOCK)
    run(*install, "--no-deps", "--no-build-isolation", "--editable", ROOT)
    stamp.write_text(digest)
    return VENV


def _own_uv(python: Path) -> Path:
    """uv, from the same lock: it installs the rest in a third of pip's time."""
    found = re.search(r"^uv==.*?(?=^\S)", LOCK.read_text() + "\n#", re.MULTILINE | re.DOTALL)
    if not found:
        raise LabError(f"{LOCK} names no uv. `make lock` writes it anew.")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lock:
        lock.write(found.group())
        lock.flush()
        pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
        run(*pip, "--require-hashes", "--requirement", lock.name)
    return python.parent / "uv"


def _create() -> None:
    done = run(sys.executable, "-m", "venv", VENV, check=False)
    if done.returncode == 0:
        return
    # Debian splits venv's pip off into a package of its own.
    shutil.rmtree(VENV, ignore_errors=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    _install([f"The module venv of Python {version} (with pip)"], [f"python{version}-venv"])
    run(sys.executable, "-m", "venv", VENV)
