"""What a comparison is told beside the metrics: designs, budgets, examples of both sides, noise.

Predictions are read here, and only where a run kept some; the noise band's runs are looked up only
where a gate asks for them, or where there is one run on each side and nothing else to go by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mcgitops.compare.model import MetricRule, RunView, Side, Test, assignments
from mcgitops.compare.paired import PairedExamples
from mcgitops.compare.policy import Budget, Cost, Design, Policy
from mcgitops.errors import StoreError
from mcgitops.facts import git
from mcgitops.metrics.files import head as first_bytes
from mcgitops.metrics.predictions import ENDINGS, Columns, Predictions, looks_like, read
from mcgitops.metrics.values import UnreadableError, Warnings
from mcgitops.project.base import seconds
from mcgitops.project.judging import LatencyBudget, PredictionsSpec, TimeBudget, size_bytes
from mcgitops.project.spec import ProjectSpec, StageSpec
from mcgitops.store.files import StoredFiles

if TYPE_CHECKING:
    from mcgitops.cli.evidence import Evidence
    from mcgitops.store.records import FileRef, RunRecord

MOST_PAIRS = 8
"""Combinations of the matrix whose examples are compared."""
MOST_FILES = 4
"""Files of predictions of one run."""
MOST_LOOKED_AT = 50
"""Files of one run whose first bytes are looked at."""
LOOKBACK = 50
"""Commits of the base's branch that are asked for earlier runs."""
ENOUGH = 20
"""Earlier runs; more would hardly change the band."""
AT_ONCE = 10


def policy(
    evidence: Evidence, base: Side | None, head: Side, rules: Sequence[MetricRule]
) -> Policy:
    """All of it, for these two sides."""
    spec = evidence.app.project.spec
    return Policy(
        designs=_designs(evidence),
        budgets=_budgets(spec),
        checks=spec.checks,
        examples=tuple(_examples(evidence, base, head)),
        earlier=tuple(_earlier(evidence, base, head, rules)) if base else (),
    )


def _designs(evidence: Evidence) -> dict[str, Design]:
    return {
        stage.name: Design(stage.spec.paired, stage.spec.folds)
        for stage in evidence.app.project.stages
        if stage.spec.paired or stage.spec.folds
    }


def _budgets(spec: ProjectSpec) -> tuple[Budget, ...]:
    found: list[Budget] = []
    costs: tuple[Cost, ...] = (
        "wall_time", "cpu_time", "peak_memory", "image_size", "artifact_size", "latency",
    )  # fmt: skip
    for stage, budget in spec.budgets.items():
        for cost in costs:
            bound = budget.bounds.get(cost)
            if bound is None:
                continue
            metric = bound.metric if isinstance(bound, LatencyBudget) else ""
            most: float | None = None
            if isinstance(bound, LatencyBudget):
                most = bound.max
            elif bound.max is not None:
                is_time = isinstance(bound, TimeBudget)
                most = seconds(bound.max) if is_time else size_bytes(bound.max)
            increase = bound.max_increase_percent
            found.append(Budget(stage, cost, most, increase, bound.level, metric))
    return tuple(found)


def _examples(evidence: Evidence, base: Side | None, head: Side) -> Iterator[PairedExamples]:
    """Of each combination the predictions of one run on each side, of the same replicate.

    What can be measured on the other replicates' predictions goes with it.
    """
    before = _by_combination(base.runs if base else ())
    for count, (key, runs) in enumerate(_by_combination(head.runs).items()):
        if count == MOST_PAIRS:
            return
        others = before.get(key, [])
        new, old = _pair(runs, others)
        service = evidence.app.project.services.get(new.stage)
        spec = service.stage if service and service.stage else StageSpec()
        ours = evidence.record(new)
        theirs = evidence.record(old) if old else None
        for path in _paths(evidence, ours, spec)[:MOST_FILES]:
            columns = spec.predictions.get(path)
            found = _compared(evidence, new, path, columns, ours, theirs)
            if max(len(runs), len(others)) > 1:
                found = _with_replicates(evidence, found, columns, runs, others)
            yield found


def _compared(
    evidence: Evidence,
    run: RunView,
    path: str,
    spec: PredictionsSpec | None,
    ours: RunRecord,
    theirs: RunRecord | None,
) -> PairedExamples:
    said: list[str] = []
    replicate = assignments(run.replicate)
    after = _read(evidence, path, spec, ours, said)
    if after is None:
        return PairedExamples(run.stage, run.variant, path, replicate, warnings=tuple(said))
    new, old = _reference(ours, path), _reference(theirs, path) if theirs else None
    if new and old and new.digest == old.digest:
        before: Predictions | None = after
    else:
        before = _read(evidence, path, spec, theirs, said, "base: ") if theirs and old else None
    from mcgitops.compare.examples import compared

    found = compared(run.stage, run.variant, path, before, after, replicate)
    return replace(found, warnings=tuple(dict.fromkeys((*said, *found.warnings))))


def _with_replicates(
    evidence: Evidence,
    found: PairedExamples,
    spec: PredictionsSpec | None,
    runs: Sequence[RunView],
    others: Sequence[RunView],
) -> PairedExamples:
    """With the measures' values of all replicates, so that these decide, as for other metrics."""
    from mcgitops.compare.examples import values

    said: list[str] = []

    def measured(run: RunView, side: str) -> dict[str, float]:
        record = evidence.record(run)
        if _reference(record, found.source) is None:
            return {}
        side = f"{side}{assignments(run.replicate)} "
        read_ = _read(evidence, found.source, spec, record, said, side)
        return values(read_) if read_ else {}

    after = [measured(run, "") for run in runs]
    before = [measured(run, "base: ") for run in others]
    known = [text.removeprefix("base: ") for text in found.warnings]
    new = [text for text in said if not any(text.endswith(other) for other in known)]
    return replace(
        found,
        measures=tuple(
            replace(
                measure,
                test=_of_one(measure.test, found.run) if measure.test else None,
                others=tuple(_of_one(test, found.run) for test in measure.others),
                base_values=tuple(v[measure.name] for v in before if measure.name in v),
                head_values=tuple(v[measure.name] for v in after if measure.name in v),
            )
            for measure in found.measures
        ),
        warnings=(*found.warnings, *new),
    )


def _of_one(test: Test, run: str) -> Test:
    """Says that it is about one run of several."""
    return replace(test, text=f"{test.text}, {run} alone") if run else test


def _read(
    evidence: Evidence,
    path: str,
    spec: PredictionsSpec | None,
    record: RunRecord,
    said: list[str],
    side: str = "",
) -> Predictions | None:
    """A file's examples; what is wrong with it is said."""
    files = StoredFiles.of(evidence.stores, record.files)
    warnings = Warnings()
    found: Predictions | None = None
    try:
        with files.open(path) as stream:
            found = read(path, stream, warnings, _columns(spec))
    except UnreadableError as error:
        warnings.add(str(error))
    except OSError as error:
        warnings.add(f"can't be read: {error}")
    said += [f"{side}{path}: {sentence}" for sentence in warnings.all()]
    return found


def _columns(spec: PredictionsSpec | None) -> Columns | None:
    if spec is None:
        return None
    positive = spec.positive
    return Columns(
        spec.truth,
        spec.prediction,
        spec.score,
        spec.id,
        spec.group,
        spec.slices,
        ("true" if positive else "false") if isinstance(positive, bool) else str(positive),
        spec.task,
    )


def _paths(evidence: Evidence, record: RunRecord, spec: StageSpec) -> list[str]:
    """The files of predictions: those that are declared, and those that look like some."""
    found = [file.path for file in record.files if file.path in spec.predictions]
    files = StoredFiles.of(evidence.stores, record.files)
    likely = [path for path in files.sizes if path.lower().endswith(ENDINGS) and path not in found]
    found += [p for p in likely[:MOST_LOOKED_AT] if looks_like(p, first_bytes(files, p))]
    return found


def _reference(record: RunRecord, path: str) -> FileRef | None:
    return next((file for file in record.files if file.path == path), None)


def _pair(runs: Sequence[RunView], others: Sequence[RunView]) -> tuple[RunView, RunView | None]:
    """The selected run (else the first) with the other side's of the same replicate.

    Where that one has none, the first that has one; where none has, what is selected on each side.
    """
    ordered = sorted(runs, key=lambda run: not run.selected)
    by_replicate = {assignments(run.replicate): run for run in others}
    for run in ordered:
        if (other := by_replicate.get(assignments(run.replicate))) is not None:
            return run, other
    return ordered[0], min(others, key=lambda run: not run.selected, default=None)


def _by_combination(runs: Iterable[RunView]) -> dict[tuple[str, str], list[RunView]]:
    found: dict[tuple[str, str], list[RunView]] = {}
    for run in runs:
        if run.state == "succeeded":
            found.setdefault((run.stage, run.variant), []).append(run)
    return found


def _earlier(
    evidence: Evidence, base: Side, head: Side, rules: Sequence[MetricRule]
) -> Iterator[RunView]:
    """Runs of the base's branch that differ from the base's own in nothing but the replicate."""
    asked = any(rule.gate is not None and rule.gate.outside_noise for rule in rules)
    before, after = _by_combination(base.runs), _by_combination(head.runs)
    alone = {key for key in before if len(before[key]) == len(after.get(key, ())) == 1}
    wanted = {key: runs for key, runs in before.items() if asked or key in alone}
    if not wanted or not base.commit:
        return
    folder = evidence.app.project.folder
    commits = git.first_parents(folder, base.commit, LOOKBACK) or [base.commit]
    for stage in dict.fromkeys(stage for stage, _ in wanted):
        models = {key: _facts(runs[0]) for key, runs in wanted.items() if key[0] == stage}
        yield from _of_stage(evidence, stage, commits, models)


def _of_stage(
    evidence: Evidence,
    stage: str,
    commits: Sequence[str],
    models: dict[tuple[str, str], dict[str, str]],
) -> Iterator[RunView]:
    """In steps of several commits; the first step without such a run ends it."""
    from concurrent.futures import ThreadPoolExecutor  # brings logging; few calls come here

    def looked_up(fingerprint: str) -> RunView | None:
        try:
            return evidence.run_view(stage, fingerprint)
        except StoreError:  # a commit's record came, one of its runs didn't: not ours to say
            return None

    known: dict[str, bool] = {}
    counts = dict.fromkeys(models, 0)
    for start in range(0, len(commits), AT_ONCE):
        some = commits[start : start + AT_ONCE]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            records = list(pool.map(lambda sha: evidence.commit_record(sha, stage), some))
            fingerprints = [f for record in records if record for f in record.runs]
            new = [f for f in dict.fromkeys(fingerprints) if f not in known]
            views = list(pool.map(looked_up, new))  # a bucket's answers take their time
        for fingerprint, view in zip(new, views, strict=True):
            known[fingerprint] = False
            if view is None:
                continue
            key = (stage, view.variant)
            if view.state != "succeeded" or models.get(key) != _facts(view):
                continue
            known[fingerprint] = True
            if counts[key] < ENOUGH:
                counts[key] += 1
                yield view
        if not any(known[f] for f in fingerprints) or min(counts.values()) >= ENOUGH:
            return


def _facts(run: RunView) -> dict[str, str]:
    """What went into a run, but for its replicate."""
    own = {f"variable {name}" for name in run.replicate}
    return {name: fact for name, fact in run.facts.items() if name not in own}
