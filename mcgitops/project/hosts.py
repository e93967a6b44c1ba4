"""Hosts and what was seen on them, as values. Looking happens in `facts.host`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from urllib.parse import quote, urlsplit

from mcgitops.deferred import dataclass
from mcgitops.project.serving import ServingSpec

LOCAL = "local://"
CONFIGURATION_LABEL = "mcgitops.configuration"
"""On containers: the digest of all that they are made from."""


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
    configuration: str = ""  # the digest of all that it was made from; "" where it isn't ours
    number: int = 0  # Compose's own, from 1 on
    addresses: tuple[str, ...] = ()  # in the networks of the project


@dataclass(frozen=True)
class Pin:
    """An image as a release pins it."""

    service: str
    reference: str
    config_digest: str
    diff_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """How containers of a service are replaced: `deploy.update_config` or `rollback_config`."""

    order: Literal["start-first", "stop-first"] = "stop-first"
    why: str = ""  # why the old ones stop first; "" where they don't, or where the file says so
    parallelism: int = 0  # containers at a time; 0 is all of them
    delay: float = 0.0  # seconds between two batches
    monitor: float = 0.0  # seconds that new containers must stay well before the old ones go
    failure_action: Literal["rollback", "pause", "continue"] = "rollback"


@dataclass(frozen=True)
class Behind:
    """What is in front of a service: an HAProxy that is switched by its runtime API."""

    service: str
    admin: str


@dataclass(frozen=True)
class WantedService:
    """What a release wants to run of one service."""

    name: str
    replicas: int = 1
    image: str = ""
    config_digest: str = ""
    configuration: str = ""  # the digest of all that its containers are made from
    after: tuple[str, ...] = ()  # the services that it depends on
    update: Policy = Policy()
    back: Policy = Policy()  # used on the way back from a release
    grace: float = 10.0  # seconds between SIGTERM and SIGKILL, and to finish requests before
    behind: Behind | None = None
    serving: ServingSpec | None = None


@dataclass(frozen=True)
class Placement:
    """A release folder on a host: one release with one set of values. Never changed once there."""

    release: str
    digest: str  # of everything in the folder, values included
    services: tuple[WantedService, ...] = ()
    variables: tuple[str, ...] = ()  # names only
    placed: datetime | None = None
    images: tuple[Pin, ...] = ()
    commit: str = ""
    files: tuple[tuple[str, str], ...] = ()  # what lies in the folder: path, SHA-256

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
    since: float = 0.0  # when it was taken; 0 is unknown


@dataclass(frozen=True)
class ProxyFact:
    """What the runtime API of a proxy said of its servers; "" where it didn't answer."""

    container: str
    said: str = ""


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
    placements: tuple[Placement, ...] = ()  # release folders that are complete
    committed: tuple[str, ...] = ()  # folders of placements that were current, the latest last
    rejected: frozenset[str] = frozenset()  # releases that were rolled back here
    files: frozenset[str] = frozenset()  # content-addressed files and folders that are there
    images: tuple[ImageFact, ...] = ()
    containers: tuple[ContainerFact, ...] = ()
    lock: LockFact | None = None
    edited: tuple[str, ...] = ()  # what is wrong with files of the current release folder
    outdated: frozenset[str] = frozenset()  # containers that `up` would make anew all the same
    proxies: tuple[ProxyFact, ...] = ()  # those that are switched for services

    @property
    def placed(self) -> frozenset[str]:
        """The names of all complete release folders: "release/digest"."""
        return frozenset(one.folder for one in self.placements)
