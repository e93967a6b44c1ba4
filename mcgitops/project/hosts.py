"""Hosts and what was seen on them, as values. Looking happens in `facts.host`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

LOCAL = "local://"


@dataclass(frozen=True)
class Host:
    """One target of an environment, out of its URL (validated by `project.spec.Environment`)."""

    url: str
    name: str = ""
    user: str = ""
    port: int | None = None

    @classmethod
    def parse(cls, url: str) -> Host:
        """`ssh://deploy@a.example.com:2222`, or `local://` for the engine of this machine."""
        parts = urlsplit(url)
        if parts.scheme == "local":
            return cls(LOCAL, "local")
        return cls(url.rstrip("/"), parts.hostname or "", parts.username or "", parts.port)

    @property
    def is_local(self) -> bool:
        """Whether this is the engine of this machine, reached without SSH."""
        return self.url == LOCAL

    @property
    def label(self) -> str:
        """The shortest name for people; the port only where it isn't SSH's own."""
        return self.name if self.port in (None, 22) else f"{self.name}:{self.port}"


def segment(release: str) -> str:
    """A release's name as one segment of a path: `team/v1` → `team%2Fv1`."""
    return quote(release, safe="+@")


@dataclass(frozen=True)
class ImageFact:
    """An image that a host's engine holds."""

    id: str
    references: tuple[str, ...] = ()
    diff_ids: tuple[str, ...] = ()
    driver: str = ""  # what keeps its layers: tells a classic engine from the containerd store


@dataclass(frozen=True)
class ContainerFact:
    """One container of the environment's compose project, running or not."""

    name: str
    service: str
    image_id: str = ""
    image: str = ""  # the reference that it was created from
    state: str = ""  # created, running, restarting, paused, exited, dead
    health: str = ""  # starting, healthy, unhealthy; "" without a healthcheck
    exit_code: int = 0
    restarts: int = 0
    restart_policy: str = "no"
    started: datetime | None = None
    finished: datetime | None = None
    said: str = ""  # the last words of its healthcheck


@dataclass(frozen=True)
class WantedService:
    """What a release wants to run of one service."""

    name: str
    replicas: int = 1
    image: str = ""
    config_digest: str = ""


@dataclass(frozen=True)
class Placement:
    """A release folder on a host: one release with one set of values. Never changed once there."""

    release: str
    digest: str  # of everything in the folder, values included
    services: tuple[WantedService, ...] = ()
    variables: tuple[str, ...] = ()  # names only
    placed: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells two placements apart."""
        return (self.release, self.digest)

    @property
    def folder(self) -> str:
        """Its folder below `releases/`."""
        return f"{segment(self.release)}/{self.digest}"


@dataclass(frozen=True)
class LockFact:
    """Who holds a host for a rollout, and until when by that host's own clock."""

    owner: str
    token: str
    machine: str = ""
    pid: int = 0
    started: str = ""
    expires: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class HostFacts:
    """All that a rollout is decided from, for one host. `problem` is set where it can't be used."""

    host: Host
    problem: str = ""
    hint: str = ""
    root: str = ""  # the environment's folder on that host, absolute
    now: float = 0.0  # the host's own clock
    engine: str = ""
    compose: str = ""
    tools: frozenset[str] = frozenset()  # of flock and timeout, those that it has
    current: Placement | None = None  # the committed release
    previous: Placement | None = None
    attempt: str = ""  # a rollout that has not been committed: "release/digest" ("" is none)
    since: float = 0.0  # when `current` was switched
    placed: frozenset[str] = frozenset()  # "release/digest" folders that are complete
    files: frozenset[str] = frozenset()  # content-addressed files and folders that are there
    images: tuple[ImageFact, ...] = ()
    containers: tuple[ContainerFact, ...] = ()
    lock: LockFact | None = None
