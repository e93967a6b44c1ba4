"""`docker buildx build` out of a compose service's `build` section.

Every key of the Compose build specification that buildx can express is passed on; a key that it
can't is refused by name, never dropped silently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mcgitops.commands.command import Command, Secret

_IGNORED = frozenset({"tags", "labels_from"})


class UnsupportedBuildKey(ValueError):
    """A `build` key that `docker buildx build` has no option for."""


def buildx_build(
    build: Mapping[str, Any],
    *,
    tags: tuple[str, ...],
    secrets: Mapping[str, Mapping[str, Any]] | None = None,
    contexts: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    load: bool = True,
    push: bool = False,
    metadata_file: str = "",
    inline_dockerfile: str = "",
    reason: str = "",
) -> Command:
    """The command that builds `build` (resolved by Compose) and tags it.

    secrets:  the project's top-level `secrets`, for `build.secrets`.
    contexts: replacements for `additional_contexts`, by name.
    inline_dockerfile: the path of the file that holds `dockerfile_inline`, when it is used.
    """
    environment: dict[str, str | Secret] = {}
    argv = ["docker", "buildx", "build"]
    if load:
        argv.append("--load")
    if push:
        argv.append("--push")
    for tag in tags:
        argv += ["--tag", tag]
    for key, value in build.items():
        if key == "args":
            value, environment = hidden_arguments(value)
        argv += _options(key, value, secrets or {}, contexts or {})
    if inline_dockerfile:
        argv += ["--file", inline_dockerfile]
    elif (dockerfile := str(build.get("dockerfile") or "Dockerfile")) != "Dockerfile":
        argv += ["--file", _dockerfile_path(str(build.get("context", ".")), dockerfile)]
    for name, value in (labels or {}).items():
        argv += ["--label", f"{name}={value}"]
    if metadata_file:
        argv += ["--metadata-file", metadata_file]
    argv.append(str(build.get("context") or "."))
    return Command(tuple(argv), env=environment, reason=reason)


def looks_secret(name: str) -> bool:
    """Whether a build argument's name says that its value is a secret."""
    return bool(re.search(r"(?i)(token|secret|passw|credential|api_?key|private_?key)", name))


def hidden_arguments(values: Any) -> tuple[dict[str, Any], dict[str, str | Secret]]:
    """Build arguments with those that look secret taken out: they go through the environment.

    Such a value still ends up in the image's history; `mcgitops check` says so.
    """
    shown: dict[str, Any] = {}
    environment: dict[str, str | Secret] = {}
    for name, value in _pairs(values or {}):
        if value is not None and looks_secret(name):
            environment[name] = Secret(name, str(value))
            shown[name] = None
        else:
            shown[name] = value
    return shown, environment


def _dockerfile_path(context: str, dockerfile: str) -> str:
    """buildx takes `--file` relative to the working folder, Compose relative to the context."""
    if dockerfile.startswith("/") or "://" in context or context in ("", "."):
        return dockerfile
    return f"{context.rstrip('/')}/{dockerfile}"


def _options(
    key: str,
    value: Any,
    secrets: Mapping[str, Mapping[str, Any]],
    contexts: Mapping[str, str],
) -> list[str]:
    if value in (None, [], {}, "") or key in _IGNORED or key.startswith("x-"):
        return []
    if key == "isolation" and value == "default":
        return []
    if key in ("context", "dockerfile", "dockerfile_inline"):
        return []  # placed by the caller
    if key == "args":
        # an argument without a value takes it from the environment, in buildx as in Compose
        pairs = [f"{n}={_text(v)}" if v is not None else str(n) for n, v in _pairs(value)]
        return _repeat("--build-arg", pairs)
    if key == "additional_contexts":
        pairs = [f"{n}={contexts.get(n, str(v))}" for n, v in _pairs(value)]
        return _repeat("--build-context", pairs)
    if key in ("labels", "extra_hosts"):
        option = {"labels": "--label", "extra_hosts": "--add-host"}[key]
        return _repeat(option, [f"{n}={v}" for n, v in _pairs(value)])
    if key in ("cache_from", "cache_to", "platforms", "ssh", "entitlements"):
        option = {"platforms": "--platform", "entitlements": "--allow"}.get(
            key, "--" + key.replace("_", "-")
        )
        if isinstance(value, Mapping):
            return _repeat(option, [f"{n}={v}" if v else str(n) for n, v in value.items()])
        # Compose prints a named key of `ssh` as "name: path"
        named = [str(item).replace(": ", "=", 1) if key == "ssh" else str(item) for item in value]
        return _repeat(option, named)
    if key == "secrets":
        return _repeat("--secret", [_secret(item, secrets) for item in value])
    if key == "ulimits":
        return _repeat("--ulimit", [_ulimit(n, v) for n, v in value.items()])
    if key in ("target", "network", "shm_size", "provenance", "sbom"):
        return [f"--{key.replace('_', '-')}", _text(value)]
    if key in ("no_cache", "pull"):
        return [f"--{key.replace('_', '-')}"] if value else []
    if key == "privileged":
        return ["--allow", "security.insecure"] if value else []
    raise UnsupportedBuildKey(key)


def _pairs(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [
            (str(name), item)
            for name, items in value.items()
            for item in (items if isinstance(items, list) else [items])
        ]
    return [
        (name, item if separator else None)
        for name, separator, item in (str(entry).partition("=") for entry in value)
    ]


def _repeat(option: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _secret(item: Any, secrets: Mapping[str, Mapping[str, Any]]) -> str:
    source = str(item.get("source", "")) if isinstance(item, Mapping) else str(item)
    target = str(item.get("target") or source) if isinstance(item, Mapping) else source
    definition = secrets.get(source, {})
    if file := definition.get("file"):
        return f"id={target},src={file}"
    return f"id={target},env={definition.get('environment', source)}"


def _ulimit(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{name}={value['soft']}:{value['hard']}"
    return f"{name}={value}"
