"""The Docker engine through its SDK: volumes with content, containers watched and read.

It is reached as the `docker` program reaches it: `DOCKER_HOST`, else the current context. It need
not share our file system.
"""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcgitops.deferred import dataclass
from mcgitops.errors import EngineError

if TYPE_CHECKING:
    import tarfile

    from docker import DockerClient
    from docker.models.containers import Container

LONGEST_LINE = 256 * 1024  # bytes; what a program says without an end of line is cut here
SAMPLE_SECONDS = 0.25
_PATIENCE = 25  # tries, a fifth of a second apart


@dataclass(frozen=True)
class Ended:
    """How a container ended. Seconds by the engine's own clock."""

    exit_code: int
    wall_seconds: float | None
    out_of_memory: bool
    started: str
    error: str = ""


@dataclass
class Usage:
    """What a container has used so far; None until it was seen."""

    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    memory_bytes: int | None = None
    sampled: bool = True


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """What the engine's API refuses becomes an `EngineError` that says what we were doing."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        raise EngineError(
            f"the Docker engine failed while {doing}: {_first_line(error)}.",
            "docker info shows whether it is well.",
        ) from None


class Engine:
    """One engine. Nothing is contacted before it is needed."""

    @cached_property
    def client(self) -> DockerClient:
        """The SDK's client. Raises `EngineError` where no engine answers."""
        import docker
        from docker.errors import DockerException

        from mcgitops.run.tunnel import Tunnel

        address = os.environ.get("DOCKER_HOST") or _context_host()
        tunnel = Tunnel(address) if address and address.startswith("ssh://") else None
        try:
            if tunnel is not None:
                client = docker.DockerClient(base_url=tunnel.url, timeout=600)
            elif address:
                client = docker.DockerClient.from_env(
                    environment={**os.environ, "DOCKER_HOST": address}, timeout=600
                )
            else:
                client = docker.from_env(timeout=600)
            client.ping()
        except (DockerException, OSError) as error:
            raise EngineError(
                f"no Docker engine answers at {address or 'the default socket'}: "
                f"{(tunnel and tunnel.complaint) or _first_line(error)}",
                "Start it, or set DOCKER_HOST; docker info shows the same.",
            ) from None
        return client

    @cached_property
    def is_remote(self) -> bool:
        """Whether the engine sees other files than we do.

        A socket alone doesn't tell (a CI job in a container is given the host's): the engine's host
        name has to be ours.
        """
        if os.environ.get("MCGITOPS_ENGINE_IS_REMOTE"):
            return True
        return str(self.client.info().get("Name")) != socket.gethostname()

    def container(self, name: str) -> Container | None:
        """A container by name."""
        from docker.errors import NotFound

        try:
            return self.client.containers.get(name)
        except NotFound:
            return None

    def labels_of(self, label: str) -> list[dict[str, str]]:
        """The labels of all containers and volumes that carry `label` (`name=value`)."""
        chosen = {"label": label}
        containers = self.client.api.containers(all=True, filters=chosen)
        volumes = self.client.api.volumes(filters=chosen).get("Volumes") or []
        return [dict(found.get("Labels") or {}) for found in (*containers, *volumes)]

    def remove_container(self, name: str) -> None:
        """Remove a container, running or not."""
        from docker.errors import APIError, NotFound

        try:
            self.client.api.remove_container(name, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != 409:  # somebody else is removing it
                raise

    def remove_project(self, name: str, volumes: Iterable[str] = ()) -> None:
        """Remove all that belongs to a compose project, and the named volumes."""
        from docker.errors import NotFound

        label = {"label": f"com.docker.compose.project={name}"}
        for container in self.client.api.containers(all=True, filters=label):
            self.remove_container(container["Id"])
        for network in self.client.api.networks(filters=label):
            try:
                self.client.api.remove_network(network["Id"])
            except NotFound:
                continue
        found = self.client.api.volumes(filters=label).get("Volumes") or []
        for volume in {*(v["Name"] for v in found), *volumes}:
            self.remove_volume(volume)

    def remove_volume(self, name: str) -> None:
        """Remove a volume; nothing happens where there is none.

        A container that is being removed at this moment still holds it: that is waited for.
        """
        from docker.errors import APIError, NotFound

        for attempt in range(_PATIENCE):
            try:
                self.client.api.remove_volume(name, force=True)
            except NotFound:
                return
            except APIError as error:
                if error.status_code != 409 or attempt == _PATIENCE - 1:
                    raise
                time.sleep(0.2)
            else:
                return

    def make_volumes(
        self,
        image: str,
        volumes: Mapping[str, str],
        seeds: Iterable[Iterator[bytes]],
        labels: Mapping[str, str],
    ) -> None:
        """Make volumes and fill them.

        volumes: name → a path to mount it at.  seeds: tar streams, unpacked at `/`. A container
        that never starts lends its name space; the image is one that is there anyway.
        """
        from docker.types import Mount

        for name in volumes:
            self.client.volumes.create(name, labels=dict(labels))
        api = self.client.api
        mounts = [Mount(path, name, type="volume", no_copy=True) for name, path in volumes.items()]
        container = api.create_container(
            image, ["-"], entrypoint=["-"], labels=dict(labels),
            host_config=api.create_host_config(mounts=mounts, network_mode="none"),
        )  # fmt: skip
        try:
            for stream in seeds:
                api.put_archive(container["Id"], "/", stream)
        finally:
            api.remove_container(container["Id"], force=True)

    def has_image(self, image: str) -> bool:
        """Whether the engine has an image."""
        from docker.errors import ImageNotFound

        try:
            self._inspect_image(image)
        except ImageNotFound:
            return False
        return True

    def _inspect_image(self, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.api.inspect_image(reference)  # type: ignore[no-untyped-call]
        return found

    def image(self, reference: str) -> tuple[str, int | None]:
        """An image's id and size in bytes; ("", None) where the engine has none."""
        from docker.errors import ImageNotFound

        try:
            found = self._inspect_image(reference)
        except ImageNotFound:
            return "", None
        size = found.get("Size")
        return str(found.get("Id", "")), int(size) if size is not None else None

    def follow(self, container: Container, on_line: Callable[[str], None]) -> None:
        """Give each log line as it comes, until the container ends."""
        for line in lines_of(container.logs(stream=True, follow=True, stdout=True, stderr=True)):
            on_line(line)

    def is_running(self, container: Container) -> bool:
        """Whether a container has not ended yet. One that is gone has."""
        from docker.errors import NotFound

        try:
            container.reload()
        except NotFound:
            return False
        return container.status in ("running", "paused", "restarting")

    def sample(self, container: Container, usage: Usage) -> None:
        """Update `usage` from the engine's statistics; a container that ended leaves it alone."""
        stats: Any = container.stats(stream=False, one_shot=True)
        memory = stats.get("memory_stats") or {}
        used = memory.get("usage")
        if used is None:
            return
        inner = memory.get("stats") or {}
        # as `docker stats` does: cache that the kernel can drop is not the program's memory
        cache = inner.get("inactive_file", inner.get("total_inactive_file", 0))
        current = max(0, int(used) - int(cache))
        usage.memory_bytes = current
        usage.peak_memory_bytes = max(usage.peak_memory_bytes or 0, current)
        total = ((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage")
        if total:
            usage.cpu_seconds = max(usage.cpu_seconds or 0.0, total / 1e9)

    def ended(self, container: Container) -> Ended:
        """How a container that has stopped ended."""
        container.reload()
        state: dict[str, Any] = container.attrs["State"]
        started, finished = _time(state["StartedAt"]), _time(state["FinishedAt"])
        wall = finished - started if started is not None and finished is not None else None
        return Ended(
            exit_code=int(state["ExitCode"]),
            # one that ends at once may end before the engine notes that it began
            wall_seconds=max(0.0, wall) if wall is not None else None,
            out_of_memory=bool(state.get("OOMKilled")),
            started=str(state["StartedAt"]),
            error=str(state.get("Error") or ""),
        )

    def archive(self, container: Container, path: str) -> Iterator[tuple[tarfile.TarInfo, Any]]:
        """The files below `path` of a container, streamed: (entry, content or None).

        Entry names are relative to the parent of `path`. Nothing where the path doesn't exist.
        """
        from docker.errors import NotFound

        try:
            chunks, _ = container.get_archive(path, chunk_size=1024 * 1024)
        except NotFound:
            return
        import tarfile

        with tarfile.open(fileobj=ChunkStream(chunks), mode="r|") as archive:
            for member in archive:
                yield member, archive.extractfile(member) if member.isreg() else None
                # it keeps them all, of which there may be a million
                archive.members.clear()  # type: ignore[attr-defined]


class ChunkStream(io.RawIOBase):
    """An iterator of byte strings as a readable stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        if 0 <= size <= len(self._rest):  # a chunk is read in a hundred pieces
            piece, self._rest = bytes(self._rest[:size]), self._rest[size:]
            return piece
        parts: list[bytes | memoryview] = [self._rest]
        have = len(self._rest)
        while size < 0 or have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        if size < 0:
            self._rest = memoryview(b"")
            return data
        self._rest = memoryview(data)[size:]
        return data[:size]


def _context_host() -> str:
    """The address of the docker program's current context; "" for the default one."""
    if not (Path.home() / ".docker" / "config.json").is_file():
        return ""
    from docker.context import ContextAPI

    context = ContextAPI.get_current_context()
    name, host = getattr(context, "name", "default"), getattr(context, "Host", "")
    return "" if name == "default" else str(host or "")


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a log as a terminal would leave them: of a progress bar, its last state.

    One that goes on without an end is cut.
    """
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield _line(parts, line)
            parts, size = [], 0
        if rest:
            parts.append(rest)
            size += len(rest)
        if size > LONGEST_LINE:
            yield _line(parts)
            parts, size = [], 0
    if parts:
        yield _line(parts)


def _line(parts: list[bytes], last: bytes = b"") -> str:
    text = b"".join((*parts, last)).decode("utf-8", "replace").rstrip("\r")
    return text.rpartition("\r")[2]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _time(text: str) -> float | None:
    """Seconds since the epoch of the engine's time stamps, which have nanoseconds."""
    from datetime import datetime

    if text.startswith("0001-"):
        return None
    head, _, rest = text.partition(".")
    fraction = rest.rstrip("Z").split("+")[0][:6] or "0"
    return datetime.fromisoformat(f"{head.rstrip('Z')}+00:00").timestamp() + float(f"0.{fraction}")
