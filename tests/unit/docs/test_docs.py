"""The documentation says what is so: generated pages are fresh, commands and links exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from docs import generate
from mcgitops.cli.main import VERBS, cli
from mcgitops.project.serving import ServingSpec, is_serving
from mcgitops.project.source import KEY
from mcgitops.project.spec import ProjectSpec, StageSpec

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if "images" not in path.parts
)
IDS = [str(path.relative_to(ROOT)) for path in PAGES]


@pytest.mark.parametrize("path", generate.pages(), ids=lambda path: path.name)
def test_generated_pages_are_fresh(path: Path):
    assert path.read_text() == generate.pages()[path], f"{path.name} is stale: run make docs"


def _commands(text: str):
    """The `mcgitops …` calls of a page's console blocks, split as a shell would."""
    for block in re.findall(r"```(?:console|bash)\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            if not line.startswith("$ "):
                continue
            words = shlex.split(line[2:], comments=True)
            while "mcgitops" in words:
                words = words[words.index("mcgitops") + 1 :]
                end = next((i for i, w in enumerate(words) if w in ("&&", "|", ";", "||")), None)
                yield line, words[:end]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_that_a_page_shows_exists_with_its_options(page: Path):
    if page.name == "commands.md":
        return  # generated from the commands themselves
    context = click.Context(cli)
    for line, words in _commands(page.read_text()):
        command: click.Command = cli
        for word in words:
            if word.startswith("-"):
                options = _options(command)
                name = word.split("=")[0]
                assert name in options | {"--help", "-h"}, f"{page.name}: {line}: no {name}"
            elif command is cli and word in VERBS:
                found = cli.get_command(context, word)
                assert found is not None
                command = found
            elif isinstance(command, click.Group) and word in command.commands:
                command = command.commands[word]
        assert command is not cli or words[:1] == ["--version"], f"{page.name}: {line}: no verb"


def _options(command: click.Command) -> set[str]:
    """Its options; those of its parts too, as `metrics` is short for `metrics show`."""
    parts = command.commands.values() if type(command).__name__ == "Verb" else ()
    return {
        option
        for one in (command, *parts)
        for parameter in one.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


def _anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of headings."""
    found = set()
    for heading in re.findall(r"^#{1,6} (.*)$", text, flags=re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_within_the_repository_leads_somewhere(page: Path):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file.read_text()), f"{page.name}: {target}"


class _AsCompose(yaml.SafeLoader):
    """`on` is a word, as in YAML 1.2, which Compose reads; to PyYAML it means true."""


_AsCompose.yaml_implicit_resolvers = {
    first: found
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if first not in ("o", "O")
}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_piece_of_compose_file_that_a_page_shows_is_valid(page: Path):
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL):
        if "x-mcgitops" not in block or "…" in block or "..." in block:
            continue
        document = yaml.load(block, Loader=_AsCompose)
        services = document.get("services") or {}
        for service in services.values():
            if KEY in service:
                spec = ServingSpec if is_serving(service[KEY]) else StageSpec
                spec.model_validate(service[KEY])
        if document.get(KEY):
            if document[KEY].keys() & set(StageSpec.model_keys()) - {"metrics"}:
                StageSpec.model_validate(document[KEY])
            else:
                ProjectSpec.model_validate(document[KEY])


def test_the_folder_table_names_every_package():
    table = (ROOT / "docs/explanation/how-it-works.md").read_text()
    packages = {
        path.name
        for path in (ROOT / "mcgitops").iterdir()
        if path.is_dir() and (path / "__init__.py").is_file()
    }
    assert {p for p in packages if f"| `{p}/` |" not in table} == set()


def test_pictures_are_small_enough_to_load():
    for picture in (ROOT / "docs/images").glob("*.png"):
        assert picture.stat().st_size < 300_000


def test_every_page_can_be_reached_from_the_index():
    index = (ROOT / "docs/index.md").read_text()
    linked = set(re.findall(r"\]\(([^)#]+\.md)", index))
    pages = {
        str(path.relative_to(ROOT / "docs"))
        for path in PAGES
        if path.is_relative_to(ROOT / "docs") and path.name != "index.md"
    }
    assert pages - linked == set()


def test_every_make_target_that_a_page_shows_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page in PAGES:
        shown = set(re.findall(r"^\$ make ([a-z-]+)", page.read_text(), flags=re.MULTILINE))
        shown |= set(re.findall(r"`make ([a-z-]+)`", page.read_text()))
        assert shown <= targets, page.name
