"""From what Compose printed to a `Project`: typed, validated, every problem named at once.

Pure: it is given the resolved text and the sources. Facts measured on Compose 2.40: nested `x-`
keys survive only in the YAML output, `$$` comes back doubled, paths below `x-` are not rebased.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mcgitops.errors import Problem, ProjectError
from mcgitops.project.base import DURATION, Spec
from mcgitops.project.deployed import check_deployed
from mcgitops.project.environment import Hooks
from mcgitops.project.model import Mount, Project, Service, as_text, is_within, normalised
from mcgitops.project.nearest import nearest
from mcgitops.project.serving import ServingSpec, is_serving
from mcgitops.project.source import KEY, Sources
from mcgitops.project.spec import BestBy, ProjectSpec, StageSpec
from mcgitops.project.yamltext import ComposeLoader
from mcgitops.typed.mistakes import Mistake, ValidationError

_PATH_KEYS = ("params", "metrics", "plots", "outputs", "inputs", "croissant")
# a dollar after an even number of them: the others stand for one dollar each
_INTERPOLATED = re.compile(r"(?<!\$)(?:\$\$)*(\$(?:\{[^}]*\}|[A-Za-z_][A-Za-z0-9_]*))")
_Owners = dict[str, dict[str, str]]
SpecT = TypeVar("SpecT", bound=Spec)


def load(text: str, sources: Sources, folder: Path, files: tuple[Path, ...]) -> Project:
    """Make the project of `docker compose config`'s YAML.

    Raises `ProjectError` with all problems found.
    """
    document = unescape(yaml.load(text, Loader=ComposeLoader)) or {}  # noqa: S506  (a safe loader)
    problems: list[Problem] = []
    problems.extend(_misplaced(document, sources))
    spec = _spec(ProjectSpec, document.get(KEY), sources, (KEY,), "", problems)
    services = {
        name: _service(name, definition or {}, sources, folder, problems)
        for name, definition in (document.get("services") or {}).items()
    }
    resolved = {k: v for k, v in document.items() if k != KEY}
    project = Project(
        name=str(document.get("name") or folder.name),
        folder=folder,
        files=files,
        services=services,
        spec=spec or ProjectSpec(),
        resolved=resolved,
        warnings=(*_octal_warnings(sources), *_hook_warnings(sources)),
    )
    problems.extend(_cross_checks(project, sources))
    if problems:
        raise ProjectError(sorted(problems, key=lambda p: (p.file, p.line or 0)))
    return project


def unescape(value: Any) -> Any:
    """Undo Compose's doubling of `$` in all strings of a resolved document."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, Mapping):
        return {key: unescape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unescape(item) for item in value]
    return value


def _service(
    name: str,
    definition: Mapping[str, Any],
    sources: Sources,
    folder: Path,
    problems: list[Problem],
) -> Service:
    ours = definition.get(KEY)
    stage: StageSpec | None = None
    serving: ServingSpec | None = None
    keys = ("services", name, KEY)
    if is_serving(ours):
        serving = _spec(ServingSpec, ours, sources, keys, name, problems)
    elif KEY in definition:
        stage = _spec(StageSpec, ours, sources, keys, name, problems)
        if stage is not None and not stage.produced:
            file, line = sources.place(*keys)
            problems.append(
                Problem(
                    "names neither metrics nor outputs.",
                    "Add what the stage writes, or remove the key.",
                    file,
                    line,
                    name,
                    KEY,
                )
            )
        if stage is not None:
            stage = _rebased(stage, name, sources, folder)
    return Service(
        name=name,
        definition=_ordered({k: v for k, v in definition.items() if k != KEY}),
        stage=stage,
        depends_on={
            dependency: str((detail or {}).get("condition", "service_started"))
            for dependency, detail in (definition.get("depends_on") or {}).items()
        },
        mounts=tuple(
            Mount(
                str(volume.get("type", "")),
                str(volume.get("source", "")),
                str(volume.get("target", "")),
                bool(volume.get("read_only", False)),
            )
            for volume in definition.get("volumes") or ()
        ),
        serving=serving,
    )


def _ordered(definition: dict[str, Any]) -> dict[str, Any]:
    """The same each time: Compose prints `build.ssh` in any order, and commands and fingerprints
    are made of it.
    """
    build = definition.get("build")
    if isinstance(build, Mapping) and isinstance(build.get("ssh"), list):
        definition["build"] = {**build, "ssh": sorted(build["ssh"], key=str)}
    return definition


def _rebased(stage: StageSpec, service: str, sources: Sources, folder: Path) -> StageSpec:
    """Paths relative to the project folder, whichever file declared them."""

    def based(key: str, path: str) -> str:
        home = sources.folder_of(service, key, path, folder)
        return normalised(os.path.relpath(home / path, folder))

    update: dict[str, Any] = {}
    for key in _PATH_KEYS:
        paths: tuple[str, ...] | None = getattr(stage, key)
        if paths is not None:  # merged files repeat list items
            update[key] = tuple(dict.fromkeys(based(key, path) for path in paths))
    update["predictions"] = {
        based("predictions", path): columns for path, columns in stage.predictions.items()
    }
    update["readers"] = {based("readers", path): name for path, name in stage.readers.items()}
    return stage.model_copy(update=update)


def _spec(
    model: type[SpecT],
    value: Any,
    sources: Sources,
    keys: tuple[str, ...],
    service: str,
    problems: list[Problem],
) -> SpecT | None:
    try:
        return model.model_validate(value if value is not None else {})
    except ValidationError as error:
        problems.extend(_problem(model, one, sources, keys, service) for one in error.mistakes)
        return None


def _problem(
    model: type[Spec], one: Mistake, sources: Sources, keys: tuple[str, ...], service: str
) -> Problem:
    # a union's location holds the names of its branches; the file doesn't
    location = tuple(
        part
        for part in one.place
        if not (isinstance(part, str) and (part.startswith("dict[") or part == "BestBy"))
    )
    file, line = sources.place(*keys, *location)
    dotted = ".".join((KEY, *(str(part) for part in location if isinstance(part, str))))
    kind = one.kind
    shown = _short(one.value)
    if kind == "extra_forbidden":
        near = nearest(str(location[-1]), known_keys(model, location[:-1]))
        hint = f"Did you mean {near}?" if near else "Remove it: mcgitops schema lists the keys."
        return Problem("no such key.", hint, file, line, service, dotted)
    if kind == "missing":
        missing = str(location[-1])
        return Problem("is missing.", _missing_hint(missing), file, line, service, dotted)
    if kind == "value_error":
        head, dot, tail = str(one.about["error"]).partition(". ")
        return Problem(head + dot.strip(), tail, file, line, service, dotted)
    if kind == "too_short" and location and location[-1] == "hosts":
        return Problem("names no host.", _missing_hint("hosts"), file, line, service, dotted)
    if kind in ("tuple_type", "dict_type", "model_type", "model_attributes_type"):
        wanted = "a list" if kind == "tuple_type" else "a mapping of keys"
        hint = f"Write {wanted}, such as [{shown}]." if wanted == "a list" else f"Write {wanted}."
        return Problem(f"{shown} is not {wanted}.", hint, file, line, service, dotted)
    if kind == "string_pattern_mismatch":
        if one.about["pattern"] == DURATION:
            what, hint = "a duration", "Write 90s, 15m or 1h30m."
        elif location[-1] == "path":
            what, hint = "a path of a URL", "Write it with a / at the beginning."
        else:
            what, hint = "a variable's name", "Name a variable: the value itself is a secret."
            shown = "what it holds"
        return Problem(f"{shown} is not {what}.", hint, file, line, service, dotted)
    if kind == "literal_error":
        hint = f"Write {one.about['expected']}."
        return Problem(f"{shown} is not known.", hint, file, line, service, dotted)
    if kind in ("float_parsing", "float_type"):
        return Problem(
            f"{shown} is not a number.", "Write it as 0.005.", file, line, service, dotted
        )
    if kind == "string_type":
        text = as_text(one.value) if isinstance(one.value, int | float) else "…"
        hint = f"Write {text}s, or {text}m." if location[-1] == "timeout" else f'Write "{text}".'
        return Problem(f"{shown} is not text.", hint, file, line, service, dotted)
    if kind == "greater_than_equal":
        least = one.about["ge"]
        hint = f"Write a number from {least:g} on."
        return Problem(f"{shown} is less than {least:g}.", hint, file, line, service, dotted)
    return Problem(f"{shown}: {one.text}.", "", file, line, service, dotted)


def _missing_hint(key: str) -> str:
    return {"hosts": "Add hosts: [ssh://user@host]."}.get(key, f"Add {key}.")


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def known_keys(model: type[Spec], location: tuple[str | int, ...]) -> list[str]:
    """The keys that the model knows at a place within it."""
    current: Any = model.model_json_schema()
    definitions = current.get("$defs", {})

    def deref(schema: Any) -> Any:
        while isinstance(schema, dict) and "$ref" in schema:
            schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    current = deref(current)
    for part in location:
        if isinstance(part, int):
            continue
        options = [current, *current.get("anyOf", [])]
        step = None
        for option in map(deref, options):
            step = (option.get("properties") or {}).get(part) or (
                option.get("additionalProperties")
                if isinstance(option.get("additionalProperties"), dict)
                else None
            )
            if step:
                break
        if not step:
            return []
        current = deref(step)
        for option in current.get("anyOf", []):
            if "properties" in deref(option):
                current = deref(option)
    return sorted(current.get("properties", {}))


def _misplaced(document: Mapping[str, Any], sources: Sources) -> list[Problem]:
    """Our key where it has no effect: misspelt, or in an included file (Compose drops it there)."""
    problems: list[Problem] = []

    def is_like_ours(key: str) -> bool:
        from difflib import SequenceMatcher

        return SequenceMatcher(None, key.lower(), KEY).ratio() > 0.8

    def near_miss(mapping: Mapping[str, Any], keys: tuple[str, ...], service: str) -> None:
        for key in mapping:
            if key == KEY or not str(key).startswith("x-"):
                continue
            if is_like_ours(str(key)):
                file, line = sources.place(*keys, str(key))
                problems.append(
                    Problem("no such key.", f"Did you mean {KEY}?", file, line, service, str(key))
                )

    near_miss(document, (), "")
    for name, service in (document.get("services") or {}).items():
        near_miss(service or {}, ("services", name), name)
    for source in sources.files:
        if source.role == "include" and source.has(KEY):
            problems.append(
                Problem(
                    "has no effect in an included file.",
                    f"Move it to {sources.files[0].shown}.",
                    source.shown,
                    source.line(KEY),
                    "",
                    KEY,
                )
            )
    return problems


def _octal_warnings(sources: Sources) -> list[str]:
    return [
        f"{source.shown}:{line}: {text} is read as octal ({int(text, 8)}). "
        f'Write "{text}" if it is text.'
        for source in sources.files
        for line, text in source.octals()
    ]


def _hook_warnings(sources: Sources) -> Iterator[str]:
    """Variables in a hook's arguments: Compose puts the value there, for every plan to show."""
    for source in sources.files:
        environments = source.data(KEY, "environments")
        for name in environments if isinstance(environments, Mapping) else ():
            for phase in Hooks.model_keys():
                keys = (KEY, "environments", name, "hooks", phase)
                for index, hook in enumerate(source.data(*keys) or ()):
                    run = hook.get("run") if isinstance(hook, Mapping) else None
                    words = run if isinstance(run, list) else [run]
                    found = [_INTERPOLATED.search(str(word)) for word in words]
                    for variable in dict.fromkeys(match[1] for match in found if match):
                        yield (
                            f"{source.shown}:{source.line(*keys, index, 'run')}: {variable} is "
                            "replaced by its value, which plans and logs then show. Write "
                            f"${variable} if it is a secret: the hook's own environment has it."
                        )


def _cross_checks(project: Project, sources: Sources) -> list[Problem]:
    """What needs more than one key to be seen."""
    problems: list[Problem] = []
    owners: _Owners = {}
    for service in project.services.values():
        if service.stage is None:
            continue
        for key in ("metrics", "plots", "outputs", "predictions"):
            for path in getattr(service.stage, key):
                where = (*sources.place("services", service.name, KEY, key), service.name, key)
                if path.startswith("../") or path == "..":
                    problems.append(
                        Problem(
                            f"{path} is outside the project folder.",
                            "Write a path inside it.",
                            *where,
                        )
                    )
                elif path == "." or is_within(path, ".mcgitops"):
                    problems.append(
                        Problem(
                            f"{path} can't be declared.",
                            "Name a file or folder of the stage's own, such as out/model.joblib.",
                            *where,
                        )
                    )
                elif not _writable(project, service, path):
                    message, hint = _unwritable(project, service, path)
                    problems.append(Problem(message, hint, *where))
                problems.extend(_declared_twice(owners, path, service.name, where))
        problems.extend(_check_inputs(project, service, sources))
        problems.extend(_check_select(project, service, sources))
    problems.extend(_check_budgets(project, sources))
    problems.extend(check_deployed(project, sources))
    return problems


def _unwritable(project: Project, service: Service, path: str) -> tuple[str, str]:
    """What is wrong with a declared path that the service can't write, and how to mend it."""
    for mount in service.mounts:
        source = project.relative(mount.source) if mount.kind == "bind" else None
        if source is not None and is_within(path, source):
            message = f"{path} is in ./{source}, which the service mounts read-only."
            return message, "Take :ro off that volume, or correct the path."
    top = path.split("/")[0]
    example = f"./{top}:/app/{top}" if "/" in path else "./out:/app/out"
    message = f"{path} is in no folder that the service can write."
    return message, f"Add a volume such as {example}, or correct the path."


def _declared_twice(
    owners: _Owners, path: str, service: str, where: tuple[str, int | None, str, str]
) -> list[Problem]:
    """Two stages that write the same file, or one into the other's folder.

    owners: every path so far, and every folder above one → what was declared there, by stage.
    """
    parts = path.split("/")
    above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
    for other in (path, *above):
        for owner, declared in owners.get(other, {}).items():
            # the very path, a folder that holds it, or something inside it
            if owner != service and (declared == other or is_within(declared, path)):
                message = f"{path} is declared by {owner} too"
                message += "." if path == declared else f", as {declared}."
                return [Problem(message, "Let each stage write its own files.", *where)]
    for folder in above:
        owners.setdefault(folder, {}).setdefault(service, path)
    owners.setdefault(path, {})[service] = path
    return []


def _check_inputs(project: Project, service: Service, sources: Sources) -> list[Problem]:
    """Inputs that no bind mount holds: nothing would be there."""
    mounted = [project.relative(mount.source) for mount in service.mounts if mount.kind == "bind"]
    problems = []
    for path in service.spec.inputs or ():
        if not any(m is not None and (is_within(path, m) or is_within(m, path)) for m in mounted):
            file, line = sources.place("services", service.name, KEY, "inputs")
            message = f"{path} is in no folder that the service mounts."
            hint = "Add a volume, or correct the path."
            problems.append(Problem(message, hint, file, line, service.name, "inputs"))
    return problems


def _check_budgets(project: Project, sources: Sources) -> list[Problem]:
    stages = [stage.name for stage in project.stages]
    problems = []
    for name in project.spec.budgets:
        if name not in stages:
            file, line = sources.place(KEY, "budgets", name)
            near = nearest(name, stages)
            hint = f"Did you mean {near}?" if near else f"Stages: {', '.join(stages)}."
            message = f"{name} is no stage."
            problems.append(Problem(message, hint, file, line, "", f"budgets.{name}"))
    return problems


def _check_select(project: Project, service: Service, sources: Sources) -> list[Problem]:
    spec = service.spec
    file, line = sources.place("services", service.name, KEY, "select")
    if spec.select is None:
        return []
    if isinstance(spec.select, BestBy):
        metric = spec.select.best
        known = project.spec.metrics.get(metric)
        if known is not None and known.goal in ("maximize", "minimize"):
            return []
        return [
            Problem(
                f"the best {metric} is unknown: it has no direction.",
                f"Add {KEY}.metrics.{metric}.goal: maximize or minimize.",
                file,
                line,
                service.name,
                "select",
            )
        ]
    axes = {**spec.matrix, **spec.replicates}
    for name, value in spec.select.items():
        if name not in axes:
            near = nearest(name, axes)
            hint = f"Did you mean {near}?" if near else "Name a variable of matrix or replicates."
            return [Problem(f"{name} is not varied.", hint, file, line, service.name, "select")]
        values = [as_text(option) for option in axes[name]]
        if as_text(value) not in values:
            hint = f"Write one of {', '.join(values)}."
            return [Problem(f"{name} is never {value}.", hint, file, line, service.name, "select")]
    return []


def _writable(project: Project, service: Service, path: str) -> bool:
    return writable_mount(project, service, path) is not None


def writable_mount(project: Project, service: Service, path: str) -> Mount | None:
    """The writable bind mount that holds a path of the project folder; the deepest one wins."""
    best: tuple[int, Mount] | None = None
    for mount in service.mounts:
        if mount.kind != "bind":
            continue
        source = project.relative(mount.source)
        if source is not None and is_within(path, source):
            depth = 0 if source == "." else len(source.split("/"))
            if best is None or depth > best[0]:
                best = (depth, mount)
    return None if best is None or best[1].read_only else best[1]
