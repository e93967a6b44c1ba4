"""What a stage reads from the disk, derived from the project alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from mcgitops.plan.model import Read
from mcgitops.project.model import Mount, Project, Service, is_within

# bind mounts that are doors to the machine rather than data
_DOORS = ("/var/run", "/run", "/dev", "/proc", "/sys", "/etc/localtime", "/etc/timezone")


# facts of a run that aren't paths; see `_name`
FACTS = frozenset(
    {"build", "build context", "build secrets", "declared", "environment", "image", "inputs",
     "secrets", "unread volumes", "volumes"}
)  # fmt: skip
FACT_PREFIXES = (
    "build context ",
    "config ",
    "extra context ",
    "service ",
    "upstream ",
    "variable ",
)


def reads(project: Project, stage: Service) -> tuple[Read, ...]:
    """Everything whose content is part of the stage's fingerprint, each once.

    The ordinary services that run along with it count as well: a database's seed decides too.
    """
    found: dict[str, Read] = {}
    for path in stage.spec.params:
        found.setdefault(path, Read(path, str(project.folder / path), "params"))
    for service in (stage, *project.companions(stage)):
        for read in service_reads(project, service):
            if _what(found.setdefault(read.name, read)) != _what(read):
                # the same place, but another part of it than the stage itself reads
                other = replace(read, name=f"{read.name} of {service.name}")
                found.setdefault(other.name, other)
    return tuple(found.values())


def _what(read: Read) -> tuple[object, ...]:
    """What is looked at, whatever for."""
    ignore = read.dockerfile if read.kind == "context" else None
    return (read.path, read.exclude, read.only, ignore)


def service_reads(project: Project, service: Service) -> tuple[Read, ...]:
    """What one service's build and container read."""
    produced = project.produced()
    found = _build_reads(project, service, produced) if service.build is not None else []
    found += [
        _mount_read(project, service, mount, produced)
        for mount in service.mounts
        if is_data(project, mount)
    ]
    found += [
        Read(f"config {name}", str(config["file"]), "config")
        for name, config in _configs(project, service).items()
        if config.get("file")
    ]
    return tuple(found)


def _name(project: Project, path: str) -> str:
    """What a path is called among a run's facts: never as one that isn't a path is.

    A folder `environment` beside the service's own environment would hide it, or be hidden.
    """
    name = project.relative(path) or path
    taken = name in FACTS or name.startswith(FACT_PREFIXES)
    if taken or any(name in service.definition for service in project.services.values()):
        return f"./{name}"
    return name


def is_data(project: Project, mount: Mount) -> bool:
    """Whether a mount's content counts: bind mounts, except doors and foreign writable folders."""
    if mount.kind != "bind" or any(is_within(mount.source, door) for door in _DOORS):
        return False
    return project.relative(mount.source) is not None or mount.read_only


def below(project: Project, root: str, paths: frozenset[str]) -> frozenset[str]:
    """Those of the project-relative `paths` that are below `root`, relative to it."""
    base = project.relative(root)
    if base is None:
        # the root may hold the project folder
        try:
            prefix = PurePosixPath(project.folder).relative_to(root).as_posix()
        except ValueError:
            return frozenset()
        return frozenset(f"{prefix}/{path}" for path in paths)
    if base == ".":
        return paths
    return frozenset(
        "." if path == base else path[len(base) + 1 :] for path in paths if is_within(path, base)
    )


def _build_reads(project: Project, stage: Service, produced: frozenset[str]) -> list[Read]:
    build = stage.build or {}
    context = str(build.get("context") or project.folder)
    dockerfile = str(build.get("dockerfile") or "Dockerfile")
    result: list[Read] = []
    if "://" not in context and not context.startswith("git@"):
        shown = project.relative(context) or context
        result.append(
            Read(
                f"build context {shown}",
                context,
                "context",
                dockerfile,
                below(project, context, produced),
            )
        )
        if not build.get("dockerfile_inline"):
            path = dockerfile if dockerfile.startswith("/") else f"{context}/{dockerfile}"
            # the ignore file may hide the Dockerfile from the context, never from the build
            result.append(Read(_name(project, path), path, "dockerfile"))
    for name, value in (build.get("additional_contexts") or {}).items():
        path = str(value)
        if path.startswith("/"):
            result.append(
                Read(f"extra context {name}", path, "context", "", below(project, path, produced))
            )
    return result


def _mount_read(project: Project, stage: Service, mount: Mount, produced: frozenset[str]) -> Read:
    name = _name(project, mount.source)
    only: frozenset[str] | None = None
    if stage.stage is not None and stage.stage.inputs is not None:
        inputs = frozenset(stage.stage.inputs)
        base = project.relative(mount.source)
        only = below(project, mount.source, inputs)
        if base is not None and any(is_within(base, path) for path in inputs):
            only = None  # the whole mount is below a declared input
    return Read(name, mount.source, exclude=below(project, mount.source, produced), only=only)


def _configs(project: Project, stage: Service) -> dict[str, dict[str, object]]:
    definitions = project.resolved.get("configs") or {}
    names = [
        str(item.get("source")) if isinstance(item, dict) else str(item)
        for item in stage.definition.get("configs") or ()
    ]
    return {name: definitions.get(name) or {} for name in names}
