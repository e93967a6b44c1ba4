"""Models as JSON: data, or text that is the same for the same object, byte by byte."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcgitops.typed.model import Model

_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def data_of(model: Model, *, exclude_defaults: bool = False) -> dict[str, Any]:
    """The model as JSON has it. exclude_defaults: without keys that say what is so anyway."""
    data = {}
    for name, one in model.model_keys().items():
        value = getattr(model, name)
        if exclude_defaults and not one.is_required and value == one.made_default():
            continue
        data[name] = plain(value if one.written is None else one.written(value), exclude_defaults)
    return data


def plain(value: Any, exclude_defaults: bool = False) -> Any:
    """A model, a dataclass, or what is in them, as JSON has it."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has neither infinity nor NaN
    if isinstance(value, tuple | list):
        return [plain(item, exclude_defaults) for item in value]
    if kind is dict or isinstance(value, Mapping):
        return {name: plain(item, exclude_defaults) for name, item in value.items()}
    if isinstance(value, datetime):
        text = value.isoformat()
        # Z as most write it; of another offset only hours and minutes
        return text[:-6] + "Z" if value.utcoffset() == timedelta() else text
    if isinstance(value, str | int):  # of a class of its own
        return value
    if hasattr(value, "__dataclass_fields__"):
        fields = value.__dataclass_fields__
        return {name: plain(getattr(value, name), exclude_defaults) for name in fields}
    return data_of(value, exclude_defaults=exclude_defaults)


def text_of(model: Model, indent: int | None = None) -> str:
    """The model as JSON text, without a blank too many unless it is indented."""
    data = data_of(model)
    text = _COMPACT.encode(data)
    if "e-0" in text:  # of a small number, or of some word
        text = _text(data)
    if indent is None:
        return text
    return json.dumps(json.loads(text), indent=indent, ensure_ascii=False)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{encode_basestring(k)}:{_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return _COMPACT.encode(value)


def _number(value: float) -> str:
    """A number as the records of all versions have it: 0.00001 and 2e-6 where Python has 1e-05 and
    2e-06.
    """
    text = repr(value)
    if text.endswith("e-05"):
        digits = text.removesuffix("e-05").replace(".", "")
        sign = "-" if digits.startswith("-") else ""
        return f"{sign}0.0000{digits.removeprefix('-')}"
    return text.replace("e-0", "e-")
