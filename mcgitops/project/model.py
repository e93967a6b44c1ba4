"""The project as typed objects: what `docker compose config` resolved, plus our own keys."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.project import STATE_FOLDER as STATE_FOLDER
from mcgitops.project.serving import ServingSpec
from mcgitops.project.spec import BestBy, ProjectSpec, Scalar, StageSpec


@dataclass(frozen=True)
class Mount:
    """One entry of a service's `volumes`. `source` of a bind is an absolute path of the client."""

    kind: str  # bind, volume, tmpfs, …
    source: str
    target: str
    read_only: bool = False
    pinned: bool = False  # read-only as it shows pinned data, whatever the file says


@dataclass(frozen=True)
class Combination:
    """One cell of a stage's matrix and replicates: variable → value, as the container sees it."""

    matrix: tuple[tuple[str, str], ...] = ()
    replicate: tuple[tuple[str, str], ...] = ()

    @property
    def variables(self) -> dict[str, str]:
        """All variables of the combination."""
        return dict((*self.matrix, *self.replicate))

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in (*self.matrix, *self.replicate))


@dataclass(frozen=True)
class Service:
    """One service. `definition` is the resolved compose mapping without our key, `$$` undone."""

    name: str
    definition: Mapping[str, Any]
    stage: StageSpec | None = None
    depends_on: Mapping[str, str] = field(default_factory=dict)  # service → condition
    mounts: tuple[Mount, ...] = ()
    serving: ServingSpec | None = None

    @property
    def spec(self) -> StageSpec:
        """The stage's keys; only for a service that is a stage."""
        if self.stage is None:
            raise ValueError(f"{self.name} is not a stage")
        return self.stage

    @property
    def build(self) -> Mapping[str, Any] | None:
        """The build section, or None for a service that only names an image."""
        build = self.definition.get("build")
        return build if isinstance(build, Mapping) else None

    @property
    def image(self) -> str:
        """The image reference in the file ("" where there is none)."""
        return str(self.definition.get("image") or "")

    @property
    def environment(self) -> dict[str, str | None]:
        """The resolved environment, `env_file` included."""
        return dict(self.definition.get("environment") or {})

    @property
    def uses_gpu(self) -> bool:
        """Whether it asks for devices that two runs can't share without harm."""
        return uses_gpu(self.definition)

    def combinations(self) -> tuple[Combination, ...]:
        """All runs of the stage, values in the file's order; replicates vary fastest."""
        spec = self.spec

        def cells(axes: Mapping[str, tuple[Scalar, ...]]) -> list[tuple[tuple[str, str], ...]]:
            names = list(axes)
            rows = itertools.product(*(axes[name] for name in names))
            return [tuple((n, as_text(v)) for n, v in zip(names, row, strict=True)) for row in rows]

        return tuple(
            Combination(matrix, replicate)
            for matrix in cells(spec.matrix)
            for replicate in cells(spec.replicates)
        )

    def selected(self) -> Combination | str:
        """The combination that downstream sees, or the name of the metric that decides it."""
        select = self.spec.select
        if isinstance(select, BestBy):
            return select.best
        wanted = {name: as_text(value) for name, value in (select or {}).items()}
        for combination in self.combinations():
            if wanted.items() <= combination.variables.items():
                return combination
        raise ValueError(f"{self.name}: select names no run")  # refused on loading


def uses_gpu(definition: Mapping[str, Any]) -> bool:
    """Whether a service's resolved definition asks for devices, in either of Compose's forms."""
    if definition.get("gpus"):
        return True
    resources = (definition.get("deploy") or {}).get("resources") or {}
    return bool((resources.get("reservations") or {}).get("devices"))


def as_text(value: Scalar) -> str:
    """A matrix value as the environment variable that Compose would make of it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


@dataclass(frozen=True)
class Project:
    """A compose file and its folder.

    `files` are the compose files named or found, in order; `resolved` is the whole document that
    Compose printed, `$$` undone; `warnings` are sentences that don't stop anything.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    services: Mapping[str, Service]
    spec: ProjectSpec
    resolved: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def stages(self) -> tuple[Service, ...]:
        """The services that are stages, each after those that it depends on."""
        ordered: dict[str, Service] = {}

        def visit(name: str) -> None:
            service = self.services[name]
            if name in ordered or service.stage is None:
                return
            for dependency in self.upstream(service):
                visit(dependency.name)
            ordered[name] = service

        for name in self.services:
            visit(name)
        return tuple(ordered.values())

    @property
    def deployed(self) -> tuple[Service, ...]:
        """The services that are not stages: what a release runs."""
        return tuple(service for service in self.services.values() if service.stage is None)

    def upstream(self, service: Service) -> tuple[Service, ...]:
        """The stages that this one depends on directly."""
        return tuple(
            self.services[name]
            for name in service.depends_on
            if name in self.services and self.services[name].stage is not None
        )

    def companions(self, service: Service) -> tuple[Service, ...]:
        """The ordinary services that a stage needs while it runs, dependencies first."""
        ordered: dict[str, Service] = {}

        def visit(current: Service) -> None:
            for name in current.depends_on:
                needed = self.services.get(name)
                if needed is None or needed.stage is not None or name in ordered:
                    continue
                visit(needed)
                ordered[name] = needed

        visit(service)
        return tuple(ordered.values())

    def produced(self) -> frozenset[str]:
        """All paths that any stage declares to write, relative to the project folder."""
        return frozenset(normalised(path) for stage in self.stages for path in stage.spec.produced)

    def relative(self, path: str | Path) -> str | None:
        """An absolute path relative to the project folder, or None where it is outside."""
        try:
            return PurePosixPath(path).relative_to(PurePosixPath(self.folder)).as_posix()
        except ValueError:
            return None


def normalised(path: str) -> str:
    """`./out//m.json` → `out/m.json`."""
    return PurePosixPath(path).as_posix()


def is_within(path: str, folder: str) -> bool:
    """Whether the relative `path` is `folder` or below it; "." is the project folder."""
    return folder == "." or path == folder or path.startswith(folder + "/")
