"""The planner: project and facts in, a plan out. Pure; asking it twice gives the same answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcgitops.commands.build import UnsupportedBuildKey, buildx_build
from mcgitops.commands.command import Command
from mcgitops.commands.compose import build_services, run_detached
from mcgitops.commands.ours import verb
from mcgitops.errors import UsageError
from mcgitops.plan.fingerprint import content_digest, fingerprint, image_tag, run_facts
from mcgitops.plan.model import (
    Facts,
    Known,
    Plan,
    Questions,
    Read,
    RunPlan,
    Section,
    StagePlan,
)
from mcgitops.plan.override import compose_files, container_name, project_name
from mcgitops.plan.reads import reads
from mcgitops.plan.reasons import nearest, why
from mcgitops.project.model import Combination, Project, Service

CONTEXT_FOLDER = ".mcgitops/run/contexts"


def plan(
    project: Project,
    facts: Facts,
    *,
    stages: Sequence[str] = (),
    only: bool = False,
    force: bool = False,
) -> Plan | Questions:
    """Decide what to do for `stages` and all that they depend on (default: every stage).

    only:  plan nothing but the named stages; those before them must have runs.
    force: run the named stages even if the store has their runs, not those before them.
    """
    wanted = _wanted(project, stages, only=only)
    forced = frozenset(stages or wanted) if force else frozenset()
    planned: dict[str, StagePlan] = {}
    content: dict[str, Known] = {}  # stage → the selected run, where known
    questions: list[tuple[str, str]] = []
    for stage in project.stages:
        if stage.name not in _closure(project, wanted):
            continue
        before = [planned[s.name] for s in project.upstream(stage) if s.name in planned]
        missing = tuple(s.name for s in project.upstream(stage) if s.name not in content)
        if missing or any(p.state == "pending" for p in before):
            after = missing or tuple(p.name for p in before)
            planned[stage.name] = _pending(stage.name, after, force=stage.name in forced)
            continue
        upstream = {s.name: content[s.name] for s in project.upstream(stage)}
        runs = _runs(project, stage, upstream, facts, force=stage.name in forced)
        unknown = [r.fingerprint for r in runs if r.fingerprint not in facts.asked]
        if unknown:
            questions += [(stage.name, fingerprint_) for fingerprint_ in unknown]
            planned[stage.name] = _pending(stage.name, ())
            continue
        planned[stage.name] = _stage_plan(project, stage, runs, facts)
        chosen = _selected(project, stage, runs, facts)
        if planned[stage.name].state == "cached" and chosen is not None:
            content[stage.name] = facts.runs[chosen.fingerprint]
    if questions:
        return Questions(tuple(questions))
    shown = tuple(p for name, p in planned.items() if name in wanted or not only)
    return Plan(
        project=project.name,
        head=facts.head,
        base=facts.base,
        stages=shown,
        sections=_sections(project, shown, facts) if not only else (),
        facts=_plan_facts(project, facts, planned),
        warnings=(*project.warnings, *facts.warnings),
    )


def _closure(project: Project, wanted: frozenset[str]) -> frozenset[str]:
    names = set(wanted)
    for stage in reversed(project.stages):
        if stage.name in names:
            names |= {s.name for s in project.upstream(stage)}
    return frozenset(names)


def _wanted(project: Project, stages: Sequence[str], *, only: bool) -> frozenset[str]:
    names = frozenset(stages or (s.name for s in project.stages))
    return names if only else _closure(project, names)


def _pending(name: str, after: tuple[str, ...], *, force: bool = False) -> StagePlan:
    reason = f"decides when {' and '.join(after)} {'is' if len(after) == 1 else 'are'} done"
    options = ("--force",) if force else ()
    command = verb("step", "run", name, *options, reason=reason)
    return StagePlan(name, "pending", reason, after=after, pending=(command,))


def _runs(
    project: Project,
    stage: Service,
    upstream: Mapping[str, Known],
    facts: Facts,
    *,
    force: bool,
) -> list[RunPlan]:
    contents = {name: known.content for name, known in upstream.items()}
    trees = {read.name: facts.trees[read] for read in reads(project, stage)}
    image = image_tag(project, stage, facts)
    planned = [combination.variables for combination in stage.combinations()]
    result = []
    for combination in stage.combinations():
        run_facts_ = run_facts(project, stage, combination, contents, facts)
        fingerprint_ = fingerprint(run_facts_)
        known = facts.runs.get(fingerprint_)
        before = nearest(facts.previous.get(stage.name, ()), combination)
        cached = known is not None and not force
        if cached:
            reason = f"cached: run {fingerprint_[:12]}"
        elif known is not None:
            reason = "forced"
        else:
            goes_on = before is not None and dict(before.variables) in planned
            reason = why(run_facts_, before, facts, stage.name, trees, beside=goes_on)
        run = RunPlan(
            stage=stage.name,
            combination=combination,
            fingerprint=fingerprint_,
            facts=run_facts_,
            image=image,
            cached=cached,
            reason=reason,
            upstream={name: run.fingerprint for name, run in upstream.items()},
            expected_seconds=before.wall_seconds if before else None,
        )
        result.append(_with_commands(project, stage, run) if not cached else run)
    return result


def _with_commands(project: Project, stage: Service, run: RunPlan) -> RunPlan:
    name, files = project_name(project, run), compose_files(project, run)
    commands: list[Command] = [
        verb("step", "prepare", run.stage, run.id, reason="its volumes, with what it reads")
    ]
    companions = project.companions(stage)
    if built := tuple(service.name for service in companions if service.build is not None):
        commands.append(build_services(name, files, built, reason=f"{run.stage} depends on them"))
    commands += [
        run_detached(
            name,
            files,
            run.stage,
            container_name(project, run),
            with_dependencies=bool(companions),
            reason=run.reason,
        ),
        verb("step", "collect", run.stage, run.id, reason="follow it, take what it made, publish"),
    ]
    return replace(run, commands=tuple(commands))


def build_commands(
    project: Project, stage: Service, run: RunPlan, facts: Facts
) -> tuple[Command, ...]:
    """How the stage's image comes to be; nothing where it has no build section."""
    if stage.build is None or run.image in facts.built:
        return ()
    build = dict(stage.build)
    context = str(build.get("context") or ".")
    build["context"] = _shown(project, context)
    contexts: dict[str, str] = {}
    commands: list[Command] = []
    produced = project.produced()
    for name, value in (build.get("additional_contexts") or {}).items():
        relative = project.relative(str(value)) if str(value).startswith("/") else None
        if relative is None:
            continue
        if any(p == relative or p.startswith(relative + "/") for p in produced):
            # outputs come from the store, not from whatever lies in the folder
            contexts[name] = f"{CONTEXT_FOLDER}/{run.id}/{name}"
            commands.append(
                verb("step", "context", run.stage, run.id, name, reason=f"{relative} of upstream")
            )
        else:
            contexts[name] = _shown(project, str(value))
    inline = ""
    if build.get("dockerfile_inline"):
        inline = f"{CONTEXT_FOLDER}/{run.id}.Dockerfile"
        commands.append(verb("step", "dockerfile", run.stage, run.id, reason="dockerfile_inline"))
    try:
        command = buildx_build(
            build,
            tags=(run.image,),
            secrets=project.resolved.get("secrets") or {},
            contexts=contexts,
            inline_dockerfile=inline,
            reason=f"the image of {run.stage}",
        )
    except UnsupportedBuildKey as error:
        raise UsageError(
            f"service {stage.name}: build.{error} can't be passed to docker buildx build.",
            "Remove it, or build the image elsewhere and name it with image.",
        ) from None
    commands.append(command)
    return tuple(commands)


def _shown(project: Project, path: str) -> str:
    if "://" in path or not path.startswith("/"):
        return path
    return project.relative(path) or path


def _stage_plan(project: Project, stage: Service, runs: list[RunPlan], facts: Facts) -> StagePlan:
    todo = [run for run in runs if not run.cached]
    selected = _selected(project, stage, runs, facts)
    name = selected.fingerprint if selected is not None else ""
    if not todo:
        ids = ", ".join(run.id for run in runs[:3]) + ("…" if len(runs) > 3 else "")
        return StagePlan(stage.name, "cached", f"cached: run {ids}", tuple(runs), selected=name)
    reasons = list(dict.fromkeys(run.reason for run in todo))
    build = build_commands(project, stage, todo[0], facts)
    fetch: tuple[Command, ...] = ()
    if needs := facts.needs.get(stage.name):
        fetch = (verb("data", "pull", "--for", stage.name, reason=needs),)
    return StagePlan(stage.name, "run", reasons[0], tuple(runs), fetch, build, selected=name)


def _selected(
    project: Project, stage: Service, runs: list[RunPlan], facts: Facts
) -> RunPlan | None:
    """The run that goes on. None while a metric decides and a run has yet to be made."""
    choice = stage.selected()
    if isinstance(choice, Combination):
        return next(run for run in runs if run.combination == choice)
    known = [(run, facts.runs.get(run.fingerprint)) for run in runs]
    if any(k is None for _, k in known):
        return None
    return best_by(project, choice, [(run, k) for run, k in known if k is not None])


def best_by(
    project: Project, metric: str, known: Sequence[tuple[RunPlan, Known]]
) -> RunPlan | None:
    """The run with the best value of `metric`, in the direction that the file gives it.

    Runs without a comparable value come last; of equal ones the first wins.
    """
    spec = project.spec.metrics.get(metric)
    sign = -1.0 if spec is not None and spec.goal == "minimize" else 1.0

    def rank(pair: tuple[int, tuple[RunPlan, Known]]) -> tuple[bool, float, int]:
        index, (_, run) = pair
        value = run.metrics.get(metric)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return (False, 0.0, -index)
        return (True, sign * value, -index)

    if not known:
        return None
    return max(enumerate(known), key=rank)[1][0]


def _sections(project: Project, stages: tuple[StagePlan, ...], facts: Facts) -> tuple[Section, ...]:
    commands: list[Command] = []
    if finish := needs_finish(stages, facts):
        commands.append(verb("step", "finish", *(s.name for s in stages), reason="; ".join(finish)))
    changed = any(stage.state != "cached" for stage in stages)
    if facts.remote and (changed or facts.unpushed):
        commands.append(verb("push", reason=f"to {facts.remote}"))
    return (Section("publish", commands=tuple(commands)),) if commands else ()


def needs_finish(stages: tuple[StagePlan, ...], facts: Facts) -> list[str]:
    """Why outputs or the commit's record must be written; empty where all is in place."""
    if any(stage.state != "cached" for stage in stages):
        return ["outputs into the folder, runs under the commit"]
    reasons = []
    stale = [
        path
        for stage in stages
        if stage.selected in facts.runs
        for path, digest in facts.runs[stage.selected].files.items()
        if facts.folder.get(path) != digest
    ]
    if stale:
        more = f" and {len(stale) - 1} more" if len(stale) > 1 else ""
        reasons.append(f"{stale[0]}{more} from the store")
    unrecorded = [stage.name for stage in stages if stage.name not in facts.recorded]
    if unrecorded and facts.head.commit and not facts.head.dirty:
        reasons.append(f"runs under {facts.head.commit[:7]}")
    return reasons


def _plan_facts(project: Project, facts: Facts, planned: Mapping[str, StagePlan]) -> dict[str, str]:
    """The facts that a saved plan stands on, by names that people know.

    A pending stage has no runs yet, but its definition is one of them all the same.
    """
    result = {read.name: tree.digest for read, tree in facts.trees.items()}
    for name, stage in planned.items():
        service = project.services[name]
        for combination in service.combinations():
            known = run_facts(project, service, combination, {}, facts)
            definition = {k: v for k, v in known.items() if k not in result}
            label = f"{name} {combination}".strip()
            result[f"definition of {label}"] = fingerprint(definition)
        for run in stage.runs:
            state = "is in the store" if run.cached else "is not in the store"
            result[f"run {run.id} of {run.label}"] = state
    result["commit"] = facts.head.commit or "none"
    result["store"] = facts.remote or "local"
    result["outputs in the folder"] = content_digest(facts.folder)
    return result


def changed_facts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs, in words; only causes where there are some, not what follows from them."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]

    def rank(name: str) -> int:
        if name == "outputs in the folder":
            return 3
        return 2 if name.startswith("run ") else 1 if name.startswith("definition of ") else 0

    first = min(map(rank, names), default=0)
    return [
        _changed(name, before.get(name), now.get(name)) for name in names if rank(name) == first
    ]


def _changed(name: str, before: str | None, now: str | None) -> str:
    if before is None or now is None or before.startswith("sha256:") or len(before + now) > 120:
        return name
    if name.startswith("run "):
        return f"{name} (it {now} now)"
    if name.startswith("definition of ") or name == "outputs in the folder":
        return name
    return f"{name} ({before} → {now})"


def all_reads(project: Project, stages: Sequence[str] = ()) -> tuple[Read, ...]:
    """Everything to be looked at before planning these stages and those before them."""
    names = _closure(project, frozenset(stages or (s.name for s in project.stages)))
    found: dict[Read, None] = {}
    for stage in project.stages:
        if stage.name in names:
            found.update(dict.fromkeys(reads(project, stage)))
    return tuple(found)
