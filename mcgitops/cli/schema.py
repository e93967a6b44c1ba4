"""`mcgitops schema`: the JSON Schema of the file."""

from __future__ import annotations

import json

import click


@click.command(name="schema")
def command() -> int:
    """Print the JSON Schema of the file, for editors."""
    from mcgitops.project.schema import schema

    click.echo(json.dumps(schema(), indent=2))
    return 0
