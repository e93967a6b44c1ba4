"""Writes the pages of docs/reference that come from the code: file, commands, exit codes.

`python -m docs.generate` writes them, `--check` fails where one is stale.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from docs.actions_page import actions_page
from mcgitops import errors
from mcgitops.cli.main import HIDDEN, VERBS, cli
from mcgitops.project import describe
from mcgitops.project.base import Spec
from mcgitops.project.spec import BestBy

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `make docs` from {source}; changes here are lost. -->\n"

EXAMPLE = """\
```yaml
services:
  train:
    build: .
    command: python train.py
    environment: {SEED: "0"}
    volumes: ["./data:/app/data:ro", "./out:/app/out"]
    x-mcgitops:                          # makes the service a stage
      params: [params.yaml]
      metrics: [out/metrics.json]
      plots: [out/history.csv]
      outputs: [out/model.joblib]
      replicates: {SEED: [0, 1, 2]}
      timeout: 1h30m

  api:                                   # no x-mcgitops: an ordinary service, deployed as it is
    image: example/api

x-mcgitops:                              # of the project
  store: s3://models/wine
  metrics:
    accuracy: {goal: maximize, gate: {max_drop: 0.005}}
    "*loss": {goal: minimize}
  environments:
    staging: {trigger: {branch: main}, hosts: ["ssh://deploy@staging.example.com"]}
    production:
      trigger: {tag: "v*"}
      hosts: ["ssh://deploy@a.example.com", "ssh://deploy@b.example.com"]
```
"""


def pages() -> dict[Path, str]:
    """Path → what should be in it."""
    return {
        REFERENCE / "file.md": file_page(),
        REFERENCE / "commands.md": commands_page(),
        REFERENCE / "exit-codes.md": exit_codes_page(),
        REFERENCE / "actions.md": actions_page(NOTE.format(source="the action.yml files")),
    }


def file_page() -> str:
    """The keys of `x-mcgitops`, from the models."""
    parts = [
        NOTE.format(source="mcgitops/project/spec.py"),
        "# The file\n",
        "A project is a compose file, as `docker compose` finds it. What mcgitops adds stands "
        "under `x-mcgitops`, which plain Compose ignores. A service with `x-mcgitops` is a "
        "*stage*; all others are deployed as they are, unless they have profiles. A key that "
        "isn't listed here is an error of `mcgitops check`; `mcgitops schema` prints the same as "
        "JSON Schema, for editors; `mcgitops docs KEY` explains a key.\n",
        EXAMPLE,
        "Paths are relative to the project folder, in a file that is included or extended to that "
        "file's folder. Metrics, plots and outputs must lie in a bind mount that the service can "
        "write. `depends_on` between stages orders them; the later one finds the outputs of the "
        "earlier one in its folders.\n",
    ]
    for place, model in describe.PLACES:
        heading = "`select: {best: …}`" if model is BestBy else f"`{place}`"
        parts += [f"## {heading}\n", f"{describe.meaning(model)}\n", _keys(place, model)]
    return "\n".join(parts)


def _keys(place: str, model: type[Spec]) -> str:
    lines = ["| key | what it takes | default | |", "|:--|:--|:--|:--|"]
    for key in describe.keys(place, model):
        default = "required" if key.required else f"`{key.default}`" if key.default else "–"
        cells = (f"`{key.name}`", _cell(key.takes), default, _cell(key.description))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def commands_page() -> str:
    """Every verb with its arguments and options, from click."""
    parts = [
        NOTE.format(source="mcgitops/cli"),
        "# Commands\n",
        "Results go to standard output, progress and messages to standard error. "
        "What the exit codes mean: [exit codes](exit-codes.md).\n",
        "## Global options\n",
        "They stand before the verb: `mcgitops -C models/churn train`.\n",
        *_options(cli),
    ]
    context = click.Context(cli, info_name="mcgitops")
    for name in VERBS:
        if command := cli.get_command(context, name):
            parts += _command(command, f"mcgitops {name}", hidden=name in HIDDEN)
    return "\n".join(parts)


def _command(command: click.Command, path: str, *, hidden: bool = False) -> Iterator[str]:
    yield f"## {path}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    if hidden:
        yield "Not meant to be typed: exported plans call it.\n"
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"```console\n$ {usage}\n```\n"
    yield from _options(command)
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from _command(one, f"{path} {name}")


def _options(command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name="x")
    rows = [
        record
        for parameter in command.params
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context))
    ]
    if rows:
        lines = ["| option | |", "|:--|:--|"]
        lines += [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in rows]
        yield "\n".join(lines) + "\n"


def exit_codes_page() -> str:
    """The exit codes, from the error classes."""
    by_code: dict[int, list[str]] = {0: ["Done."]}
    for error in _subclasses(errors.McgitopsError):
        by_code.setdefault(error.exit_code, []).append(_without_code(error))
    by_code[1].append("Anything unexpected: a bug, which `--debug` shows with its traceback.")
    by_code[130] = ["Interrupted with Ctrl-C: containers are stopped, nothing is half-written."]
    by_code[141] = ["The reader of the output, such as `head`, went away."]
    lines = [
        NOTE.format(source="mcgitops/errors.py"),
        "# Exit codes\n",
        "| code | when |",
        "|--:|:--|",
        *(f"| {code} | {_cell(' '.join(texts))} |" for code, texts in sorted(by_code.items())),
        "",
        "Where several apply, 4 comes before 3 and 6 before 5. `mcgitops report` writes and posts "
        "the report first, then exits with 3.\n",
    ]
    return "\n".join(lines)


def _without_code(error: type[errors.McgitopsError]) -> str:
    return re.sub(r": exit \d", "", inspect.getdoc(error) or "")


def _subclasses(base: type[errors.McgitopsError]) -> Iterator[type[errors.McgitopsError]]:
    for one in base.__subclasses__():
        if one.__module__ == errors.__name__:
            yield one
            yield from _subclasses(one)


def main() -> int:
    """Write the pages, or with `--check` only compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where a page is stale")
    check = parser.parse_args().check
    stale = [path for path, text in pages().items() if _read(path) != text]
    for path in stale:
        shown = path.relative_to(Path(__file__).parents[1])
        if check:
            print(f"{shown} is stale: run make docs.", file=sys.stderr)  # noqa: T201
        else:
            path.write_text(pages()[path], encoding="utf-8")
            print(f"wrote {shown}")  # noqa: T201
    return 1 if check and stale else 0


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
