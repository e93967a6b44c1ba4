"""Declared outputs that reach an image's build context, and the lines that keep them out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from mcgitops.adopt.model import Proposal
from mcgitops.deferred import dataclass
from mcgitops.facts.context import ignore_file, skip_ignored
from mcgitops.project.model import Project


@dataclass(frozen=True)
class Exclusion:
    """Lines that one ignore file needs. `shared` are services that build from it and aren't stages.

    Where there are such services, leaving files out would change their images: a person decides.
    """

    file: str  # relative to the project folder
    lines: tuple[str, ...]
    shared: tuple[str, ...] = ()
    exists: bool = False


def with_stages(project: Project, proposal: Proposal) -> Project:
    """The project as it would be with the proposed keys."""
    services = dict(project.services)
    for stage in proposal.stages:
        services[stage.service] = replace(services[stage.service], stage=stage.spec)
    return replace(project, services=services)


def exclusions(project: Project) -> tuple[Exclusion, ...]:
    """What the ignore files of the stages' build contexts lack."""
    wanted: dict[str, dict[str, None]] = {}
    for stage in project.stages:
        place = _context(project, stage.name)
        if place is None:
            continue
        context, dockerfile = place
        skip = skip_ignored(context, dockerfile)
        for path in sorted(project.produced()):
            inside = os.path.relpath(project.folder / path, context)
            parts = inside.split("/")
            folders = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
            if parts[0] == ".." or any(skip(f, True) for f in folders) or skip(inside, False):
                continue
            file = ignore_file(context, dockerfile) or context / ".dockerignore"
            shown = os.path.relpath(file, project.folder)
            wanted.setdefault(shown, {})[f"/{parts[0]}"] = None
    return tuple(
        Exclusion(file, tuple(lines), _sharing(project, file), (project.folder / file).is_file())
        for file, lines in wanted.items()
    )


def _context(project: Project, service: str) -> tuple[Path, str] | None:
    build = project.services[service].build
    context = str((build or {}).get("context") or "")
    if build is None or not Path(context).is_absolute():
        return None
    return Path(context), str(build.get("dockerfile") or "Dockerfile")


def _sharing(project: Project, file: str) -> tuple[str, ...]:
    """The services other than stages whose build reads the same ignore file."""
    found: list[str] = []
    for service in project.deployed:
        place = _context(project, service.name)
        if place is not None:
            own = ignore_file(*place) or place[0] / ".dockerignore"
            if os.path.relpath(own, project.folder) == file:
                found.append(service.name)
    return tuple(found)
