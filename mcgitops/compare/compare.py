"""Compares two sides: metrics, parameters, facts, costs, artifacts, curves; judges the gates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mcgitops.compare import budgets, checks, gates
from mcgitops.compare.classes import classes, matrices
from mcgitops.compare.curves import curves, pairs
from mcgitops.compare.measures import matched
from mcgitops.compare.metrics import compare_metric
from mcgitops.compare.model import (
    Artifact,
    ArtifactChange,
    Comparison,
    CostChange,
    FactChange,
    Failure,
    GateResult,
    Lineage,
    MetricChange,
    MetricRule,
    RunView,
    Side,
    ValueChange,
    assignments,
)
from mcgitops.compare.policy import Policy
from mcgitops.compare.rules import Rules
from mcgitops.compare.verdict import NO_DESIGN
from mcgitops.metrics.values import Scalar

Key = tuple[str, str, str, str]
"""Stage, variant, file, name."""

NOT_FACTS = ("variable ", "upstream ")
"""Facts that are shown elsewhere: as variants and replicates, or with the stage before."""

NOT_INPUTS = (*NOT_FACTS, "build context", "config ", "extra context ", "service ")
_KEYS = """
build declared environment inputs secrets volumes image platform command entrypoint user tmpfs
working_dir tty stdin_open init privileged read_only runtime gpus devices device_cgroup_rules
cap_add cap_drop cgroup cgroup_parent credential_spec dns dns_opt dns_search domainname links
env_file external_links extra_hosts group_add ipc isolation mac_address models pid provider
security_opt storage_opt sysctls ulimits use_api_socket userns_mode uts volumes_from cpu_count
cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime blkio_config oom_score
"""
KEYS = frozenset((*_KEYS.split(), "build secrets", "unread volumes"))
"""Facts that aren't paths: a service's own keys, and what planning adds. What else a run's facts
name is a path that it read (one that had such a name has `./` before it)."""

MOST_SIZES = 20
NO_POLICY = Policy()


def compare(
    base: Side | None,
    head: Side,
    rules: Sequence[MetricRule] = (),
    policy: Policy = NO_POLICY,
) -> Comparison:
    """All that differs. Without a base the head stands alone, and only bounds are judged."""
    changes, results = _metrics(base, head, Rules(rules), policy)
    before = base.runs if base else ()
    costs, artifacts = _costs(before, head.runs), _artifacts(before, head.runs)
    results += budgets.judge(policy.budgets, costs, artifacts, changes, head.runs)
    results += checks.judge(head.runs, policy.checks)
    return Comparison(
        base=base,
        head=head,
        metrics=changes,
        gates=tuple(sorted(results, key=lambda result: _ORDER[result.state])),
        params=_params(before, head.runs) if base else (),
        facts=_facts(before, head.runs) if base else (),
        costs=costs,
        artifacts=artifacts,
        curves=curves(_chosen(before), _chosen(head.runs), changes),
        plots=pairs(_chosen(before), _chosen(head.runs), changes),
        failures=tuple(
            Failure(run.label, run.state, run.exit_code, run.log_tail)
            for run in head.runs
            if run.state != "succeeded"
        ),
        lineage=tuple(_lineage(run, head.commit) for run in _chosen(head.runs).values()),
        warnings=tuple(
            dict.fromkeys(
                (
                    *(f"{run.label}: {text}" for run in head.runs for text in run.warnings),
                    *(text for examples in policy.examples for text in examples.warnings),
                )
            )
        ),
        classes=classes(before, head.runs),
        matrices=matrices(before, head.runs),
        slices=tuple(change for examples in policy.examples for change in examples.slices),
    )


def _metrics(
    base: Side | None, head: Side, rules: Rules, policy: Policy
) -> tuple[tuple[MetricChange, ...], tuple[GateResult, ...]]:
    before = _values(base.runs if base else ())
    after = _values(head.runs)
    measured = matched(policy.examples, base, head)
    before.update(measured.base)
    after.update(measured.head)
    earlier = _values(policy.earlier)
    pairing = _pairing(base, head)
    folds = {stage: _folds(head, stage, d.folds) for stage, d in policy.designs.items() if d.folds}
    keys = list(dict.fromkeys((*after, *before)))
    labels = _labels(keys)
    runs = _run_counts(head.runs)
    stages = {run.stage for run in head.runs}
    changes = []
    for key in keys:
        stage, variant, file, name = key
        expected = runs.get((stage, variant), 0)
        rule, by_name = rules.find(stage, file, name)
        if rule is not None and rule.gate and not expected and stage in stages:
            # The matrix doesn't have this combination any more: nothing is left to judge.
            rule = MetricRule(rule.key, rule.goal, None, rule.equivalence)
        old, new = before.get(key, ()), after.get(key, ())
        pairs = pairing.get((stage, variant), ())
        changes.append(
            compare_metric(
                *key,
                labels[stage, file, name],
                old,
                new,
                runs=expected,
                has_base=base is not None,
                rule=rule,
                by_name=by_name,
                pairing=pairs if len(pairs) == len(old) == len(new) else (),
                design=policy.designs.get(stage, NO_DESIGN),
                folds=folds.get(stage, 0),
                measure=measured.by_key.get(key),
                earlier=earlier.get(key, ()),
            )
        )
    changes.sort(key=_worst_first)
    results = [result for change in changes for result in change.gates]
    for unmatched in rules.unmatched():
        if unmatched.gate is not None:
            results.extend(gates.no_such_metric(unmatched.gate, unmatched.key))
    return tuple(changes), tuple(results)


_ORDER = {"failed": 0, "warned": 1, "waived": 2, "not judged": 3, "passed": 4}


def _pairing(base: Side | None, head: Side) -> dict[tuple[str, str], tuple[tuple[int, int], ...]]:
    """By combination: which run of the base and of the head are of the same replicate.

    Empty unless both sides have exactly the same ones: half a pairing would be a choice of runs.
    """
    before, after = _replicates(base.runs if base else ()), _replicates(head.runs)
    found = {}
    for key, names in after.items():
        old = before.get(key, [])
        if "" in names or set(old) != set(names) or len(set(names)) != len(names):
            continue
        if len(old) == len(names):
            found[key] = tuple((old.index(name), place) for place, name in enumerate(names))
    return found


def _replicates(runs: Iterable[RunView]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        if run.state == "succeeded":
            found.setdefault((run.stage, run.variant), []).append(assignments(run.replicate))
    return found


def _folds(head: Side, stage: str, variable: str) -> int:
    return len({run.replicate.get(variable) for run in head.runs if run.stage == stage})


def _values(runs: Iterable[RunView]) -> dict[Key, list[Scalar]]:
    found: dict[tuple[str, str, str], dict[str, list[Scalar]]] = {}
    for run in runs:
        if run.state != "succeeded":
            continue
        variant = run.variant
        for file, values in run.metrics.items():
            known = found.setdefault((run.stage, variant, file), {})
            for name, value in values.items():
                if (numbers := known.get(name)) is None:
                    known[name] = [value]
                else:
                    numbers.append(value)
    return {
        (*key, name): numbers for key, known in found.items() for name, numbers in known.items()
    }


def _run_counts(runs: Iterable[RunView]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for run in runs:
        key = (run.stage, run.variant)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _labels(keys: Iterable[Key]) -> dict[tuple[str, str, str], str]:
    """The shortest unambiguous name: `name`, `file:name` within a stage, `stage/` before both."""
    files: dict[tuple[str, str], set[str]] = {}
    stages: dict[str, set[str]] = {}
    unique = {(stage, file, name) for stage, _, file, name in keys}
    for stage, file, name in unique:
        files.setdefault((stage, name), set()).add(file)
        stages.setdefault(name, set()).add(stage)
    labels = {}
    for stage, file, name in unique:
        label = name if len(files[stage, name]) == 1 else f"{file}:{name}"
        labels[stage, file, name] = label if len(stages[name]) == 1 else f"{stage}/{label}"
    return labels


_RANKS = {"missing": 3, "changed": 5, "better": 8, "new": 9, "no difference": 10, "same": 11}


def _worst_first(change: MetricChange) -> tuple[int, int, float, str, str]:
    """Gates, then verdicts; among what can't be told, whole metrics before those of a class."""
    if change.gate_state == "failed":
        rank = 0
    elif change.gate_state == "warned":
        rank = 1
    elif change.verdict == "worse":
        rank = 2
    elif change.verdict == "cannot tell":
        rank = {"worse": 4, "": 6, "better": 7}[change.moved]
    else:
        rank = _RANKS[change.verdict]
    depth = change.name.count(".") if change.verdict in ("cannot tell", "new") else 0
    size = abs(change.percent) if change.percent is not None else 0.0
    size = size if math.isfinite(size) else math.inf
    return rank, depth, -size, change.label, change.variant


def _chosen(runs: Iterable[RunView]) -> dict[str, RunView]:
    """By stage: the run whose outputs count: the selected one, else the first that succeeded."""
    chosen: dict[str, RunView] = {}
    for run in runs:
        if run.state != "succeeded":
            continue
        if run.stage not in chosen or (run.selected and not chosen[run.stage].selected):
            chosen[run.stage] = run
    return chosen


def _params(base: Iterable[RunView], head: Iterable[RunView]) -> tuple[ValueChange, ...]:
    before, after = _chosen(base), _chosen(head)
    found = []
    for stage in before.keys() & after.keys():
        left = _flat(before[stage].params)
        right = _flat(after[stage].params)
        names = [name for _, name in dict.fromkeys((*right, *left))]
        for file, name in dict.fromkeys((*right, *left)):
            old, new = left.get((file, name), _ABSENT), right.get((file, name), _ABSENT)
            if type(old) is type(new) and (old == new or (old != old and new != new)):
                continue
            label = name if names.count(name) == 1 else f"{file}:{name}"
            found.append(ValueChange(stage, file, name, label, _present(old), _present(new)))
    found.sort(key=lambda change: (change.label, change.stage))
    unique: dict[tuple[str, str, str, str], ValueChange] = {}
    for change in found:  # several stages read the same file: one line
        unique.setdefault((change.file, change.name, repr(change.base), repr(change.head)), change)
    return tuple(unique.values())


class _Absent:
    """A parameter that isn't there, unlike one that is null."""


_ABSENT = _Absent()


def _present(value: Scalar | _Absent) -> Scalar:
    if isinstance(value, _Absent):
        return None
    return "null" if value is None else value


def _flat(files: Mapping[str, Mapping[str, Scalar]]) -> dict[tuple[str, str], Scalar]:
    return {(file, name): value for file, values in files.items() for name, value in values.items()}


def _facts(base: Iterable[RunView], head: Iterable[RunView]) -> tuple[FactChange, ...]:
    before, after = _chosen(base), _chosen(head)
    found: dict[tuple[str, str, str], list[str]] = {}
    for stage in sorted(before.keys() & after.keys()):
        old, new = before[stage].facts, after[stage].facts
        named = before[stage].params.keys() | after[stage].params.keys()  # shown value by value
        for name in sorted((old.keys() | new.keys()) - named):
            if name.startswith(NOT_FACTS) or old.get(name) == new.get(name):
                continue
            found.setdefault((name, old.get(name, ""), new.get(name, "")), []).append(stage)
    return tuple(
        FactChange(tuple(stages), name, old, new) for (name, old, new), stages in found.items()
    )


def _costs(base: Sequence[RunView], head: Sequence[RunView]) -> tuple[CostChange, ...]:
    return (*_consumption(base, head), *_sizes(_chosen(base), _chosen(head)))


def _consumption(base: Iterable[RunView], head: Iterable[RunView]) -> Iterator[CostChange]:
    """Times as means over a combination's runs, memory as their largest peak."""
    before, after = _combinations(base), _combinations(head)
    for (stage, variant), runs in after.items():
        old = before.get((stage, variant), [])
        for name, of in (("wall time", _wall), ("CPU time", _cpu)):
            if (right := _mean(map(of, runs))) is not None:
                left = _mean(map(of, old))
                yield CostChange(stage, variant, name, "seconds", left, right)
        if (peak := _largest(runs)) is not None:
            sampled = any(run.peak_memory_sampled for run in runs)
            name = "peak memory (sampled)" if sampled else "peak memory"
            yield CostChange(stage, variant, name, "bytes", _largest(old), peak)


def _sizes(before: Mapping[str, RunView], after: Mapping[str, RunView]) -> Iterator[CostChange]:
    """Image and artifacts of each stage's chosen run; of many artifacts only their sum."""
    for stage, run in after.items():
        old = before.get(stage)
        if run.image_size is not None:
            size = old.image_size if old else None
            yield CostChange(stage, "", "image size", "bytes", size, run.image_size, True)
        known = {output.path: output.size for output in old.outputs} if old else {}
        if len(run.outputs) > MOST_SIZES:
            total, total_before = sum(o.size for o in run.outputs), sum(known.values()) or None
            yield CostChange(stage, "", "size of all outputs", "bytes", total_before, total, True)
            continue
        for output in run.outputs:
            name, size = f"size of {output.path}", known.get(output.path)
            yield CostChange(stage, "", name, "bytes", size, output.size, True)


def _combinations(runs: Iterable[RunView]) -> dict[tuple[str, str], list[RunView]]:
    found: dict[tuple[str, str], list[RunView]] = {}
    for run in runs:
        if run.state == "succeeded":
            found.setdefault((run.stage, run.variant), []).append(run)
    return found


def _wall(run: RunView) -> float | None:
    return run.wall_seconds


def _cpu(run: RunView) -> float | None:
    return run.cpu_seconds


def _mean(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return math.fsum(known) / len(known) if known else None


def _largest(runs: Iterable[RunView]) -> int | None:
    peaks = [run.peak_memory_bytes for run in runs if run.peak_memory_bytes is not None]
    return max(peaks, default=None)


def _artifacts(base: Iterable[RunView], head: Iterable[RunView]) -> tuple[ArtifactChange, ...]:
    before, after = _chosen(base), _chosen(head)
    found = []
    for stage, run in after.items():
        old = {o.path: o for o in before[stage].outputs} if stage in before else {}
        new = {o.path: o for o in run.outputs}
        for path in dict.fromkeys((*new, *old)):
            found.append(_artifact(stage, path, old.get(path), new.get(path)))
    return tuple(found)


def _artifact(stage: str, path: str, old: Artifact | None, new: Artifact | None) -> ArtifactChange:
    if new is None:
        assert old is not None  # noqa: S101  # the path came from one of them
        return ArtifactChange(stage, path, "missing", old.digest, old.size)
    if old is None:
        return ArtifactChange(stage, path, "new", head_digest=new.digest, head_size=new.size)
    return ArtifactChange(
        stage,
        path,
        "same" if old.digest == new.digest else "changed",
        old.digest,
        old.size,
        new.digest,
        new.size,
    )


def _inputs(run: RunView) -> dict[str, str]:
    """The data that the run read of the disk: name → digest.

    Not its parameters and what its image is built from, nor folders that it writes to.
    """
    written = [*(output.path for output in run.outputs), *run.metrics]
    folders = {path[:end] for path in written for end, letter in enumerate(path) if letter == "/"}
    return {
        name: digest
        for name, digest in run.facts.items()
        if name not in KEYS
        and name not in run.params
        and not name.startswith(NOT_INPUTS)
        and "dockerfile" not in name.rpartition("/")[2].lower()
        and digest.startswith("sha256:")
        and name not in folders
    }


def _lineage(run: RunView, commit: str) -> Lineage:
    return Lineage(
        stage=run.stage,
        run=run.label,
        fingerprint=run.fingerprint,
        commit=run.commit,
        image=run.image,
        image_digest=run.image_digest,
        upstream=dict(run.upstream),
        inputs=_inputs(run),
        from_store=bool(commit) and run.commit != commit,
        selection=run.selection,
    )
