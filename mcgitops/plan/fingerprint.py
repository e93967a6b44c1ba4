"""The fingerprint of a run: a digest of everything that determines it.

A run's facts are a flat mapping from a name that people can read to a digest. The fingerprint is
the SHA-256 of that mapping, so two runs with different fingerprints can always be told apart by
name. Values that could be secret (the environment) enter by digest only; secrets by name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mcgitops.plan.model import Facts
from mcgitops.plan.reads import is_data, reads, service_reads
from mcgitops.project.model import Combination, Project, Service

FORMAT = 1

# keys that say how a service is operated, not what it computes
_VOLATILE = frozenset(
    {
        "annotations", "attach", "build", "container_name", "depends_on", "develop", "expose",
        "healthcheck", "hostname", "labels", "logging", "networks", "network_mode", "ports",
        "post_start", "pre_stop", "profiles", "pull_policy", "restart", "scale",
        "stop_grace_period", "stop_signal", "volumes", "secrets", "configs", "environment",
        "cpus", "cpu_shares", "cpuset", "mem_limit", "mem_reservation", "memswap_limit",
        "oom_score_adj", "oom_kill_disable", "pids_limit", "shm_size", "deploy",
    }
)  # fmt: skip
_BUILD_VOLATILE = frozenset(
    {"context", "cache_from", "cache_to", "no_cache", "pull", "tags", "additional_contexts",
     "secrets", "ssh", "labels", "provenance", "sbom"}
)  # fmt: skip

# keys of a companion whose values hold this machine's paths
_ABSOLUTE = frozenset({"build", "volumes", "develop", "ports", "profiles"})


def digest(value: Any) -> str:
    """`sha256:…` of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def build_facts(project: Project, stage: Service, facts: Facts) -> dict[str, str]:
    """What determines the stage's image."""
    build = stage.build
    if build is None:
        return {"image": stage.image}
    result = {"build": digest({k: v for k, v in build.items() if k not in _BUILD_VOLATILE})}
    for read in service_reads(project, stage):
        if read.kind in ("context", "dockerfile"):
            result[read.name] = facts.trees[read].digest
    if secrets := build.get("secrets"):
        result["build secrets"] = digest(sorted(map(_secret_name, secrets)))
    for name, value in (build.get("additional_contexts") or {}).items():
        if not str(value).startswith("/"):
            result[f"extra context {name}"] = str(value)
    context = str(build.get("context") or "")
    if "://" in context or context.startswith("git@"):
        result["build context"] = context
    return result


def run_facts(
    project: Project,
    stage: Service,
    combination: Combination,
    upstream: Mapping[str, str],
    facts: Facts,
) -> dict[str, str]:
    """What determines one run: name → digest or short text.

    upstream: stage → digest of the content of its selected run.
    """
    result = build_facts(project, stage, facts)
    for read in reads(project, stage):
        result[read.name] = facts.trees[read].digest
    for key, value in stage.definition.items():
        if key not in _VOLATILE and not key.startswith("x-") and value not in (None, [], {}):
            result[key] = digest(value)
    environment = {**stage.environment, **combination.variables}
    fixed = {k: v for k, v in environment.items() if k not in combination.variables}
    if fixed:
        result["environment"] = digest(fixed)
    for name, value in combination.variables.items():
        result[f"variable {name}"] = value
    if mounts := [
        [mount.target, mount.read_only, project.relative(mount.source) or mount.source]
        for mount in stage.mounts
        if mount.kind == "bind"
    ]:
        result["volumes"] = digest(sorted(mounts))
    if foreign := [
        mount.source
        for mount in stage.mounts
        if mount.kind == "bind" and not is_data(project, mount)
    ]:
        result["unread volumes"] = digest(sorted(foreign))
    definitions = project.resolved.get("configs") or {}
    for item in stage.definition.get("configs") or ():
        name = str(item.get("source") if isinstance(item, Mapping) else item)
        definition = definitions.get(name) or {}
        if "file" not in definition:
            result[f"config {name}"] = digest({k: v for k, v in definition.items() if k != "name"})
    if secrets := stage.definition.get("secrets"):
        result["secrets"] = digest(sorted(map(_secret_name, secrets)))
    for name, content in upstream.items():
        result[f"upstream {name}"] = content
    spec = stage.spec  # by kind: a record says what is a metric, and is not written anew
    kinds = [spec.metrics, spec.plots, spec.outputs]
    if own := spec.own_predictions:  # which older fingerprints had nothing of
        kinds.append(own)
    result["declared"] = digest([sorted(kind) for kind in kinds])
    if stage.spec.inputs is not None:
        result["inputs"] = digest(sorted(stage.spec.inputs))
    for service in project.companions(stage):
        definition = {k: v for k, v in service.definition.items() if k not in _ABSOLUTE}
        own_build = {k: v for k, v in (service.build or {}).items() if k not in _BUILD_VOLATILE}
        mounts_ = [[m.target, project.relative(m.source) or m.source] for m in service.mounts]
        result[f"service {service.name}"] = digest([definition, own_build, mounts_])
    return result


def fingerprint(facts: Mapping[str, str]) -> str:
    """64 hex digits for a run's facts."""
    return digest({"format": FORMAT, "facts": dict(facts)}).removeprefix("sha256:")


def image_tag(project: Project, stage: Service, facts: Facts) -> str:
    """The tag of the stage's image; equal builds share it. The service's own image if not built."""
    if stage.build is None:
        return stage.image
    key = digest(build_facts(project, stage, facts)).removeprefix("sha256:")[:12]
    return f"mcgitops/{project.name}:{key}"


def content_digest(files: Mapping[str, str]) -> str:
    """One digest over produced files, path → digest."""
    return digest(dict(files))


def _secret_name(item: Any) -> str:
    return str(item.get("source")) if isinstance(item, Mapping) else str(item)
