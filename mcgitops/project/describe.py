"""The keys of `x-mcgitops` in words, from the models: for `mcgitops docs` and docs/reference."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.project.base import DURATION, Spec
from mcgitops.project.environment import Environment, Hook, Hooks, Notify, Trigger
from mcgitops.project.judging import PredictionsSpec, SizeBudget, StageBudget, TimeBudget
from mcgitops.project.report import ReportSpec
from mcgitops.project.serving import Inference, Proxy, ServingSpec, Smoke
from mcgitops.project.spec import BestBy, Gate, MetricSpec, ProjectSpec, StageSpec

PLACES: tuple[tuple[str, type[Spec]], ...] = (
    ("services.NAME.x-mcgitops", StageSpec),
    ("services.NAME.x-mcgitops.select", BestBy),
    ("services.NAME.x-mcgitops.predictions.PATH", PredictionsSpec),
    ("services.NAME.x-mcgitops", ServingSpec),
    ("services.NAME.x-mcgitops.proxy", Proxy),
    ("services.NAME.x-mcgitops.inference", Inference),
    ("services.NAME.x-mcgitops.smoke", Smoke),
    ("x-mcgitops", ProjectSpec),
    ("x-mcgitops.metrics.NAME", MetricSpec),
    ("x-mcgitops.metrics.NAME.gate", Gate),
    ("x-mcgitops.budgets.STAGE", StageBudget),
    ("x-mcgitops.budgets.STAGE.wall_time", TimeBudget),
    ("x-mcgitops.budgets.STAGE.peak_memory", SizeBudget),
    ("x-mcgitops.environments.NAME", Environment),
    ("x-mcgitops.environments.NAME.trigger", Trigger),
    ("x-mcgitops.environments.NAME.hooks", Hooks),
    ("x-mcgitops.environments.NAME.hooks.NAME", Hook),
    ("x-mcgitops.environments.NAME.notify", Notify),
    ("x-mcgitops.report", ReportSpec),
)
"""Every mapping of ours and where it stands, outer ones first."""

# what a list of texts, or a text, is in particular
_SPECIAL = {
    "hosts": "list of URLs", "services": "list of names", "params": "list of paths",
    "plots": "list of paths", "outputs": "list of paths", "inputs": "list of paths",
    "croissant": "list of paths",
}  # fmt: skip
_NAMES = {"string": "text", "number": "number", "integer": "number", "boolean": "true or false"}
_SCALARS = frozenset(_NAMES.values())


@dataclass(frozen=True)
class Key:
    """One key: its place, what it takes, its default ("" for none), and what it means."""

    place: str
    name: str
    takes: str
    default: str
    required: bool
    description: str

    @property
    def path(self) -> str:
        """The whole path, such as `x-mcgitops.environments.NAME.hosts`."""
        return f"{self.place}.{self.name}"


def meaning(model: type[Spec]) -> str:
    """What a mapping is for."""
    return inspect.getdoc(model) or ""


def keys(place: str, model: type[Spec]) -> Iterator[Key]:
    """The keys of one mapping, in the file's order."""
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        yield Key(
            place,
            name,
            _SPECIAL.get(name) or takes(field, schema),
            _default(field.get("default")),
            name in required,
            " ".join(str(field.get("description", "")).split()),
        )


def _default(value: Any) -> str:
    """A default for people; "" where there is none, and for mappings, whose keys have their own."""
    return "" if isinstance(value, dict) or not value else str(value)


def find(text: str) -> tuple[Key, ...]:
    """The keys whose path ends like this; names given by the user stand for any."""
    wanted = [part for part in text.strip(".").split(".") if part]
    return tuple(
        key
        for place, model in PLACES
        for key in keys(place, model)
        if wanted and _ends_with(key.path.split("."), wanted)
    )


def below(key: Key) -> tuple[Key, ...]:
    """The keys that stand below this one, as those of a gate."""
    return tuple(
        inner
        for place, model in PLACES
        if place in (key.path, f"{key.path}.NAME")
        for inner in keys(place, model)
    )


def nearest(text: str) -> str | None:
    """The known key whose name is most like the last one of `text`."""
    names = [key.name for place, model in PLACES for key in keys(place, model)]
    found = difflib.get_close_matches(text.rsplit(".", 1)[-1], names, n=1)
    return found[0] if found else None


def _ends_with(path: list[str], wanted: list[str]) -> bool:
    """`metrics.gate` and `metrics.accuracy.gate` both name `x-mcgitops.metrics.NAME.gate`."""
    plain = [part for part in path if part != "NAME"]
    if plain[-len(wanted) :] == wanted:
        return True
    tail = path[-len(wanted) :]
    return len(tail) == len(wanted) and all(
        known in ("NAME", asked) for known, asked in zip(tail, wanted, strict=True)
    )


def takes(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """A field's JSON Schema in words."""
    if "$ref" in field:
        return takes(schema["$defs"][field["$ref"].rsplit("/", 1)[1]], schema)
    if "anyOf" in field:
        kinds = [takes(one, schema) for one in field["anyOf"] if one.get("type") != "null"]
        if set(kinds) >= _SCALARS:
            kinds = ["value", *(kind for kind in kinds if kind not in _SCALARS)]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("pattern") == DURATION:
        return "duration"
    kind = field.get("type")
    if kind is None:
        return "any value"
    if kind == "array":
        item = takes(field["items"], schema)
        return f"list of {({'text': 'paths', 'value': 'values'}).get(item, item)}"
    if kind == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"mapping: name → {takes(field['additionalProperties'], schema)}"
    return {"object": "mapping", **_NAMES}[str(kind)]
