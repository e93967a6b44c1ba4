"""The second compose file of a run: what turns a service of the project into that one run.

It replaces the writable bind mounts that hold outputs by volumes of the run, sets the combination's
variables and the built image, and takes away what only a long-lived service needs. Everything else
stays the user's own file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import yaml

from mcgitops.deferred import dataclass
from mcgitops.plan.model import RunPlan
from mcgitops.plan.tracking import tracking
from mcgitops.project.load import writable_mount
from mcgitops.project.model import Mount, Project, Service, is_within

RUN_FOLDER = ".mcgitops/run"


@dataclass(frozen=True)
class RunVolume:
    """A volume that stands for a bind mount within a run.

    seeded: whether it starts with what the folder holds (the declared inputs, or all).
    """

    service: str
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
    project: Project,
    stage: Service,
    run: RunPlan,
    *,
    engine_is_remote: bool,
    single_files: frozenset[str] = frozenset(),
) -> tuple[RunVolume, ...]:
    """The bind mounts that become volumes of the run, its companions' included.

    Always the writable ones of the project folder, so that runs side by side don't meet, and those
    that show what stages produce, which comes from the store and not from whatever lies there; with
    `inputs:`, or an engine that doesn't see our files, every bind mount of the project folder.

    single_files: sources that are files, which no volume can stand for.
    """
    outputs = {
        mount.target
        for path in stage.spec.produced
        if (mount := writable_mount(project, stage, path)) is not None
    }
    result = []
    names: dict[str, str] = {}
    for service in (stage, *project.companions(stage)):
        narrowed = service is stage and stage.spec.inputs is not None
        for number, mount in enumerate(service.mounts):
            if mount.kind != "bind" or project.relative(mount.source) is None:
                continue
            if mount.source in single_files:
                continue
            always = not mount.read_only or _shows_outputs(project, service, mount)
            if engine_is_remote or narrowed or always:
                # one volume a folder: services that share a folder go on sharing it
                part = names.setdefault(mount.source, f"{service.name}-{number}")
                result.append(
                    RunVolume(
                        service=service.name,
                        name=f"{project_name(project, run)}-{part}",
                        key=f"run-{part}",
                        source=mount.source,
                        target=mount.target,
                        read_only=mount.read_only,
                        holds_outputs=service is stage and mount.target in outputs,
                    )
                )
    return tuple(result)


def _shows_outputs(project: Project, service: Service, mount: Mount) -> bool:
    """Whether a stage's outputs could be seen through a mount: not if another one covers them."""
    base = project.relative(mount.source) or "."
    for path in project.produced():
        if is_within(base, path):
            return True
        if not is_within(path, base):
            continue
        below = path if base == "." else path[len(base) + 1 :]
        inside = f"{mount.target.rstrip('/')}/{below}"
        if not any(
            len(other.target) > len(mount.target) and is_within(inside, other.target.rstrip("/"))
            for other in service.mounts
        ):
            return True
    return False


class _Dumper(yaml.SafeDumper):
    """Writes Compose's merge tags `!reset` and `!override`."""


class _Reset:
    """Takes a key of the first file away."""


class _Override(list[Any]):
    """Replaces a list of the first file instead of appending to it."""


class _OverrideMapping(dict[str, Any]):
    """Replaces a mapping of the first file instead of merging with it."""


_Dumper.add_representer(_OverrideMapping, lambda d, v: d.represent_mapping("!override", dict(v)))
_Dumper.add_representer(_Reset, lambda d, _: d.represent_scalar("!reset", "null"))
_Dumper.add_representer(_Override, lambda d, v: d.represent_sequence("!override", list(v)))


def override(
    project: Project,
    stage: Service,
    run: RunPlan,
    *,
    engine_is_remote: bool = False,
    owner: str = "",
    files: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The YAML text of the run's second compose file.

    files: source → text of the bind mounts that are single files. They become inline configs,
    which Compose copies into the container, so that a run can't change the file itself.
    """
    replaced = volumes(
        project,
        stage,
        run,
        engine_is_remote=engine_is_remote,
        single_files=frozenset(files),
    )
    companions = project.companions(stage)
    names = frozenset(companion.name for companion in companions)
    service = _common(stage, replaced, names, files) | {
        "restart": "no",
        "environment": _escaped(
            tracking(project, stage, run.combination.variables) | run.combination.variables
        ),
        "labels": {
            "mcgitops.project": project.name,
            "mcgitops.stage": run.stage,
            "mcgitops.run": run.fingerprint,
            "mcgitops.owner": owner,
        },
    }
    if stage.build is not None:
        service |= {"image": run.image, "build": _Reset(), "pull_policy": "never"}
    if needs_no_network_of_its_own(project, stage):
        # spares the engine a network, which it has only some thirty of, and the time to make it
        service |= {"networks": _Reset(), "network_mode": "bridge"}
    document: dict[str, Any] = {"services": {run.stage: service}}
    for companion in companions:
        own = _common(companion, replaced, names, files)
        if companion.build is not None and not companion.image:
            # a name that the runs share: their own project's name would make an image each
            own["image"] = f"mcgitops/{project.name}-{companion.name.lower()}"
        document["services"][companion.name] = own
    if replaced:
        document["volumes"] = {
            volume.key: {"name": volume.name, "external": True} for volume in replaced
        }
    if files:
        document["configs"] = {
            _config_key(source): {"content": _escaped(text)} for source, text in files.items()
        }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _config_key(source: str) -> str:
    return "run-" + re.sub(r"[^A-Za-z0-9]+", "-", source).strip("-")


def _common(
    service: Service,
    replaced: tuple[RunVolume, ...],
    companions: frozenset[str],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """What every service of a run loses: fixed names, ports of the host, foreign dependencies."""
    result: dict[str, Any] = {"container_name": _Reset(), "ports": _Reset(), "tty": False}
    if service.depends_on:
        kept = {
            name: {"condition": condition}
            for name, condition in service.depends_on.items()
            if name in companions
        }
        result["depends_on"] = _OverrideMapping(kept) if kept else _Reset()
    own = {volume.target: volume for volume in replaced if volume.service == service.name}
    copied = [m for m in service.mounts if m.kind == "bind" and m.source in files]
    if own or copied or any(mount.pinned for mount in service.mounts):
        result["volumes"] = _Override(
            _volume_entry(own[mount.target]) if mount.target in own else _escaped(raw)
            for mount, raw in zip(service.mounts, service.definition["volumes"], strict=True)
            if mount not in copied
        )
    if copied:
        result["configs"] = [
            {"source": _config_key(mount.source), "target": mount.target} for mount in copied
        ]
    return result


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


def _escaped(value: Any) -> Any:
    """`$` doubled again, since Compose interpolates this file too."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value
