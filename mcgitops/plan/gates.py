"""What a serving container is asked before it gets traffic, and whether its answers will do. Pure.

Asking happens in `deploy.gates`. What a model answers is anybody's text: it is bounded and escaped
before it gets into a sentence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from mcgitops.deferred import dataclass
from mcgitops.project.serving import ServingSpec

LARGEST = 4_000_000
"""Bytes of an answer that are read; a larger one fails."""
_SHOWN = 80
_PATH_SHOWN = 120
_PATH_CHARACTERS = "/?&=%:@!$'()*+,;~-._"


@dataclass(frozen=True)
class Request:
    """One HTTP request to a port of the container, and the answer that lets it pass."""

    port: int
    path: str
    body: bytes = b""
    status: int = 200
    expect: Any = None
    tolerance: float = 0.0
    readiness: bool = False  # any other answer is "not yet", not "wrong"

    @property
    def method(self) -> str:
        """POST where there is a body."""
        return "POST" if self.body else "GET"

    @property
    def title(self) -> str:
        """`POST /v2/models/wine/infer`, as messages call it."""
        return f"{self.method} {printable(self.path, _PATH_SHOWN)}"


@dataclass(frozen=True)
class Answer:
    """What came back; `complete` unless it was larger than `LARGEST`."""

    status: int
    body: bytes = b""
    complete: bool = True


def requests_of(serving: ServingSpec) -> tuple[Request, ...]:
    """All requests in their order: the server's readiness, each model's, then the predictions."""
    found: list[Request] = []
    if inference := serving.inference:
        paths = ["/v2/health/ready"]
        paths += [f"/v2/models/{quote(model, safe='')}/ready" for model in inference.models]
        found += [Request(inference.port, path, readiness=True) for path in paths]
    for smoke in serving.smoke:
        found.append(
            Request(
                smoke.port,
                quote(smoke.path, safe=_PATH_CHARACTERS),
                b"" if smoke.body is None else json.dumps(_plain(smoke.body)).encode(),
                smoke.status,
                _plain(smoke.expect),
                smoke.tolerance,
            )
        )
    return tuple(found)


def judge(request: Request, answer: Answer) -> str:
    """What is wrong with the answer, as a sentence without a full stop; "" where nothing is.

    Of a mapping only the expected keys are compared; lists element by element and by length.
    """
    said = _judged(request, answer)
    return f"{request.title}: {said}" if said else ""


def _judged(request: Request, answer: Answer) -> str:
    if answer.status != request.status:
        text = answer.body.decode("utf-8", "replace").strip()
        quoted = f" ({printable(text, _SHOWN)})" if text else ""
        return f"status {answer.status}, expected {request.status}{quoted}"
    if request.expect is None:
        return ""
    if not answer.complete:
        return f"the answer is larger than {LARGEST / 1e6:g} MB"
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        text = answer.body.decode("utf-8", "replace")
        return f"the answer is not JSON: {printable(text, _SHOWN) or 'it is empty'}"
    return _differs(request.expect, value, Decimal(repr(request.tolerance)), "")


def _differs(expected: Any, actual: Any, tolerance: Decimal, path: str) -> str:
    """The first difference; "" where there is none."""
    name = printable(path, _PATH_SHOWN) or "the answer"
    if isinstance(expected, Mapping):
        if not isinstance(actual, dict):
            return f"{name} is {_shown(actual)}, expected an object"
        for key, item in expected.items():
            below = f"{path}.{key}" if path else key
            if key not in actual:
                return f"{printable(below, _PATH_SHOWN)} is missing"
            if said := _differs(item, actual[key], tolerance, below):
                return said
        return ""
    if isinstance(expected, list):
        if not isinstance(actual, list):
            return f"{name} is {_shown(actual)}, expected a list"
        if len(actual) != len(expected):
            return f"{name} has {_counted(len(actual))}, expected {len(expected)}"
        for index, (item, got) in enumerate(zip(expected, actual, strict=True)):
            if said := _differs(item, got, tolerance, f"{path}.{index}" if path else str(index)):
                return said
        return ""
    if _is_number(expected) and _is_number(actual):
        if _near(expected, actual, tolerance):
            return ""
        around = f" (±{float(tolerance):g})" if tolerance else ""
        return f"{name} is {_shown(actual)}, expected {_shown(expected)}{around}"
    # 1 == True in Python, not in JSON
    if type(expected) is type(actual) and expected == actual:
        return ""
    return f"{name} is {_shown(actual)}, expected {_shown(expected)}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _near(expected: float, actual: float, tolerance: Decimal) -> bool:
    """In decimals, as people count: 0.99 is within 0.02 of 0.97, which it isn't in binary."""
    if not (_finite(expected) and _finite(actual)):
        # NaN is near NaN only, an infinity near itself only
        return expected == actual or repr(expected) == repr(actual)
    return abs(_decimal(actual) - _decimal(expected)) <= tolerance


def _finite(value: float) -> bool:
    # an integer may be too large to become a float
    return isinstance(value, int) or math.isfinite(value)


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {_counted(len(value))}"
    return printable(json.dumps(value, ensure_ascii=False), _SHOWN)


def _counted(number: int) -> str:
    return "1 element" if number == 1 else f"{number} elements"


def printable(text: str, most: int) -> str:
    """Text in one bounded line: what isn't printable is escaped, what is too long is cut."""
    cut = text[: most + 1]
    escaped = "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode()
        for one in cut
    )
    return escaped if len(escaped) <= most else f"{escaped[: most - 1]}…"


def _plain(value: Any) -> Any:
    """What YAML can hold as what JSON can: dates are text, keys are text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    return value if isinstance(value, bool | int | float | str | None) else str(value)
