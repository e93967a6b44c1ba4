"""A plan as text, as JSON and as a script: what people and bash make of it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcgitops.cli.plan import saved_plan
from mcgitops.commands.command import Command, Secret
from mcgitops.plan.model import Plan, Revision, Section
from mcgitops.plan.planner import changed_facts
from mcgitops.plan.views import to_json, to_shell, to_text
from tests.unit.plan.world import World, project

PROJECT = """\
name: wine
services:
  train:
    build: {context: /p/app, dockerfile: Dockerfile}
    volumes: [{type: bind, source: /p/out, target: /out}]
    x-mcgitops:
      params: [params.yaml]
      outputs: [out/model]
      replicates: {SEED: [0, 1]}
  after:
    image: x
    depends_on: {train: {condition: service_started}}
    volumes: [{type: bind, source: /p/after, target: /after}]
    x-mcgitops: {outputs: [after/x]}
"""
FILES = {"app/Dockerfile": "1", "params.yaml": "1"}
HOSTILE = (
    "\n", "\r", "\x0b", "\x1b[2J", "\u2028", "\x85", "\0", "\n$(touch /tmp/x)\n", "'; exit 9 #",
    '"', "`exit 9`", "\\", "\n'", "EOF", "\t", "é", "a\n\nexit 9",
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(HOSTILE))


def trained() -> World:
    """A world where all has run once."""
    world = World(project(PROJECT), dict(FILES), {"params.yaml": {"lr": 0.1}})
    world.head = Revision("a1b2c3d4" * 5, "main")
    world.do(world.plan())
    return world


def executed(script: str) -> list[list[str]]:
    """The words of each program that bash starts for a script; none is really started."""
    stubs = "".join(
        f"{name}() {{ printf '%s\\0' {name} \"$@\" '---'; }}\n" for name in ("docker", "mcgitops")
    )
    checked = subprocess.run(["bash", "-n"], input=script.encode(), capture_output=True)
    assert checked.returncode == 0, checked.stderr
    done = subprocess.run(["bash"], input=(stubs + script).encode(), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    calls: list[list[str]] = [[]]
    for word in done.stdout.decode().split("\0")[:-1]:
        if word == "---":
            calls.append([])
        else:
            calls[-1].append(word)
    return calls[:-1]


def words(decided: Plan) -> list[list[str]]:
    return [list(command.argv) for command in decided.commands]


def test_the_script_executes_exactly_the_commands_of_the_plan() -> None:
    decided = World(project(PROJECT), dict(FILES)).plan()
    script = to_shell(decided, files=("/p/a b.yml",), folder="/tmp")
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in script
    assert "export COMPOSE_FILE='/p/a b.yml'" in script
    assert executed(script) == words(decided)
    assert len(words(decided)) == 9


@given(
    st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=4), TEXTS, TEXTS,
)  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_hostile_parameters_and_branches_cannot_leave_their_comments(
    values: dict[str, str], branch: str, warning: str
) -> None:
    world = trained()
    world.files["params.yaml"] = "2"
    world.params = {"params.yaml": values}
    world.head = Revision("f" * 40, branch, dirty=True)
    decided = replace(world.plan(), warnings=(warning,))
    assert executed(to_shell(decided)) == words(decided)
    text = to_text(decided)
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert len(text.splitlines()) == len(to_text(replace(decided, warnings=("w",))).splitlines())


def test_a_secret_is_asked_for_and_not_in_the_script() -> None:
    command = Command(("docker", "x"), env={"TOKEN": Secret("TOKEN", "geheim")})
    decided = replace(trained().plan(), sections=(Section("s", commands=(command,)),))
    script = to_shell(decided)
    assert "geheim" not in script + to_text(decided) + json.dumps(to_json(decided))
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True)
    assert done.returncode != 0
    assert "TOKEN: set this variable first" in done.stderr
    with_it = subprocess.run(
        ["bash"], input="docker() { echo got $TOKEN; }\n" + script, capture_output=True, text=True,
        env={"TOKEN": "it", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert with_it.stdout == "got it\n"


@pytest.mark.parametrize(("undone", "code"), [("true", 5), ("false", 6)])
def test_a_section_with_a_way_back_takes_it_when_a_command_fails(undone: str, code: int) -> None:
    section = Section(
        "deploy", commands=(Command(("echo", "one")), Command(("false",)), Command(("echo", "no"))),
        undo=(Command((undone,), reason="back"), Command(("echo", "two"))),
    )  # fmt: skip
    script = to_shell(replace(trained().plan(), sections=(section,)))
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stdout == "one\ntwo\n"


def test_the_text_numbers_commands_and_says_why() -> None:
    world = trained()
    world.files["params.yaml"] = "2"
    world.params = {"params.yaml": {"lr": 0.05}}
    lines = to_text(world.plan()).splitlines()
    assert lines[0] == "wine · a1b2c3d on main"
    assert lines[2] == "train    run ×2    params.yaml: lr 0.1 → 0.05"
    assert lines[3].startswith("  1  docker buildx build --load --tag mcgitops/wine:")
    assert "     last time 41 s ×2" in lines
    assert "after    pending   decides when train is done" in lines
    assert lines[-1] == "9 commands, nothing executed."
    done = to_text(trained().plan()).splitlines()
    assert done[-1] == "Nothing to do."
    assert done[2].startswith("train  cached")


def test_the_headline_says_where_it_stands() -> None:
    decided = trained().plan()
    against = replace(decided, base=Revision("9f8e7d6" + "0" * 33, "main"))
    assert to_text(against).startswith("wine · a1b2c3d on main, compared with main at 9f8e7d6\n")
    dirty = replace(decided, head=Revision("f" * 40, "", dirty=True))
    assert to_text(dirty).startswith("wine · fffffff with uncommitted changes\n")
    assert to_text(replace(decided, head=Revision())).startswith("wine · not a commit yet\n")


# saved plans


def save(decided: Plan, path: Path) -> Path:
    path.write_text(json.dumps(to_json(decided)))
    return path


def test_a_saved_plan_holds_the_facts_and_stages_that_it_was_made_from(tmp_path: Path) -> None:
    decided = World(project(PROJECT), dict(FILES)).plan()
    loaded = saved_plan(str(save(decided, tmp_path / "p.json")), "wine")
    assert loaded.facts == dict(decided.facts)
    assert loaded.stages == ("train", "after")
    assert changed_facts(loaded.facts, decided.facts) == []


CHANGES: dict[str, tuple[Any, list[str]]] = {
    "a parameter file": (lambda w: w.files.update({"params.yaml": "2"}), ["params.yaml"]),
    "the Dockerfile": (
        lambda w: w.files.update({"app/Dockerfile": "2"}),
        ["app/Dockerfile", "build context app"],
    ),
    "the file": (
        lambda w: setattr(w, "project", project(PROJECT.replace("image: x", "image: y"))),
        ["definition of after"],
    ),
    "the commit": (
        lambda w: setattr(w, "head", Revision("c" * 40)),
        [f"commit ({'a1b2c3d4' * 5} → {'c' * 40})"],
    ),
    "the store": (
        lambda w: setattr(w, "remote", "s3://a/b"),
        ["store (local → s3://a/b)"],
    ),
    "the folder": (lambda w: w.folder.clear(), ["outputs in the folder"]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_cause_is_named_not_what_follows_from_it(what: str) -> None:
    world = trained()
    before = dict(world.plan().facts)
    change, expected = CHANGES[what]
    change(world)
    assert sorted(changed_facts(before, world.plan().facts)) == sorted(expected)


def test_a_run_that_came_to_be_meanwhile_is_named() -> None:
    world = World(project(PROJECT), dict(FILES))
    decided = world.plan()
    world.do(decided)
    first = decided.stage("train").runs[0]
    changed = changed_facts(decided.facts, world.plan().facts)
    assert changed[0] == f"run {first.id} of train SEED=0 (it is in the store now)"


def test_a_pending_stage_that_was_edited_is_noticed() -> None:
    world = World(project(PROJECT), dict(FILES))
    before = world.plan()
    assert before.stage("after").state == "pending"
    world.project = project(PROJECT.replace("image: x", "image: y"))
    assert changed_facts(before.facts, world.plan().facts) == ["definition of after"]
