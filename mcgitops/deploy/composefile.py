"""The compose file of a release, and what becomes of it on a host. Pure: mappings in and out.

A release holds the file uninterpolated and with relative paths, without stages and without our own
keys. On a host the images are pinned, what it mounts from the project folder comes from
content-addressed folders (so that only changed content recreates a container), and a folder that
has no content in the release is kept from release to release.
"""

from __future__ import annotations

import copy
import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.deploy.names import image_reference
from mcgitops.project.hosts import CONFIGURATION_LABEL
from mcgitops.project.serving import is_serving

Document = dict[str, Any]
OUR_KEY = "x-mcgitops"
_TO_ROOT = "../../.."  # from releases/NAME/DIGEST to the environment's folder
_BUILD_ONLY = ("build", "develop", "pull_policy")
# what doesn't change a container; Compose would recreate it all the same for the last two, and
# only Swarm reads them
_NOT_OF_A_CONTAINER = ("depends_on", "profiles", "scale", OUR_KEY)
_POLICIES = ("update_config", "rollback_config")
_SHARED = ("networks", "volumes", "configs", "secrets")
_VARIABLE = re.compile(r"\$\$|\$\{?([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True)
class Needs:
    """What a release's compose file refers to beside images. Paths are relative to the project."""

    mounts: tuple[str, ...] = ()  # bind mounts and files of configs: content of the release
    env_files: tuple[tuple[str, bool], ...] = ()  # path, required: values, never in a release
    secret_files: tuple[str, ...] = ()  # likewise
    variables: tuple[str, ...] = ()  # names


def release_form(document: Mapping[str, Any]) -> Document:
    """What a release keeps of `docker compose config --no-interpolate --no-path-resolution`.

    Our own keys stay: with them an agent that has nothing but the store can deploy the release.
    """
    result = copy.deepcopy(dict(document))
    services = result.get("services") or {}
    stages = set(stages_of(document))
    result["services"] = {
        name: _deployed(service or {}, stages)
        for name, service in services.items()
        if name not in stages
    }
    return _without_unused(result)


def stages_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The services that our key makes stages."""
    services = document.get("services") or {}
    return tuple(
        name
        for name, service in services.items()
        if OUR_KEY in (service or {}) and not is_serving(service[OUR_KEY])
    )


def restricted(document: Document, services: Iterable[str] | None) -> Document:
    """The file with only these services; None: all that a plain `docker compose up` starts.

    What a listed service depends on comes along. A listed service loses its profiles: it is wanted.
    """
    every = document["services"]
    if services is None:
        chosen = {name for name, service in every.items() if not service.get("profiles")}
    else:
        chosen = {name for name in services if name in every}
    queue = sorted(chosen)
    while queue:
        for needed in dependencies(every[queue.pop()]):
            if needed in every and needed not in chosen:
                chosen.add(needed)
                queue.append(needed)
    result = {**document, "services": {}}
    for name, service in every.items():
        if name in chosen:
            result["services"][name] = {k: v for k, v in service.items() if k != "profiles"}
    return _without_unused(result)


def dependencies(service: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in `depends_on`, in both of its forms."""
    return tuple(service.get("depends_on") or ())


def replicas(service: Mapping[str, Any]) -> int:
    """How many containers are wanted; 1 where it is a variable that can't be known here."""
    wanted = (service.get("deploy") or {}).get("replicas", service.get("scale", 1))
    return wanted if isinstance(wanted, int) else int(wanted) if str(wanted).isdigit() else 1


def needs(document: Mapping[str, Any]) -> Needs:
    """Everything that the file refers to."""
    mounts: dict[str, None] = {}
    env_files: dict[str, bool] = {}
    for service in document["services"].values():
        for mount in service.get("volumes") or ():
            if (source := project_source(mount)) is not None:
                mounts[source] = None
        for path, required in _env_files(service):
            env_files[path] = env_files.get(path, False) or required
    for config in (document.get("configs") or {}).values():
        if (file := _own_file(config)) is not None:
            mounts[file] = None
    secrets = (_own_file(secret) for secret in (document.get("secrets") or {}).values())
    return Needs(
        tuple(mounts),
        tuple(env_files.items()),
        tuple(dict.fromkeys(path for path in secrets if path is not None)),
        tuple(sorted(variables({k: v for k, v in document.items() if k != OUR_KEY}))),
    )


def project_source(mount: Any) -> str | None:
    """The path of a bind mount of the project's own content, normalised; None for all others.

    Absolute paths and `~` are the host's own; a path that holds a variable is decided there too.
    """
    if not isinstance(mount, Mapping) or mount.get("type") != "bind":
        return None
    return _relative(mount.get("source"))


def undecided_sources(document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(service, source) of mounts whose source is a variable: nothing of them is in a release."""
    return tuple(
        (name, mount.partition(":")[0] if isinstance(mount, str) else str(mount.get("source")))
        for name, service in document["services"].items()
        for mount in service.get("volumes") or ()
        if "$" in (mount if isinstance(mount, str) else str(mount.get("source", "")))
    )


def variables(value: Any) -> set[str]:
    """The names that Compose takes from its environment when it reads the file."""
    found = set(_interpolated(value))
    if isinstance(value, Mapping):
        for service in (value.get("services") or {}).values():
            found |= set(_passed_through(service.get("environment")))
        for kind in ("configs", "secrets"):
            for item in (value.get(kind) or {}).values():
                if isinstance(item, Mapping) and isinstance(item.get("environment"), str):
                    found.add(item["environment"])
    return found


@dataclass(frozen=True)
class Rendering:
    """What the host's file is made with, beside the release's own."""

    project: str
    pins: Mapping[str, str] = field(default_factory=dict)  # service → configuration digest
    mounted: Mapping[str, str] = field(default_factory=dict)  # project path → below files/
    env_files: Mapping[str, str] = field(default_factory=dict)  # project path → in the folder
    secret_files: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)  # path of a secret → its digest


def host_form(document: Document, rendering: Rendering) -> Document:
    """The compose file as it lies in a release folder, but for what `finished` does."""
    result = copy.deepcopy(document)
    result.pop(OUR_KEY, None)
    for name, service in result["services"].items():
        if name in rendering.pins:
            service["image"] = image_reference(rendering.project, name, rendering.pins[name])
        service["volumes"] = [_placed(mount, rendering) for mount in service.get("volumes") or ()]
        if not service["volumes"]:
            del service["volumes"]
        if "env_file" in service:
            service["env_file"] = _placed_env_files(service, rendering)
    for config in (result.get("configs") or {}).values():
        if (path := _own_file(config)) is not None:
            config["file"] = f"{_TO_ROOT}/{rendering.mounted[path]}"
    for secret in (result.get("secrets") or {}).values():
        if (path := _own_file(secret)) is not None:
            secret["file"] = f"{_TO_ROOT}/{rendering.secret_files[path]}"
    return result


def finished(document: Document, digests: Mapping[str, str]) -> Document:
    """The file without our keys and policies, each container labelled with its configuration.

    digests: by service. Compose doesn't recreate a container when a config or a secret of its
    changes (docker/compose#11900); a changed label makes it do so, and tells a rollout which
    containers are those of a release.
    """
    result = copy.deepcopy(document)
    for name, service in result["services"].items():
        service.pop(OUR_KEY, None)
        if isinstance(service.get("deploy"), Mapping):
            service["deploy"] = {k: v for k, v in service["deploy"].items() if k not in _POLICIES}
            if not service["deploy"]:
                del service["deploy"]
        service["labels"] = _with_label(service.get("labels"), CONFIGURATION_LABEL, digests[name])
    return result


def configuration(resolved: Document, name: str, document: Document, rendering: Rendering) -> str:
    """A digest of all that a service's containers are made from.

    resolved: the file with its values, as Compose reads it. document: the same before, by which
    the contents of configs and secrets are found.
    """
    service = {
        key: value
        for key, value in resolved["services"][name].items()
        if key not in _NOT_OF_A_CONTAINER
    }
    deploy = service.pop("deploy", None) or {}
    ignored = (*_POLICIES, "replicas")
    if kept := {key: value for key, value in deploy.items() if key not in ignored}:
        service["deploy"] = kept
    used = {
        kind: {one: (resolved.get(kind) or {}).get(one) for one in _names_of(service, kind)}
        for kind in ("networks", "volumes")
    }
    whole = [service, used, _contents(document, document["services"][name], rendering)]
    text = json.dumps(whole, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _names_of(service: Mapping[str, Any], kind: str) -> list[str]:
    if kind == "networks":
        return sorted(service.get("networks") or ())
    return sorted(
        str(mount.get("source"))
        for mount in service.get("volumes") or ()
        if isinstance(mount, Mapping) and mount.get("type") == "volume"
    )


def checkable(document: Document) -> Document:
    """The host's file without what only the host has: env files at absolute paths."""
    result = copy.deepcopy(document)
    for service in result["services"].values():
        entries = service.get("env_file") or ()
        kept = [
            entry
            for entry in ([entries] if isinstance(entries, str) else entries)
            if _relative(entry.get("path") if isinstance(entry, Mapping) else entry) is not None
        ]
        if kept:
            service["env_file"] = kept
        else:
            service.pop("env_file", None)
    return result


def _deployed(service: Mapping[str, Any], stages: set[str]) -> Document:
    kept = {key: value for key, value in service.items() if key not in _BUILD_ONLY}
    needed = kept.get("depends_on")
    if isinstance(needed, Mapping):
        kept["depends_on"] = {name: how for name, how in needed.items() if name not in stages}
    elif isinstance(needed, list):
        kept["depends_on"] = [name for name in needed if name not in stages]
    if not kept.get("depends_on"):
        kept.pop("depends_on", None)
    if kept.get("volumes"):
        kept["volumes"] = [_as_written(mount) for mount in kept["volumes"]]
    return kept


def _as_written(mount: Any) -> Any:
    """Undo what Compose makes of `${DATA:-./data}:/data`: a volume with an impossible name."""
    if not isinstance(mount, Mapping) or mount.get("type") != "volume":
        return mount
    source = str(mount.get("source", ""))
    if "$" not in source:
        return mount
    return f"{source}:{mount['target']}" + (":ro" if mount.get("read_only") else "")


def _without_unused(document: Document) -> Document:
    """Drop shared definitions that no service uses, and names that Compose would give anyway."""
    result = dict(document)
    used: dict[str, set[str]] = {kind: set() for kind in _SHARED}
    for service in result["services"].values():
        used["networks"] |= set(service.get("networks") or ())
        for mount in service.get("volumes") or ():
            if isinstance(mount, Mapping) and mount.get("type") == "volume":
                used["volumes"].add(str(mount.get("source")))
            elif isinstance(mount, str):
                used["volumes"] |= set(result.get("volumes") or ())  # a variable may name any
        for kind in ("configs", "secrets"):
            for item in service.get(kind) or ():
                used[kind].add(str(item.get("source") if isinstance(item, Mapping) else item))
    for kind in _SHARED:
        kept = {
            key: _without_default_name(result, key, value)
            for key, value in (result.get(kind) or {}).items()
            if key in used[kind]
        }
        if kept:
            result[kind] = kept
        else:
            result.pop(kind, None)
    return result


def _without_default_name(document: Document, key: str, value: Any) -> Any:
    """`config` writes `name: PROJECT_key`; kept, two environments on a host would share it."""
    if not isinstance(value, Mapping) or value.get("external"):
        return value
    if value.get("name") == f"{document.get('name')}_{key}":
        value = {k: v for k, v in value.items() if k != "name"}
    return value or None


def _relative(source: Any) -> str | None:
    text = str(source or "")
    if not text or "$" in text or text.startswith(("/", "~")) or re.match(r"[A-Za-z]:\\", text):
        return None
    return posixpath.normpath(text)


def _own_file(item: Any) -> str | None:
    return _relative(item.get("file")) if isinstance(item, Mapping) else None


def _env_files(service: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    entries = service.get("env_file") or ()
    for entry in [entries] if isinstance(entries, str) else entries:
        path = entry.get("path") if isinstance(entry, Mapping) else entry
        required = bool(entry.get("required", True)) if isinstance(entry, Mapping) else True
        if (relative := _relative(path)) is not None:
            yield relative, required


def _interpolated(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from (match[1] for match in _VARIABLE.finditer(value) if match[1])
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _interpolated(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _interpolated(item)


def _passed_through(environment: Any) -> Iterator[str]:
    """`environment: [NAME]` takes the value from whoever calls Compose."""
    if isinstance(environment, Mapping):
        yield from (str(name) for name, value in environment.items() if value is None)
    else:
        yield from (str(entry) for entry in environment or () if "=" not in str(entry))


def _placed(mount: Any, rendering: Rendering) -> Any:
    source = project_source(mount)
    if source is None:
        return mount
    placed = rendering.mounted.get(source)
    where = placed if placed is not None else f"state/{inside(source)}"
    return {**mount, "source": f"{_TO_ROOT}/{where}"}


def inside(path: str) -> str:
    """A path that can't leave its folder: `../data` → `__/data`."""
    return "/".join("__" if part == ".." else part for part in path.split("/"))


def _placed_env_files(service: Mapping[str, Any], rendering: Rendering) -> list[Any]:
    entries = service["env_file"]
    placed: list[Any] = []
    for entry in [entries] if isinstance(entries, str) else entries:
        path = entry.get("path") if isinstance(entry, Mapping) else entry
        options = dict(entry) if isinstance(entry, Mapping) else {}
        relative = _relative(path)
        if relative is None:
            placed.append(entry)
        elif relative in rendering.env_files:  # an optional one that isn't there is left out
            placed.append({**options, "path": f"./{rendering.env_files[relative]}"})
    return placed


def _contents(document: Document, service: Mapping[str, Any], rendering: Rendering) -> list[Any]:
    """The contents of the configs and secrets that a service uses."""
    parts: list[Any] = []
    for kind in ("configs", "secrets"):
        for item in service.get(kind) or ():
            name = str(item.get("source") if isinstance(item, Mapping) else item)
            definition = (document.get(kind) or {}).get(name)
            if not isinstance(definition, Mapping):
                continue
            path = _own_file(definition)
            used = sorted(_interpolated(definition.get("content")))
            if isinstance(variable := definition.get("environment"), str):
                used.append(variable)
            parts.append([
                kind, name, definition.get("content"),
                rendering.mounted.get(path or "", ""), rendering.contents.get(path or "", ""),
                [[variable, rendering.values.get(variable)] for variable in used],
            ])  # fmt: skip
    return parts


def _with_label(labels: Any, name: str, value: str) -> Any:
    if isinstance(labels, list):
        return [*labels, f"{name}={value}"]
    return {**(labels or {}), name: value}
