"""The JSON Schema of a compose file with our keys, generated from the models.

It refers to Compose's own schema for everything else, so that an editor checks the whole file.
"""

from __future__ import annotations

from typing import Any

from mcgitops.project import KEY
from mcgitops.project.base import Spec
from mcgitops.project.serving import ServingSpec
from mcgitops.project.spec import ProjectSpec, StageSpec

COMPOSE = (
    "https://raw.githubusercontent.com/compose-spec/compose-spec/main/schema/compose-spec.json"
)


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the whole file."""
    definitions: dict[str, Any] = {}

    def own(model: type[Spec]) -> dict[str, Any]:
        made = model.model_json_schema()
        definitions.update(made.pop("$defs", {}))
        definitions[model.__name__] = made
        return {"$ref": f"#/$defs/{model.__name__}"}

    project, stage, serving = own(ProjectSpec), own(StageSpec), own(ServingSpec)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Compose file with x-mcgitops",
        "allOf": [{"$ref": COMPOSE}],
        "type": "object",
        "properties": {
            KEY: project,
            "services": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {KEY: {"anyOf": [stage, serving]}},
                },
            },
        },
        "$defs": dict(sorted(definitions.items())),
    }
