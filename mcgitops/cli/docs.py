"""`mcgitops docs`: what a key of the file means."""

from __future__ import annotations

import click


@click.command(name="docs")
@click.argument("key", default="", metavar="[KEY]")
@click.option("--json", "as_json", is_flag=True, help="Print the keys as JSON.")
def command(key: str, as_json: bool) -> None:
    """Explain a key of the file, such as replicates or metrics.gate.

    Without KEY: lists all keys. It comes from the same definitions as all checks of the file.
    """
    from mcgitops.errors import UsageError
    from mcgitops.project import describe

    if not key:
        found = tuple(k for place, model in describe.PLACES for k in describe.keys(place, model))
    elif not (found := describe.find(key)):
        near = describe.nearest(key)
        hint = f"Did you mean {near}?" if near else "mcgitops docs lists all keys."
        raise UsageError(f"{key}: no such key.", hint)
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps([{"path": k.path, **asdict(k)} for k in found], indent=2))
        return
    if not key:
        for place, model in describe.PLACES:
            click.echo(f"{place}\n  {describe.meaning(model)}")
            for one in describe.keys(place, model):
                click.echo(f"    {one.name:<16}  {one.takes}")
        return
    for number, one in enumerate(found):
        note = "required" if one.required else f"default: {one.default}" if one.default else ""
        lead = "\n" if number else ""
        click.echo(f"{lead}{one.path}\n  {one.takes}{', ' + note if note else ''}")
        click.echo(click.wrap_text(one.description, 90, "  ", "  "))
        for inner in describe.below(one):
            click.echo(f"    {inner.name:<16}  {inner.takes}")
