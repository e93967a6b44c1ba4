"""The second compose file of a run: what turns a service of the project into that one run.

It replaces the writable bind mounts that hold outputs by volumes of the run, sets the combination's
variables and the built image, and takes away what only a long-lived service needs. Everything else
stays the user's own file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mcgitops.plan.model import RunPlan
from mcgitops.project.load import writable_mount
from mcgitops.project.model import Mount, Project, Service, is_within, normalised

RUN_FOLDER = ".mcgitops/run"


@dataclass(frozen=True)
class RunVolume:
    """A volume that stands for a bind mount within a run.

    seeded: whether it starts with what the folder holds (the declared inputs, or all).
    """

    name: str
    key: str
    source: str  # absolute path that it stands for
    target: str
    read_only: bool
    holds_outputs: bool


def project_name(project: Project, run: RunPlan) -> str:
    """The compose project of a run: it, and all that goes with it, is removed by this name."""
    return f"{project.name}-{run.id}"


def container_name(project: Project, run: RunPlan) -> str:
    """The name of a run's container."""
    return f"{project_name(project, run)}-{run.stage}"


def override_path(run: RunPlan) -> str:
    """Where the run's second compose file is written, relative to the project folder."""
    return f"{RUN_FOLDER}/{run.id}.yml"


def compose_files(project: Project, run: RunPlan) -> tuple[str, ...]:
    """All files of a run's `docker compose --file …`, the override last."""
    files = tuple(project.relative(path) or str(path) for path in project.files)
    return (*files, override_path(run))


def volumes(
    project: Project, stage: Service, run: RunPlan, *, engine_is_remote: bool
) -> tuple[RunVolume, ...]:
    """The bind mounts that become volumes of the run.

    Always those that hold outputs; with `inputs:`, or an engine that doesn't see our files, every
    bind mount of the project folder.
    """
    outputs = {
        mount.target
        for path in stage.spec.produced
        if (mount := writable_mount(project, stage, path)) is not None
    }
    result = []
    for number, mount in enumerate(stage.mounts):
        if mount.kind != "bind":
            continue
        inside = project.relative(mount.source) is not None
        narrowed = stage.spec.inputs is not None or engine_is_remote
        if mount.target in outputs or (inside and (narrowed or not mount.read_only)):
            result.append(
                RunVolume(
                    name=f"{project_name(project, run)}-{number}",
                    key=f"run-{number}",
                    source=mount.source,
                    target=mount.target,
                    read_only=mount.read_only,
                    holds_outputs=mount.target in outputs,
                )
            )
    return tuple(result)


def container_path(project: Project, stage: Service, path: str) -> str:
    """Where a declared path of the project folder is inside the container."""
    mount = writable_mount(project, stage, path)
    if mount is None:
        raise ValueError(f"{path} is in no writable mount")  # refused on loading
    base = project.relative(mount.source) or "."
    below = normalised(path) if base == "." else normalised(path)[len(base) :].lstrip("/")
    return f"{mount.target.rstrip('/')}/{below}".rstrip("/")


class _Dumper(yaml.SafeDumper):
    """Writes Compose's merge tags `!reset` and `!override`."""


class _Reset:
    """Takes a key of the first file away."""


class _Override(list[Any]):
    """Replaces a list of the first file instead of appending to it."""


_Dumper.add_representer(_Reset, lambda d, _: d.represent_scalar("!reset", "null"))
_Dumper.add_representer(_Override, lambda d, v: d.represent_sequence("!override", list(v)))


def override(
    project: Project,
    stage: Service,
    run: RunPlan,
    *,
    engine_is_remote: bool = False,
    owner: str = "",
) -> str:
    """The YAML text of the run's second compose file."""
    replaced = {
        volume.target: volume
        for volume in volumes(project, stage, run, engine_is_remote=engine_is_remote)
    }
    service: dict[str, Any] = {
        "container_name": _Reset(),
        "restart": "no",
        "environment": _escaped(run.combination.variables),
        "labels": {
            "mcgitops.project": project.name,
            "mcgitops.stage": run.stage,
            "mcgitops.run": run.fingerprint,
            "mcgitops.owner": owner,
        },
    }
    if stage.build is not None:
        service |= {"image": run.image, "build": _Reset(), "pull_policy": "never"}
    if replaced:
        service["volumes"] = _Override(
            _volume_entry(replaced[mount.target]) if mount.target in replaced else _entry(raw)
            for mount, raw in zip(stage.mounts, stage.definition["volumes"], strict=True)
        )
    if needs_no_network_of_its_own(project, stage):
        # spares the engine a network, which it has only some thirty of, and the time to make it
        service |= {"networks": _Reset(), "network_mode": "bridge"}
    document: dict[str, Any] = {"services": {run.stage: service}}
    if replaced:
        document["volumes"] = {
            volume.key: {"name": volume.name, "external": True} for volume in replaced.values()
        }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def needs_no_network_of_its_own(project: Project, stage: Service) -> bool:
    """Whether the engine's own bridge serves as well as the project's default network."""
    networks = stage.definition.get("networks") or {}
    only_default = set(networks) <= {"default"} and not networks.get("default")
    default = (project.resolved.get("networks") or {}).get("default") or {}
    plain = set(default) <= {"name", "ipam"} and not default.get("ipam")
    return (
        only_default
        and plain
        and not project.companions(stage)
        and not stage.definition.get("network_mode")
        and not any(stage.definition.get(key) for key in ("links", "external_links"))
    )


def _volume_entry(volume: RunVolume) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "volume",
        "source": volume.key,
        "target": volume.target,
        "volume": {"nocopy": True},
    }
    if volume.read_only:
        entry["read_only"] = True
    return entry


def _entry(raw: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = _escaped(raw)
    return result


def _escaped(value: Any) -> Any:
    """`$` doubled again, since Compose interpolates this file too."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value


def seed_skips(project: Project, volume: RunVolume) -> frozenset[str]:
    """Project-relative paths that don't go into a volume: what stages produce."""
    base = project.relative(volume.source)
    return frozenset(p for p in project.produced() if base is None or is_within(p, base))


def mount_of(stage: Service, target: str) -> Mount:
    """The stage's mount at a target."""
    return next(mount for mount in stage.mounts if mount.target == target)
