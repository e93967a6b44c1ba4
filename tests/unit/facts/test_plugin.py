"""Compose without docker in front of it: the same words and answer, and only where certain."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mcgitops.facts.plugin import direct
from mcgitops.facts.program import output
from tests.lab.engine import Engine

CONFIG = ("docker", "compose", "--profile", "*", "config")
COMPOSE = """
name: wine
services:
  api:
    image: i
    environment: {MINE: "${MINE:-unset}", OTHER: "${OTHER:-unset}"}
    volumes: ["./data:/data"]
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    plugins = tmp_path / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    for program in (tmp_path / "docker", plugins / "docker-compose"):
        shutil.copy("/bin/true", program)
    return {"PATH": str(tmp_path), "HOME": str(tmp_path), "SECRET": "x", "KEPT": "y"}


def test_the_plugin_gets_the_words_and_variables_that_docker_would_give_it(
    environ: dict[str, str],
) -> None:
    started = direct(("env", "-u", "SECRET", "-u", "NONE", *CONFIG), environ)
    plugin = f"{environ['HOME']}/.docker/cli-plugins/docker-compose"
    assert started == (
        (plugin, *CONFIG[1:]),
        {"PATH": environ["PATH"], "HOME": environ["HOME"], "KEPT": "y",
         "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker"},
    )  # fmt: skip
    assert "SECRET" in environ


@pytest.mark.parametrize(
    "argv",
    [
        ("docker", "compose", "up"),
        ("docker", "compose"),
        ("docker", "image", "inspect", "compose", "config"),
        ("docker-compose", "config"),
        ("env", "-u"),
        ("env", "A=1", *CONFIG),
        ("git", "config", "compose"),
        (),
    ],
)
def test_other_commands_are_left_alone(argv: tuple[str, ...], environ: dict[str, str]) -> None:
    assert direct(argv, environ) is None


def _link(place: Path) -> None:
    (place / "docker").rename(place / "snap")
    (place / "docker").symlink_to("snap")


UNCERTAIN: dict[str, Callable[[Path], object]] = {
    "docker is a script": lambda p: (p / "docker").write_text("#!/bin/sh\n"),
    "docker is a link to another program": _link,
    "there is no docker": lambda p: (p / "docker").unlink(),
    "docker has folders of its own": lambda p: (p / ".docker/config.json").write_text(
        '{"cliPluginsExtraDirs": ["/x"]}'
    ),
}


@pytest.mark.parametrize("what", UNCERTAIN)
def test_where_the_plugin_is_not_certain_docker_is_asked(
    what: str, environ: dict[str, str]
) -> None:
    UNCERTAIN[what](Path(environ["HOME"]))
    assert direct(CONFIG, environ) is None


def test_without_the_home_folder_docker_is_asked(environ: dict[str, str]) -> None:
    assert direct(("env", "-u", "HOME", *CONFIG), environ) is None


@pytest.mark.engine
def test_compose_answers_the_same(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compose.yml").write_text(COMPOSE)
    monkeypatch.setenv("MINE", "a b$c")
    monkeypatch.setenv("OTHER", "d")
    argv = ("env", "-u", "OTHER", *CONFIG)
    for options in ((), ("--no-interpolate", "--no-path-resolution"), ("--format", "json")):
        said = subprocess.run(
            (*argv, *options), cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        assert output((*argv, *options), tmp_path).stdout == said
        assert "MINE" in said
    (tmp_path / "compose.yml").write_text("services: {api: {imago: i}}\n")
    refused = subprocess.run(CONFIG, cwd=tmp_path, capture_output=True, text=True, check=False)
    asked = output(CONFIG, tmp_path, check=False)
    assert (asked.code, asked.stderr) == (refused.returncode, refused.stderr)
    assert "imago" in asked.stderr
    assert os.environ["OTHER"] == "d"
