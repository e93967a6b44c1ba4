"""The JSON Schema (2020-12) of models."""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from mcgitops.typed.convert import Limits
from mcgitops.typed.jsontext import plain

if TYPE_CHECKING:
    from mcgitops.typed.model import Key, Model

Schema = dict[str, Any]
_SINGLE = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
_WORDS = {
    "ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "pattern": "pattern",
    "shown": "pattern",
}  # fmt: skip


def schema_of(model: type[Model]) -> Schema:
    """The schema of one model; those that it refers to are below `$defs`."""
    definitions: dict[str, Schema] = {}
    own = _model(model, definitions)
    if definitions:
        own["$defs"] = dict(sorted(definitions.items()))
    return _sorted(own)


def _model(model: type[Model], definitions: dict[str, Schema]) -> Schema:
    keys = model.model_keys()
    found: Schema = {
        "title": model.__name__,
        "type": "object",
        "properties": {name: _key(one, definitions) for name, one in keys.items()},
    }
    if doc := inspect.getdoc(model):
        found["description"] = doc
    if required := [name for name, one in keys.items() if one.is_required]:
        found["required"] = required
    if not model.model_shape().unknown:
        found["additionalProperties"] = False
    return _sorted(found)


def _key(one: Key, definitions: dict[str, Schema]) -> Schema:
    found = _type(one.hint, one.limits, definitions)
    if "$ref" not in found and not _refers(found):
        found["title"] = one.name.replace("_", " ").title()
    if one.description:
        found["description"] = one.description
    if not one.is_required and one.factory is None:
        found["default"] = plain(one.default)
    return _sorted(found)


def _refers(found: Schema) -> bool:
    """Whether it is a model or nothing: then the model's title will do."""
    kinds = [one for one in found.get("anyOf", ()) if one != {"type": "null"}]
    return len(kinds) == 1 and "$ref" in kinds[0]


def _type(hint: Any, limits: Limits | None, definitions: dict[str, Schema]) -> Schema:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if origin is Annotated:
        found = _type(inner[0], limits, definitions)
        for note in inner[1:]:
            if isinstance(note, Limits):
                found |= _limits(note, found)
        return _sorted(found)
    if origin is Union or origin is UnionType:
        return {"anyOf": [_type(one, limits, definitions) for one in inner]}
    found = _plain(hint, origin, inner, definitions)
    if limits is not None and hint is not NoneType:
        found |= _limits(limits, found)
    return _sorted(found)


def _plain(
    hint: Any, origin: Any, inner: tuple[Any, ...], definitions: dict[str, Schema]
) -> Schema:  # fmt: skip
    if hint in _SINGLE:
        return {"type": _SINGLE[hint]}
    if origin is Literal:
        kind = _SINGLE[type(inner[0])]
        return {"type": kind, **({"enum": [*inner]} if len(inner) > 1 else {"const": inner[0]})}
    if origin is tuple:
        return {"type": "array", "items": _type(inner[0], None, definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(inner[1], None, definitions)}
    name = hint.__name__
    if name not in definitions:
        definitions[name] = {}  # a model may hold its own kind
        definitions[name] = _model(hint, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _limits(limits: Limits, found: Schema) -> Schema:
    bounds = {
        word: value for name, word in _WORDS.items() if (value := getattr(limits, name)) is not None
    }
    if limits.min_length is not None:
        bounds["minItems" if found.get("type") == "array" else "minLength"] = limits.min_length
    return bounds


def _sorted(found: Schema) -> Schema:
    return dict(sorted(found.items()))
