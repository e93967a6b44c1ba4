"""What a rollout is made of: the release that is wanted, and steps, each one command of a phase."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from mcgitops.commands.command import Command
from mcgitops.commands.journal import What
from mcgitops.deferred import dataclass
from mcgitops.project.environment import Hooks
from mcgitops.project.hosts import Pin, WantedService, segment

Phase = Literal["prepare", "activate", "monitor", "confirm", "commit", "finish", "undo"]
PHASES: tuple[Phase, ...] = ("prepare", "activate", "monitor", "confirm", "commit", "finish")


@dataclass(frozen=True)
class Wanted:
    """What an environment shall run: a release with this environment's values."""

    project: str
    environment: str
    compose_project: str
    release: str
    digest: str  # of the release folder, values included
    services: tuple[WantedService, ...]
    images: tuple[Pin, ...] = ()
    variables: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()
    health_seconds: int = 120
    registry: str = ""
    parallel: int = 1  # hosts at a time; 0 is all of them
    canary: int = 0  # hosts that go first
    monitor: int = 0  # seconds that the canary hosts must stay well
    hooks: Hooks = field(default_factory=Hooks)
    retain: int = 5  # release folders that a host keeps
    what: What = "deployed"  # what a host's journal says of the commit
    leaving: str = ""  # the release that is left since it is bad

    @property
    def placement(self) -> str:
        """The release folder, below `releases/`."""
        return f"{segment(self.release)}/{self.digest}"


@dataclass(frozen=True)
class Step:
    """One command of a rollout. `name` tells the executor's output what it is doing.

    service, new, old: where a step is about one service's containers, which one, and how many of
    the new and of the old generation are to be left after it.
    """

    phase: Phase
    name: str
    command: Command
    service: str = ""
    new: int = 0
    old: int = 0
    seconds: float = 0.0  # how long to watch, or what it may take at most
    anew: bool = False  # starts again what has not changed
