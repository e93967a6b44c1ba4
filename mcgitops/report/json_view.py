"""The report as JSON and back. A number that JSON lacks is written `{"float": "nan"}`.

`from_data` checks everything: a report may come from another run, and of a fork's pull request.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from mcgitops.report.escape import writable
from mcgitops.report.model import Report
from mcgitops.typed.convert import convert


def render(report: Report) -> str:
    """The report as indented JSON text."""
    return text_of(to_data(report))


def text_of(data: Any, *, indent: int | None = 2) -> str:
    """JSON text that is valid UTF-8 whatever the strings in it hold, and that any parser reads.

    indent: None for no blank too many.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(
        data, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False
    )
    return writable(text)


def to_data(value: Any) -> Any:
    """Dataclasses as dictionaries, and everything below them ready for JSON."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, (tuple, list)):
        return [to_data(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in value.items()}
    data = {name: to_data(getattr(value, name)) for name in _fields(type(value))}
    if isinstance(value, Report):
        data = {"format": data.pop("format"), **data}
    return data


def from_data(data: Any) -> Report:
    """The report out of `json.loads`; raises `ValueError` where it is not one."""
    report: Report = convert(_decoded(data), Report)
    return report


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"float"} and value["float"] in ("nan", "inf", "-inf"):
            return float(value["float"])
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _fields(kind: Any) -> tuple[str, ...]:
    if kind not in _FIELDS:
        fields = dataclasses.fields(kind)
        _FIELDS[kind] = tuple(field.name for field in fields if field.metadata.get("json", True))
    return _FIELDS[kind]


_FIELDS: dict[Any, tuple[str, ...]] = {}
