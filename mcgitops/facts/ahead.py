"""Walks large folders in a process of its own while the program is still being imported.

With tens of thousands of files the walk takes as long as starting the program does, and one core
does nothing meanwhile. Which folders are large is known from the last time; the walk gives their
signature, by which the index knows the digest of all that is in them. Where there is no index, it
gives all that was seen, so that nobody walks again. Only for `plan`: it looks once, at once, while
other verbs may wait for each other before they look.
"""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcgitops.project import STATE_FOLDER

if TYPE_CHECKING:
    from mcgitops.facts.walking import Seen

INDEX = "index.sqlite"
"""What `facts.index` keeps beside; only to know whether there is one."""

LARGE = 5000
"""Files from which on it pays."""
MOST = 8
"""Folders."""
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from mcgitops.facts.walking import main; main()"
)


class Ahead:
    """The walks of one call. Whatever is wrong with them, the folder is walked as ever."""

    def __init__(self, folder: Path) -> None:
        """folder: the project's. Nothing is begun where nothing large was noted there."""
        self._notes = folder / STATE_FOLDER / "cache" / "large.json"
        self._noted = _noted(self._notes)
        self._found: list[str] = []
        self._answers: dict[str, Any] | None = {} if not self._noted else None
        self._seen: dict[str, Seen] = {}
        self._process: subprocess.Popen[bytes] | None = None
        if self._noted:
            package = os.fspath(Path(__file__).parents[2])
            asked = "parts" if (folder / STATE_FOLDER / INDEX).exists() else "whole"
            argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, package, asked, *self._noted]
            with suppress(OSError):
                self._process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )  # fmt: skip

    def signature(self, root: Path) -> bytes:
        """What the walk of a folder came to; b"" where there was none. Each is told once."""
        if os.fspath(root) not in self._noted:
            return b""
        if self._answers is None:
            self._answers = self._read()
        found = self._answers.pop(os.fspath(root), b"")
        if found:
            self._found.append(os.fspath(root))
        if isinstance(found, tuple):
            from mcgitops.facts.walking import Seen

            seen = self._seen[os.fspath(root)] = Seen.unpacked(*found)
            return seen.signature()
        return found if isinstance(found, bytes) else b""

    def walked(self, root: Path) -> Seen | None:
        """All that was seen in a folder whose signature was asked for; told once."""
        return self._seen.pop(os.fspath(root), None)

    def note(self, root: Path, files: int) -> None:
        """Remember how large a folder is, for the next time."""
        if files >= LARGE and os.fspath(root) not in self._found:
            self._found.append(os.fspath(root))

    def end(self) -> None:
        """Nothing more will be asked for."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if sorted(self._found[:MOST]) != sorted(self._noted):
            temporary = self._notes.with_name(f".{self._notes.name}-{os.getpid()}")
            with suppress(OSError, ValueError):
                self._notes.parent.mkdir(exist_ok=True)
                temporary.write_text(json.dumps(self._found[:MOST]))
                temporary.replace(self._notes)

    def _read(self) -> dict[str, bytes]:
        process, self._process = self._process, None
        if process is None:
            return {}
        try:
            answers = marshal.loads(process.communicate()[0])  # noqa: S302  (we began it)
        except (ValueError, EOFError, TypeError):
            return {}
        return answers if isinstance(answers, dict) else {}


def _noted(file: Path) -> list[str]:
    """The folders that were large; none where the file can't be understood."""
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    good = isinstance(data, list) and all(
        isinstance(root, str) and root.startswith("/") and "\0" not in root for root in data
    )
    return data[:MOST] if good else []
