"""Mermaid's own parser, in the versions that forges have had, as one long-lived Node process.

npm fetches the pinned packages once into `.cache/` (`package-lock.json` beside this file, without
what Mermaid's bundle doesn't need), with a DOM, for the parser cleans its titles with one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.program import CACHE

HERE = Path(__file__).parent
VERSIONS = ("10.9", "11.4", "11.12", "12.3")


class Mermaid:
    """A context manager; `read` asks every version."""

    def __init__(self) -> None:
        node = shutil.which("node") or shutil.which("nodejs")
        if node is None:
            raise RuntimeError("Mermaid's parser needs Node.js: apt-get install npm")
        self._process = subprocess.Popen(
            [node, HERE / "parse.cjs"],
            cwd=_packages(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def read(self, chart: str) -> dict[str, dict[str, Any]]:
        """By version: the diagram's `kind` and `title`, or the parser's `error`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(chart) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"Mermaid's process ended with {self._process.wait()}")
        found: dict[str, dict[str, Any]] = json.loads(answer)
        assert sorted(found) == sorted(VERSIONS)
        return found

    def __enter__(self) -> Mermaid:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()  # the end of its input is its end


def _packages() -> Path:
    """The folder with `node_modules`, as the lock says. A second call does nothing."""
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:12]
    target = CACHE / f"mermaid-{digest}"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "mermaid.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                _fetch(target)
    return target


def _fetch(target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is needed, to fetch Mermaid once: apt-get install npm")
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name, "packages")
        folder.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, folder)
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=folder,
            check=True,
            timeout=240,
        )
        for version in VERSIONS:  # one bundle is all that is used of 70 MB
            package = folder / "node_modules" / f"mermaid-{version}"
            bundle = (package / "dist" / "mermaid.min.js").read_bytes()
            shutil.rmtree(package)
            package.mkdir()
            (package / "mermaid.min.js").write_bytes(bundle)
        folder.rename(target)
