"""What is wrong around the compose file: contexts that hold outputs, base images that may move."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcgitops.facts.compose import load_project
from mcgitops.facts.lint import (
    base_images,
    build_context_problems,
    state_in_context,
    unpinned_images,
)
from mcgitops.project.model import Project

COMPOSE = """\
services:
  train:
    build: {context: ., dockerfile: DOCKERFILE, args: {BASE: "python:3.12", EMPTY: }}
    volumes: ["./out:/out", "./src:/src"]
    x-mcgitops: {outputs: [out/model, out/more, src/made.bin]}
"""


def project(
    folder: Path, dockerfile: str = "FROM scratch\n", ignore: str = "", **files: str
) -> Project:
    files = {"Dockerfile": dockerfile, ".dockerignore": ignore, **files}
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "compose.yml").write_text(COMPOSE.replace("DOCKERFILE", "Dockerfile"))
    return load_project(folder)


def test_an_output_in_the_context_is_a_problem_with_what_to_ignore(tmp_path: Path) -> None:
    (problem,) = build_context_problems(project(tmp_path))
    assert str(problem) == (
        "compose.yml:3: service train: build: out/model is a declared output and in the build "
        "context. Add out to .dockerignore."
    )


def test_only_the_output_is_to_be_ignored_where_its_folder_holds_sources(tmp_path: Path) -> None:
    made = project(tmp_path, ignore="out\n", src__train_py="x")
    (problem,) = build_context_problems(made)
    assert problem.message == "src/made.bin is a declared output and in the build context."
    assert problem.hint == "Add src/made.bin to .dockerignore."


@pytest.mark.parametrize(
    "ignore", ["out\nsrc/made.bin\n", "*\n!src\nsrc/*.bin\n", "**\n!Dockerfile\n"]
)
def test_outputs_that_are_ignored_are_fine(tmp_path: Path, ignore: str) -> None:
    assert build_context_problems(project(tmp_path, ignore=ignore)) == ()


def test_our_own_folder_in_the_context_is_a_warning(tmp_path: Path) -> None:
    (warning,) = state_in_context(project(tmp_path, ignore="out\n"))
    assert warning.endswith("Add .mcgitops to .dockerignore.")
    assert "service train: .mcgitops is in the build context" in warning
    for ignore in (".mcgitops", ".mcgitops/", ".*", "**/.mcgitops", "*\n!src"):
        assert state_in_context(project(tmp_path, ignore=ignore)) == ()


FROM = {
    "plain": ("FROM debian:12\n", ("debian:12",)),
    "by digest": ("FROM a@sha256:" + "0" * 64 + "\n", ("a@sha256:" + "0" * 64,)),
    "an argument of the Dockerfile": ("ARG V=3\nFROM a:${V}\n", ("a:3",)),
    "an argument of the file": ("ARG BASE=x\nFROM ${BASE}\n", ("python:3.12",)),
    "a default within": ("FROM ${NOPE:-alpine}\n", ("alpine",)),
    "stages of the Dockerfile": (
        "FROM a:1 AS build\nFROM --platform=linux/amd64 b:2 as x\nFROM build\nCOPY --from=x a b\n",
        ("a:1", "b:2"),
    ),
    "nothing": ("FROM scratch\n", ("scratch",)),
}


@pytest.mark.parametrize("case", FROM)
def test_the_base_images_of_a_dockerfile(tmp_path: Path, case: str) -> None:
    text, expected = FROM[case]
    made = project(tmp_path, text)
    assert base_images(made, made.services["train"]) == expected
    unpinned = [image for image in expected if "@" not in image and image != "scratch"]
    assert len(unpinned_images(made)) == len(unpinned)
