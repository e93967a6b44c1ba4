"""Which services are stages, and which keys they get: a pure decision with a reason for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from mcgitops.adopt import names
from mcgitops.adopt.look import Seen, SeenFile, serves, writable
from mcgitops.adopt.model import Proposal, Stage
from mcgitops.adopt.notes import at, inside, nothing_to_declare
from mcgitops.adopt.notes import notes as find_notes
from mcgitops.project.model import Service
from mcgitops.project.spec import MetricSpec, StageSpec


def propose(seen: Seen) -> Proposal:
    """Decide on every service that is no stage yet."""
    project = seen.project
    already = tuple(stage.name for stage in project.stages)
    candidates = {
        service.name: why
        for service in project.services.values()
        if service.stage is None and (why := looks_like_a_stage(service, seen))
    }
    order = sorted(candidates, key=lambda name: _turn(name, seen))
    taken = set(project.produced())
    stages: list[Stage] = []
    notes: list[str] = []
    for name in order:
        stage = _stage(name, candidates[name], seen, taken, order)
        if stage is None:
            notes.append(nothing_to_declare(name, candidates[name], seen))
            continue
        waits = _waits_for(stage, stages, seen)
        taken.update(stage.spec.produced)
        stages.append(replace(stage, waits_for=waits))
    notes.extend(find_notes(stages, seen))
    chosen = {stage.service for stage in stages}
    return Proposal(
        stages=tuple(stages),
        metrics=_goals(stages, seen),
        already=already,
        ordinary=tuple(
            name
            for name, service in project.services.items()
            if name not in chosen
            and service.stage is None
            and not service.definition.get("profiles")  # those are started by hand
        ),
        notes=tuple(notes),
    )


def looks_like_a_stage(service: Service, seen: Seen) -> str:
    """Why a service is taken for a stage; "" where it isn't.

    What serves is never one: it publishes ports, has a health check, or is restarted when it ends.
    """
    if serves(service):
        return ""
    awaited = [
        other.name
        for other in seen.project.services.values()
        if other.depends_on.get(service.name) == "service_completed_successfully"
    ]
    if names.words(service.name) & names.STAGE_WORDS:
        reason = "its name"
    elif used := sorted(_command_words(service) & names.STAGE_WORDS):
        reason = f"its command ({used[0]})"
    elif awaited and writable(seen.project, service):
        return f"{awaited[0]} waits until it has completed, and it writes in the project folder"
    elif any(said.stage == service.name for said in seen.dvc.values()):
        reason = "dvc.yaml has a stage of its name"
    elif made := _named_products(service.name, seen):
        reason = f"it names {made[0]} in {made[1]}"
    else:
        return ""
    also = [f"{awaited[0]} waits until it has completed"] if awaited else []
    also += [f"profile {profile}" for profile in service.definition.get("profiles") or ()]
    return ", ".join((reason, *also[:1], "it serves nothing"))


def _named_products(service: str, seen: Seen) -> tuple[str, str] | None:
    """A metrics file that the service itself names: who computes metrics is worth comparing."""
    for item in seen.named.get(service, ()):
        if names.kind(item.path) == "metrics":
            return item.path, item.where
    return None


def _command_words(service: Service) -> frozenset[str]:
    """The words of the program that a service starts, not of its options."""
    tokens = [
        str(token)
        for key in ("entrypoint", "command")
        for token in service.definition.get(key) or ()
    ]
    programs = [token for token in tokens if not token.startswith("-")][:3]
    return frozenset().union(*(names.words(PurePosixPath(t).name) for t in programs))


def _turn(name: str, seen: Seen) -> tuple[int, int, str]:
    """Upstream first; where the file says nothing, what the names say."""
    words = _command_words(seen.project.services[name])
    return _depth(name, seen), names.turn(name, words), name


def _depth(name: str, seen: Seen, trail: tuple[str, ...] = ()) -> int:
    """How many services lie upstream; Compose refuses cycles, and the trail ends one anyway."""
    if name in trail or name not in seen.project.services:
        return 0
    upstream = seen.project.services[name].depends_on
    return max((1 + _depth(other, seen, (*trail, name)) for other in upstream), default=0)


def _stage(name: str, why: str, seen: Seen, taken: set[str], order: list[str]) -> Stage | None:
    project = seen.project
    service = project.services[name]
    found: dict[names.Kind, list[str]] = {"metrics": [], "plots": [], "outputs": []}
    reasons: dict[str, str] = {}
    for path, reason in _written(name, seen, taken, order):
        said = seen.dvc.get(path)
        kind = said.kind if said and said.kind != "params" else names.kind(path)
        file = seen.files.get(path)
        if kind is None or path in reasons:
            continue
        if kind == "metrics" and file is not None and path.endswith(".json") and not file.numbers:
            continue  # it holds no number to compare
        found[kind].append(path)
        reasons[path] = reason
    if not any(found.values()):
        return None
    params = tuple(path for path in seen.params if _reads(service, path, seen))
    seed = next((key for key in service.environment if key.upper().endswith("SEED")), "")
    spec = StageSpec(
        params=params,
        metrics=tuple(found["metrics"]),
        plots=tuple(found["plots"]),
        outputs=tuple(found["outputs"]),
    )
    return Stage(name, spec, why, reasons, seed)


def _written(name: str, seen: Seen, taken: set[str], order: list[str]) -> Iterator[tuple[str, str]]:
    """Files that this stage probably writes, the best evidence first.

    A file that several stages name belongs to the first of them: the later ones read it.
    """
    folders = list(writable(seen.project, seen.project.services[name]))
    others = [other for other in order if other != name]
    for path, said in seen.dvc.items():
        if said.kind == "params" or path in taken or not inside(path, folders):
            continue
        rivals = [o for o in others if inside(path, list(writable(seen.project, at(seen, o))))]
        if said.stage == name or (said.stage not in rivals and _closest(path, name, rivals, order)):
            yield path, f"{said.kind} in dvc.yaml"
    named = {item.path: item.where for item in seen.named.get(name, ())}
    for path, where in named.items():
        if path in taken or inside(path, seen.dvc) or not inside(path, folders):
            continue
        if path in seen.files:
            yield path, f"{_what(seen.files[path])}, named in {where}"
        else:
            yield path, f"named in {where}, not there yet"
    for path, file in seen.files.items():
        if path in taken or path in named or inside(path, seen.dvc) or not inside(path, folders):
            continue
        if any(item.path == path for other in others for item in seen.named.get(other, ())):
            continue
        rivals = [o for o in others if inside(path, list(writable(seen.project, at(seen, o))))]
        if _closest(path, name, rivals, order):
            yield path, _what(file)


def _closest(path: str, name: str, rivals: list[str], order: list[str]) -> bool:
    """Whether, of the stages that can write a file which none of them names, this is the one."""
    stem = {word[:4] for word in names.words(PurePosixPath(path).stem)}
    related = [o for o in (name, *rivals) if {w[:4] for w in names.words(o)} & stem]
    pool = related or [name, *rivals]
    return min(pool, key=order.index) == name


def _reads(service: Service, params: str, seen: Seen) -> bool:
    """Whether a parameter file of the folder reaches the service: mounted, or built into it."""
    home = seen.project.folder
    mounted = any(
        mount.kind == "bind" and (home / params).is_relative_to(mount.source)
        for mount in service.mounts
    )
    context = (service.build or {}).get("context")
    return mounted or (context is not None and (home / params).is_relative_to(str(context)))


def _what(file: SeenFile) -> str:
    if file.numbers:
        shown = ", ".join(file.numbers[:4]) + (", …" if len(file.numbers) > 4 else "")
        return f"holds {shown}"
    return size(file.size)


def size(count: int) -> str:
    """A size as people read it."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _goals(stages: list[Stage], seen: Seen) -> dict[str, MetricSpec]:
    """The directions of metrics whose names leave no doubt; the top level only, at most six."""
    found: dict[str, MetricSpec] = {}
    for stage in stages:
        for path in stage.spec.metrics:
            for metric in seen.files[path].numbers if path in seen.files else ():
                goal = names.goal(metric)
                if goal and "." not in metric and len(found) < 6:
                    found.setdefault(metric, MetricSpec(goal=goal))
    return {name: spec for name, spec in found.items() if name not in seen.project.spec.metrics}


def _waits_for(stage: Stage, earlier: list[Stage], seen: Seen) -> tuple[str, ...]:
    """The stages whose outputs this one names without depending on them."""
    service = at(seen, stage.service)
    named = {item.path for item in seen.named.get(stage.service, ())}
    return tuple(
        other.service
        for other in earlier
        if named & set(other.spec.produced) and other.service not in service.depends_on
    )
