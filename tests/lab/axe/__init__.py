"""axe-core: what in a page keeps people from using it. From npm, as the lock here says."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.lab.program import CACHE, LabError, run

HERE = Path(__file__).parent


@functools.cache
def source() -> str:
    """The script that a page runs; fetched once into `.cache/`."""
    lock = (HERE / "package-lock.json").read_bytes()
    target = CACHE / f"axe-{hashlib.sha256(lock).hexdigest()[:12]}.js"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "axe.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if not target.exists():
                _fetch(target)
    return target.read_text(encoding="utf-8")


def _fetch(target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise LabError("npm is needed, to fetch axe-core once: apt-get install npm")
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, folder)
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        run(npm, "ci", *options, cwd=folder, timeout=240)
        (folder / "node_modules" / "axe-core" / "axe.min.js").rename(target)
