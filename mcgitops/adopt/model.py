"""What `init` proposes, as plain values."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import field, replace

from mcgitops.deferred import dataclass
from mcgitops.project.spec import MetricSpec, StageSpec


@dataclass(frozen=True)
class Stage:
    """The keys proposed for a service. `reasons` says for each path why it is there."""

    service: str
    spec: StageSpec
    why: str
    reasons: Mapping[str, str] = field(default_factory=dict)
    seed: str = ""  # the environment variable that could vary over replicates
    waits_for: tuple[str, ...] = ()  # stages whose outputs it reads, though depends_on lacks them


@dataclass(frozen=True)
class Proposal:
    """What `init` proposes. `notes` are what a person should know or decide."""

    stages: tuple[Stage, ...] = ()
    metrics: Mapping[str, MetricSpec] = field(default_factory=dict)
    already: tuple[str, ...] = ()  # services that are stages already
    ordinary: tuple[str, ...] = ()  # services that a release deploys
    notes: tuple[str, ...] = ()


def relative_to(stage: Stage, folder: str) -> Stage:
    """The same stage with paths relative to a folder, itself relative to the project's."""
    if folder == ".":
        return stage

    def moved(path: str) -> str:
        return posixpath.relpath(path, folder)

    lists = {
        key: tuple(moved(path) for path in getattr(stage.spec, key))
        for key in ("params", "metrics", "plots", "outputs")
    }
    return replace(
        stage,
        spec=stage.spec.model_copy(update=lists),
        reasons={moved(path): reason for path, reason in stage.reasons.items()},
    )
