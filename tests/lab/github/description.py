"""GitHub's OpenAPI description: which requests exist, and whether a request or answer fits it.

The description comes from npm (`package-lock.json` beside this file pins it) into `.cache/`. The
fake server asks it about everything that passes, so that neither our client nor the fake can drift
from the real API unnoticed.
"""

from __future__ import annotations

import fcntl
import functools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema.exceptions import best_match
from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator
from openapi_schema_validator import oas30_format_checker as format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".cache" / "github-api"
URI = "urn:github"


@dataclass(frozen=True)
class Violation:
    """Something that passed between client and server and that the description doesn't allow."""

    method: str
    path: str
    side: str  # request | response
    message: str

    def __str__(self) -> str:
        return f"{self.side} of {self.method} {self.path}: {self.message}"


@dataclass(frozen=True)
class Operation:
    """One method of one path of the description."""

    method: str
    template: str
    parameters: Mapping[str, str]  # path parameters, as they were in the path
    spec: Mapping[str, Any]
    shared: tuple[Mapping[str, Any], ...]  # parameters of the whole path


class Description:
    """The loaded description; `find` an operation, then ask for violations."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._registry: Registry[Any] = Registry().with_resource(
            URI, DRAFT4.create_resource(document)
        )
        self._paths = sorted(
            ((_pattern(template), template) for template in document["paths"]),
            key=lambda entry: entry[1].count("{"),  # /repos/{o}/{r}/issues/comments before …/{n}
        )

    def find(self, method: str, path: str) -> Operation | None:
        """The operation that a request calls; None where GitHub has no such path or method."""
        for pattern, template in self._paths:
            if not (match := pattern.fullmatch(path)):
                continue
            entry = self.document["paths"][template]
            if method.lower() in entry:
                return Operation(
                    method.lower(),
                    template,
                    match.groupdict(),
                    entry[method.lower()],
                    tuple(entry.get("parameters", ())),
                )
        return None

    def request(self, operation: Operation, query: Mapping[str, str], body: Any) -> Iterator[str]:
        """What is wrong with a request. `body` is None where there is none."""
        known: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for entry in (*operation.shared, *operation.spec.get("parameters", ())):
            parameter = self._resolve(entry)
            known[parameter["name"]] = (parameter["in"], parameter)
        for name, value in query.items():
            place, parameter = known.get(name, ("", {}))
            if place != "query":
                yield f"unknown query parameter {name}"
            else:
                yield from self._parameter(name, value, parameter)
        for wire_name, value in operation.parameters.items():
            name = wire_name.replace("__", "-")
            place, parameter = known.get(name, known.get(wire_name, ("", {})))
            if place == "path":
                yield from self._parameter(name, value, parameter)
        yield from self._request_body(operation, body)

    def response(
        self, operation: Operation, status: int, content_type: str, body: Any
    ) -> Iterator[str]:
        """What is wrong with an answer. `body` is None where there is none."""
        responses = operation.spec["responses"]
        pointer = f"/paths/{_escape(operation.template)}/{operation.method}/responses/{status}"
        if str(status) not in responses:
            if status < 400:
                yield f"status {status} is not described"
                return
            # GitHub leaves most refusals out of its description (a PATCH with a read-only token,
            # rate limits, failures of its own); all of them have the form of a basic error.
            pointer = "/components/schemas/basic-error"
            yield from self._value(pointer, body, OAS30ReadValidator)
            return
        described = responses[str(status)]
        if "$ref" in described:
            pointer = described["$ref"].removeprefix("#")
            described = self._resolve(described)
        content = described.get("content")
        if not content:
            if body is not None:
                yield f"status {status} has no body, but one was sent"
            return
        plain = content_type.split(";")[0].strip()
        if plain not in content:
            yield f"content type {content_type!r} is not described for {status}"
            return
        where = f"{pointer}/content/{_escape(plain)}/schema"
        yield from self._value(where, body, OAS30ReadValidator)

    def sample(self, schema: str) -> dict[str, Any]:
        """A small valid object of a named schema; callers set the properties that matter."""
        made = self._sample(self.document["components"]["schemas"][schema], depth=0)
        assert isinstance(made, dict)
        return made

    def _request_body(self, operation: Operation, body: Any) -> Iterator[str]:
        if "requestBody" not in operation.spec:
            if body not in (None, {}):
                yield "has a body, but none is described"
            return
        described = self._resolve(operation.spec["requestBody"])
        if body is None:
            if described.get("required"):
                yield "has no body, but one is required"
            return
        pointer = f"/paths/{_escape(operation.template)}/{operation.method}/requestBody"
        pointer += "/content/application~1json/schema"
        yield from self._value(pointer, body, OAS30WriteValidator)
        schema = described["content"]["application/json"]["schema"]
        if isinstance(body, dict) and "properties" in schema:
            for name in body.keys() - schema["properties"].keys():
                yield f"body: unknown property {name}"

    def _parameter(self, name: str, text: str, parameter: Mapping[str, Any]) -> Iterator[str]:
        schema = self._resolve(parameter["schema"])
        value: Any = text
        if schema.get("type") == "integer":
            if not re.fullmatch(r"-?\d+", text):
                yield f"parameter {name}: {text!r} is not a whole number"
                return
            value = int(text)
        validator = OAS30WriteValidator(
            schema, registry=self._registry, format_checker=format_checker
        )
        for error in validator.iter_errors(value):
            yield f"parameter {name}: {error.message}"

    def _value(self, pointer: str, value: Any, kind: type[Any]) -> Iterator[str]:
        validator = kind(
            {"$ref": f"{URI}#{pointer}"}, registry=self._registry, format_checker=format_checker
        )
        for found in validator.iter_errors(value):
            error = best_match([found]) or found  # the cause, rather than "fits none of these"
            place = "/".join(str(step) for step in error.absolute_path) or "body"
            yield f"{place}: {error.message[-300:]}"

    def _resolve(self, node: Mapping[str, Any]) -> Any:
        while "$ref" in node:
            found: Any = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step.replace("~1", "/").replace("~0", "~")]
            node = found
        return node

    def _sample(self, schema: Mapping[str, Any], depth: int) -> Any:
        schema = self._resolve(schema)
        if (schema.get("nullable") and "type" in schema) or depth > 12:
            return None  # without a type OpenAPI 3.0 gives `nullable` no meaning
        if "enum" in schema:
            return schema["enum"][0]
        if "allOf" in schema:
            merged: dict[str, Any] = {}
            for part in schema["allOf"]:
                if isinstance(made := self._sample(part, depth + 1), dict):
                    merged |= made
            return merged
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return self._sample(schema[choice][0], depth + 1)
        kind = schema.get("type", "object")
        if kind == "object":
            properties = schema.get("properties", {})
            return {
                name: self._sample(properties.get(name, {}), depth + 1)
                for name in schema.get("required", ())
            }
        if kind == "string":
            formats = {"uri": "https://example.com/", "date-time": "2026-01-01T00:00:00Z"}
            return formats.get(schema.get("format", ""), "text")
        return {"array": [], "integer": 1, "number": 1, "boolean": False}[kind]


@functools.cache
def load_description() -> Description:
    """The description, fetched into `.cache/` when first asked for."""
    locked = json.loads((HERE / "package-lock.json").read_text())
    version = locked["packages"]["node_modules/@octokit/openapi"]["version"]
    target = CACHE / f"api.github.com-{version}.json"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                _fetch(target)
    return Description(json.loads(target.read_bytes()))


def _fetch(target: Path) -> None:
    """Let npm fetch the pinned package (it checks the integrity), and keep the one file of it."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            "The fake GitHub needs npm, to fetch GitHub's description of its API once: "
            "apt-get install npm"
        )
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=folder,
            check=True,
            timeout=240,
        )
        generated = Path(folder, "node_modules/@octokit/openapi/generated")
        (generated / "api.github.com.json").replace(target)


def _pattern(template: str) -> re.Pattern[str]:
    """`/repos/{owner}/{repo}` → a pattern with named groups (`-` in a name becomes `__`)."""
    pieces = re.split(r"(\{[^}]+\})", template)
    text = ""
    for piece in pieces:
        if piece.startswith("{"):
            text += f"(?P<{piece[1:-1].replace('-', '__')}>[^/]+)"
        else:
            text += re.escape(piece)
    return re.compile(text)


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
