"""The `x-mcgitops` keys as typed models: the only definition of the file format.

`mcgitops schema`, the file reference in docs/ and all validation come from here. Unknown keys are
errors; the hint with the nearest name is made in `mcgitops.project.load`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Literal

from mcgitops.project.base import Duration, Spec
from mcgitops.project.environment import Environment
from mcgitops.project.judging import PredictionsSpec, StageBudget
from mcgitops.project.report import ReportSpec
from mcgitops.project.store_url import check_store_url
from mcgitops.typed.model import after, before, key, whole

Scalar = bool | int | float | str
"""What a matrix value may be; it reaches the container as text, as Compose would write it."""


class Gate(Spec):
    """A bound on a metric. A gate that fails makes the report exit with 3."""

    min: float | None = key(default=None, description="The least value that passes.")
    max: float | None = key(default=None, description="The greatest value that passes.")
    max_drop: float | None = key(
        default=None,
        ge=0,
        description="The largest worsening against the base that passes, in the metric's own unit. "
        "Needs a direction (`goal`).",
    )
    max_drop_percent: float | None = key(
        default=None,
        ge=0,
        description="The largest worsening against the base that passes, in percent of the base. "
        "Needs a direction (`goal`).",
    )
    non_inferiority: float | None = key(
        default=None,
        gt=0,
        description="A margin in the metric's own unit: the evidence must show, one-sided at 95 %, "
        "that it is worse than the base by less than that. What can't be shown fails.",
    )
    outside_noise: bool = key(
        default=False,
        description="Fails where the metric is worse than the noise band of earlier runs with the "
        "base's code, data and image (without a direction: on either side of it).",
    )
    level: Literal["fail", "warn"] = key(
        default="fail", description="`fail` makes the exit code 3; `warn` only shows it."
    )

    @whole
    def _says_something(self) -> None:
        bounds = (self.min, self.max, self.max_drop, self.max_drop_percent, self.non_inferiority)
        if bounds == (None,) * 5 and not self.outside_noise:
            raise ValueError(
                "names no bound. Give min, max, max_drop, max_drop_percent, non_inferiority or "
                "outside_noise."
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is greater than max {self.max:g}.")


class MetricSpec(Spec):
    """What is known of a metric: its direction, and its gate if it has one."""

    goal: Literal["maximize", "minimize", "neutral"] | None = key(
        default=None,
        description="Which direction is better. Without it the direction is taken from well-known "
        "names (`accuracy`, `loss`, …); unknown names stay neutral and never gate a drop.",
    )
    gate: Gate | None = key(default=None, description="The bound that a pull request must keep.")
    equivalence: float | None = key(
        default=None,
        gt=0,
        description="A margin in the metric's own unit within which differences don't matter: "
        "where the evidence shows the difference to be within it, the verdict is `no difference`.",
    )


class BestBy(Spec):
    """Select the run with the best value of a metric (optimistic, and the report says so)."""

    best: str = key(min_length=1, description="The metric that decides.")


class StageSpec(Spec):
    """`x-mcgitops` of a service: makes it a stage, a service that produces something."""

    params: tuple[str, ...] = key(
        default=(),
        description="Parameter files (JSON, YAML, TOML): shown, compared, in the fingerprint.",
    )
    metrics: tuple[str, ...] = key(
        default=(),
        description="Files and folders with metrics that the stage writes: JSON, YAML, TOML, CSV, "
        "TSV, or what a tracking tool leaves, such as `mlruns`.",
    )
    plots: tuple[str, ...] = key(
        default=(),
        description="Files and folders with series that the stage writes: CSV, TSV, JSON, or what "
        "a tracking tool leaves.",
    )
    readers: dict[str, str] = key(
        default_factory=dict,
        description="A path of `metrics` or `plots`, or one in such a folder, and the name of what "
        "reads it, where that isn't to be detected.",
    )
    predictions: dict[str, PredictionsSpec] = key(
        default_factory=dict,
        description="Files of predictions (CSV, TSV, JSON Lines: a row for each example) that the "
        "stage writes, and their columns where the names don't tell. Files in `metrics`, `plots` "
        "and `outputs` whose columns are called `y_true` and `y_pred`, or alike, needn't be named.",
    )
    outputs: tuple[str, ...] = key(default=(), description="Artifacts that the stage writes.")
    inputs: tuple[str, ...] | None = key(
        default=None,
        description="What the stage reads from its bind mounts. Given, it narrows them to exactly "
        "these paths: nothing else is mounted, so nothing else can change the result.",
    )
    croissant: tuple[str, ...] = key(
        default=(),
        description="Croissant descriptions (JSON-LD) of the data that the stage reads. Before it "
        "trains, the files that they name are held against their checksums; one that differs stops "
        "it.",
    )
    matrix: dict[str, tuple[Scalar, ...]] = key(
        default_factory=dict,
        description="Environment variables and their values: one run, and one row, for each "
        "combination.",
    )
    replicates: dict[str, tuple[Scalar, ...]] = key(
        default_factory=dict,
        description="Environment variables and their values: one run each, aggregated to a mean.",
    )
    paired: bool = key(
        default=False,
        description="Whether runs of the same replicate belong together on both sides, such as "
        "where the seed fixes the split of the data: the paired test decides then, not Welch's.",
    )
    folds: str = key(
        default="",
        description="The variable of `replicates` that numbers a cross-validation's folds: the "
        "test that is corrected for overlapping training sets decides then.",
    )
    select: dict[str, Scalar] | BestBy | None = key(
        default=None,
        description="Which run goes on to downstream stages and into the folder: the variables' "
        "values, or `{best: METRIC}`. Default: the first.",
    )
    timeout: Duration | None = key(
        default=None,
        description="How long one run may take, such as `90m` or `1h30m`. Default: no limit.",
    )

    @before("matrix", "replicates")
    @staticmethod
    def _values_are_single(axes: object) -> object:
        # before the union is tried, which would tell of each of its branches
        for name, values in axes.items() if isinstance(axes, Mapping) else ():
            for value in values if isinstance(values, list | tuple) else ():
                if not isinstance(value, Scalar):
                    raise ValueError(f"{name}: {value} is not one value. Write text or a number.")
        return axes

    @before("select")
    @staticmethod
    def _select_is_one_of_two(select: object) -> object:
        # `{best: accuracy}` would pass as a variable named best as well
        if select is None or isinstance(select, BestBy):
            return select
        if not isinstance(select, Mapping) or not select:
            raise ValueError(f"{select!r} selects nothing. Write {{SEED: 0}} or {{best: METRIC}}.")
        if set(select) == {"best"}:
            metric = select["best"]
            if not isinstance(metric, str) or not metric.strip():
                raise ValueError("best names no metric. Write {best: METRIC}.")
            return BestBy(best=metric)
        for name, value in select.items():
            if not isinstance(value, Scalar):
                raise ValueError(f"{name}: {value} is not one value. Write text or a number.")
        return select

    @after("params", "metrics", "plots", "outputs", "inputs", "croissant")
    @staticmethod
    def _paths_are_relative(paths: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for path in paths or ():
            if not path:
                raise ValueError("holds an empty path. Remove it.")
            if path.startswith(("/", "~")) or ".." in path.split("/"):
                raise ValueError(f"{path} is outside the project folder. Write a path inside it.")
        return paths

    @before("predictions")
    @staticmethod
    def _predictions_may_say_nothing(files: object) -> object:
        # `predictions: {out/predictions.csv:}` and a list are files whose columns' names tell
        if isinstance(files, list | tuple) and all(isinstance(file, str) for file in files):
            return {file: {} for file in files}
        if isinstance(files, Mapping):
            return {file: {} if columns is None else columns for file, columns in files.items()}
        return files

    @after("predictions")
    @staticmethod
    def _predictions_are_relative(files: dict[str, PredictionsSpec]) -> dict[str, PredictionsSpec]:
        StageSpec._paths_are_relative(tuple(files))
        return files

    @after("matrix", "replicates")
    @staticmethod
    def _axes_have_values(axes: dict[str, tuple[Scalar, ...]]) -> dict[str, tuple[Scalar, ...]]:
        for name, values in axes.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} is not a variable's name. Use letters, digits and _.")
            if not values:
                raise ValueError(f"{name} has no values. List at least one.")
            if len({str(value) for value in values}) != len(values):
                raise ValueError(f"{name} names a value twice. Remove the repetition.")
        return axes

    @whole
    def _axes_are_disjoint(self) -> None:
        if both := sorted(self.matrix.keys() & self.replicates.keys()):
            raise ValueError(f"{both[0]} is in matrix and in replicates. Keep it in one of them.")

    @whole
    def _readers_have_files(self) -> None:
        declared = [PurePosixPath(path) for path in (*self.metrics, *self.plots)]
        for path in self.readers:
            if not any(PurePosixPath(path).is_relative_to(above) for above in declared):
                raise ValueError(
                    f"readers: {path} is in neither metrics nor plots. Name one of their paths."
                )

    @whole
    def _folds_are_replicates(self) -> None:
        if not self.folds:
            return
        if self.folds not in self.replicates:
            raise ValueError(f"folds: {self.folds} is not in replicates. List its values there.")
        if len(self.replicates[self.folds]) < 2:
            raise ValueError(f"folds: {self.folds} has one value only. List at least two.")

    def readers_of(self, files: Iterable[str]) -> dict[str, str]:
        """The declared readers of these files, and of folders that hold some of them."""
        paths = [PurePosixPath(path) for path in files]
        return {
            above: reader
            for above, reader in self.readers.items()
            if any(path.is_relative_to(above) for path in paths)
        }

    @property
    def produced(self) -> tuple[str, ...]:
        """All paths that the stage declares to write."""
        return (*self.metrics, *self.plots, *self.outputs, *self.own_predictions)

    @property
    def own_predictions(self) -> tuple[str, ...]:
        """Files of predictions that aren't among metrics, plots or outputs."""
        others = [PurePosixPath(path) for path in (*self.metrics, *self.plots, *self.outputs)]
        return tuple(
            path
            for path in self.predictions
            if not any(PurePosixPath(path).is_relative_to(other) for other in others)
        )


class ProjectSpec(Spec):
    """The top-level `x-mcgitops`: the store, what is known of metrics, the environments."""

    store: str = key(
        default=".mcgitops/store",
        description="Where artifacts and run records live: a folder, `file:///…` or "
        "`s3://bucket/prefix[?endpoint_url=…&region=…]`. `MCGITOPS_STORE` overrides it.",
    )
    metrics: dict[str, MetricSpec] = key(
        default_factory=dict,
        description="By metric name (shell patterns allowed): direction and gate.",
    )
    checks: Literal["fail", "warn", "ignore"] = key(
        default="fail",
        description="What a failed test of another tool, such as Evidently, is: a gate that "
        "fails, one that warns, or none.",
    )
    budgets: dict[str, StageBudget] = key(
        default_factory=dict,
        description="By stage: what it may cost in time, memory and size.",
    )
    environments: dict[str, Environment] = key(
        default_factory=dict, description="By name: where releases go."
    )
    report: ReportSpec = key(
        default_factory=ReportSpec, description="Where the HTML report is linked to."
    )

    @after("store")
    @staticmethod
    def _store_is_a_place(store: str) -> str:
        check_store_url(store)
        return store

    @after("environments")
    @staticmethod
    def _environment_names(environments: dict[str, Environment]) -> dict[str, Environment]:
        for name in environments:
            if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
                raise ValueError(
                    f"{name!r} is not a name for an environment. Use a-z, 0-9, - and _, at most 63."
                )
        return environments
