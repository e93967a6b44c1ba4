"""What planning is given (`Facts`) and what it makes (`Plan`): plain immutable values.

The caller looks, the planner decides. Where the planner needs an answer that depends on a decision
(does the store have this fingerprint?), it returns `Questions`; the caller answers and asks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from mcgitops.commands.command import Command
from mcgitops.deferred import dataclass
from mcgitops.project.model import Combination
from mcgitops.project.tree import Tree

Scalar = bool | int | float | str | None


@dataclass(frozen=True)
class Read:
    """Something whose content a stage reads, to be looked at.

    name:    what people and records call it: `params.yaml`, `data`, `build context .`
    path:    absolute path of a folder or a file.
    kind:    `context` (`.dockerignore` applies), `dockerfile`, `params`, `volume` or `config`.
    exclude: paths below it that don't count: what the project's stages produce.
    only:    if given, the only paths below it that count (`inputs:`).
    """

    name: str
    path: str
    kind: str = "volume"
    dockerfile: str = "Dockerfile"
    exclude: frozenset[str] = frozenset()
    only: frozenset[str] | None = None


@dataclass(frozen=True)
class Known:
    """A run that a store has, as far as planning cares."""

    stage: str
    fingerprint: str
    variables: Mapping[str, str]
    content: str  # digest over all files that it produced
    facts: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    metrics: Mapping[str, Scalar] = field(default_factory=dict)  # bare names, numbers and others
    files: Mapping[str, str] = field(default_factory=dict)  # path → digest, what it produced
    wall_seconds: float | None = None
    commit: str = ""


@dataclass(frozen=True)
class Revision:
    """A commit, and what it is called."""

    commit: str = ""
    name: str = ""
    dirty: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything that a plan is decided from."""

    trees: Mapping[Read, Tree] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()  # fingerprints that were looked up
    runs: Mapping[str, Known] = field(default_factory=dict)  # fingerprint → what the store has
    previous: Mapping[str, tuple[Known, ...]] = field(default_factory=dict)  # stage → last runs
    manifests: Mapping[str, Tree] = field(default_factory=dict)  # digest → tree of earlier runs
    params: Mapping[str, Mapping[str, Mapping[str, Scalar]]] = field(default_factory=dict)
    folder: Mapping[str, str] = field(default_factory=dict)  # declared path → digest, as it is now
    head: Revision = Revision()
    base: Revision = Revision()
    recorded: frozenset[str] = frozenset()  # stages whose runs the head commit names already
    needs: Mapping[str, str] = field(default_factory=dict)  # stage → pinned data that isn't here
    warnings: tuple[str, ...] = ()  # what was noticed while looking
    unpushed: bool = False  # the project's store lacks something that the local one has
    remote: str = ""  # the project's store, where it isn't the local one
    built: frozenset[str] = frozenset()  # image tags that this very execution has built


@dataclass(frozen=True)
class Questions:
    """Fingerprints whose runs must be looked up before planning can go on: (stage, fingerprint)."""

    fingerprints: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunPlan:
    """One run of a stage: which container, under which names."""

    stage: str
    combination: Combination
    fingerprint: str
    facts: Mapping[str, str]
    image: str
    cached: bool
    reason: str
    commands: tuple[Command, ...] = ()
    upstream: Mapping[str, str] = field(default_factory=dict)
    expected_seconds: float | None = None

    @property
    def id(self) -> str:
        """Twelve digits of the fingerprint: what people see, and what names are made of."""
        return self.fingerprint[:12]

    @property
    def label(self) -> str:
        """`train SEED=0`."""
        return f"{self.stage} {self.combination}".strip()


@dataclass(frozen=True)
class StagePlan:
    """A stage: `cached`, to `run`, or `pending` on stages before it."""

    name: str
    state: str
    reason: str
    runs: tuple[RunPlan, ...] = ()
    fetch: tuple[Command, ...] = ()  # brings data that it reads
    build: tuple[Command, ...] = ()
    after: tuple[str, ...] = ()
    pending: tuple[Command, ...] = ()
    selected: str = ""  # fingerprint of the run that goes on, when it is known

    @property
    def commands(self) -> tuple[Command, ...]:
        """Everything that is executed for this stage, in order."""
        if self.state == "pending":
            return self.pending
        of_runs = (c for run in self.runs if not run.cached for c in run.commands)
        return (*self.fetch, *self.build, *of_runs)


@dataclass(frozen=True)
class Section:
    """Steps that aren't a stage's: publish, report, release, deploy to an environment.

    undo: what is executed instead of the rest when one of the commands fails.
    """

    name: str
    reason: str = ""
    commands: tuple[Command, ...] = ()
    undo: tuple[Command, ...] = ()
    only_warns: bool = False  # a command that fails doesn't keep the others from being executed
    notes: tuple[str, ...] = ()  # for people: what the commands together come to


@dataclass(frozen=True)
class Plan:
    """The whole: what will be executed, why, and the facts that it was decided from."""

    project: str
    head: Revision
    base: Revision
    stages: tuple[StagePlan, ...]
    sections: tuple[Section, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def commands(self) -> tuple[Command, ...]:
        """All commands in the order of execution."""
        of_stages = (c for stage in self.stages for c in stage.commands)
        return (*of_stages, *(c for section in self.sections for c in section.commands))

    @property
    def nothing_to_do(self) -> bool:
        """Whether there is no command at all."""
        return not self.commands

    def stage(self, name: str) -> StagePlan:
        """The plan of one stage."""
        return next(stage for stage in self.stages if stage.name == name)
