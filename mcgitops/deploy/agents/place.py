"""What an agent keeps on its host: a lock, what it did last, and a sign of life.

    agent/lock          held while the agent runs: one for each environment
    agent/memory.json   the release that it dealt with last, and how that ended
    agent/alive         until when it will have given the next sign

It lies in the environment's folder, beside the releases.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from mcgitops.deploy.agents.decide import Memory
from mcgitops.errors import McgitopsError, UsageError
from mcgitops.typed.convert import convert


def root(project: str, environment: str, environ: Mapping[str, str]) -> Path:
    """The environment's folder on this host: the same as a rollout's."""
    data = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME") or "~") / ".local/share")
    return Path(data).expanduser() / "mcgitops" / project / environment


class AgentPlace:
    """The agent's files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "agent"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only agent here. Raises `UsageError` where there is one."""
        before = os.umask(0o077)  # as a rollout makes it
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("a+")
        except OSError as error:
            raise McgitopsError(
                f"{self._folder} can't be written: {error.strerror or error}.",
                "Let the agent's user write there, or set XDG_DATA_HOME to another folder.",
            ) from error
        finally:
            os.umask(before)
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    "Another agent is at work for this environment on this host.",
                    "One is enough: systemctl and docker ps show where it runs.",
                ) from None
            try:
                yield
            finally:
                (self._folder / "alive").unlink(missing_ok=True)

    def memory(self) -> Memory:
        """What the agent did last; empty where that can't be read."""
        try:
            text = (self._folder / "memory.json").read_bytes()
            memory: Memory = convert(json.loads(text), Memory)
        except (OSError, ValueError):
            return Memory()
        return memory

    def remember(self, memory: Memory) -> None:
        """Keep it over the agent's end, however that comes."""
        try:
            self._write("memory.json", json.dumps(asdict(memory)))
        except OSError as error:
            raise McgitopsError(
                f"{self._folder} can't be written: {error.strerror or error}.", "Check the disk."
            ) from error

    def beat(self, seconds: float) -> None:
        """Say that the next sign of life comes within so many seconds."""
        with suppress(OSError):  # a full disk must not end the agent: the health check tells
            self._write("alive", f"{time.time() + seconds:.0f}\n")

    def is_alive(self) -> bool:
        """Whether an agent has promised a sign of life for later than now."""
        try:
            return float((self._folder / "alive").read_text()) >= time.time()
        except (OSError, ValueError):
            return False

    def _write(self, name: str, text: str) -> None:
        temporary = self._folder / f"{name}.new"
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / name)
