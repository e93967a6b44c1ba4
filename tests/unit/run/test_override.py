"""The second compose file of a run, as Compose itself merges it with the first."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcgitops.facts.compose import load_project
from mcgitops.plan.model import RunPlan
from mcgitops.plan.override import (
    needs_no_network_of_its_own,
    override,
    volumes,
)
from mcgitops.project.model import Combination, Project

PROJECT = """\
name: wine
services:
  train:
    build: .
    container_name: fixed
    restart: always
    ports: ["8080:80"]
    command: [sh, -c, "echo $$HOME"]
    environment: {SEED: "0", KEEP: "a$$b"}
    labels: {own: label}
    depends_on: [db, first]
    configs: [settings]
    volumes:
      - ./data:/app/data:ro
      - ./out:/app/out
      - "./o$$d:/odd"
      - cache:/cache
      - {type: tmpfs, target: /scratch}
    x-mcgitops: {outputs: [out/model/x]}
  first:
    image: busybox
    volumes: ["./first:/first"]
    x-mcgitops: {outputs: [first/f]}
  db:
    image: postgres
    container_name: shop-db
    ports: ["5432:5432"]
    depends_on: [cache]
    volumes: ["./state:/var/lib"]
  cache: {image: redis}
  alone:
    image: busybox
    volumes: ["./:/app:ro", "./alone:/app/alone"]
    x-mcgitops: {outputs: [alone/a]}
  reader:
    image: busybox
    volumes: ["./:/app:ro", "./read:/app/read"]
    x-mcgitops: {outputs: [read/r], inputs: [data]}
volumes: {cache: {}}
configs: {settings: {content: "x"}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "compose.yml").write_text(PROJECT)
    for name in ("data", "out", "state"):
        (tmp_path / name).mkdir()
    return load_project(tmp_path)


def run_of(stage: str, **variables: str) -> RunPlan:
    combination = Combination((), tuple(variables.items()))
    return RunPlan(stage, combination, "f" * 64, {}, "mcgitops/wine:abc", cached=False, reason="")


def merged(project: Project, stage: str, text: str) -> dict[str, Any]:
    """What Compose makes of the project's file and the run's."""
    (project.folder / "override.yml").write_text(text)
    done = subprocess.run(
        ["docker", "compose", "--profile", "*", "-p", "wine-ffffffffffff", "-f", "compose.yml",
         "-f", "override.yml", "config"],
        cwd=project.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = yaml.safe_load(done.stdout.replace("$$", "$"))
    return document


def test_a_run_is_its_service_without_what_only_a_long_lived_one_needs(project: Project) -> None:
    train = project.services["train"]
    text = override(project, train, run_of("train", SEED="7", NOTE="$x ${y}"), owner="h:1")
    document = merged(project, "train", text)
    service = document["services"]["train"]
    assert service["image"] == "mcgitops/wine:abc"
    for gone in ("build", "container_name", "ports"):
        assert gone not in service
    assert service["restart"] == "no"
    assert service["pull_policy"] == "never"
    assert service["command"] == ["sh", "-c", "echo $HOME"]
    assert service["environment"] == {"SEED": "7", "NOTE": "$x ${y}", "KEEP": "a$b"}
    assert service["labels"] == {
        "own": "label", "mcgitops.project": "wine", "mcgitops.stage": "train",
        "mcgitops.run": "f" * 64, "mcgitops.owner": "h:1",
    }  # fmt: skip
    assert set(service["depends_on"]) == {"db"}  # stages are not started along
    mounts = {volume["target"]: volume for volume in service["volumes"]}
    assert mounts["/app/data"]["type"] == "bind"
    assert mounts["/app/out"]["type"] == "volume"
    assert mounts["/app/out"]["volume"] == {"nocopy": True}
    assert mounts["/odd"]["type"] == "volume"  # writable: another run may write there too
    assert mounts["/cache"]["source"] == "cache"
    assert mounts["/scratch"]["type"] == "tmpfs"
    assert len(service["volumes"]) == 5
    database = document["services"]["db"]
    assert "ports" not in database
    assert "container_name" not in database
    assert database["volumes"][0]["type"] == "volume"
    names = {value["name"] for value in document["volumes"].values() if value.get("external")}
    made = volumes(project, train, run_of("train"), engine_is_remote=False)
    assert names == {volume.name for volume in made}
    assert all(name.startswith("wine-ffffffffffff-") for name in names)


def test_what_shows_outputs_of_others_is_a_volume_and_what_does_not_is_not(
    project: Project,
) -> None:
    alone = project.services["alone"]
    run = run_of("alone")
    made = {v.target: v for v in volumes(project, alone, run, engine_is_remote=False)}
    # ./ shows the outputs of train and first, which must come from the store
    assert made["/app"].read_only
    assert not made["/app"].holds_outputs
    assert made["/app/alone"].holds_outputs
    entry = merged(project, "alone", override(project, alone, run))["services"]["alone"]
    assert [v.get("read_only", False) for v in entry["volumes"]] == [True, False]


def test_data_that_no_stage_writes_stays_where_it_is(project: Project) -> None:
    made = volumes(project, project.services["train"], run_of("train"), engine_is_remote=False)
    assert "/app/data" not in {volume.target for volume in made}


def test_with_inputs_or_an_engine_elsewhere_every_mount_is_a_volume(project: Project) -> None:
    reader, train = project.services["reader"], project.services["train"]
    local = volumes(project, reader, run_of("reader"), engine_is_remote=False)
    assert {volume.target for volume in local} == {"/app", "/app/read"}
    remote = volumes(project, train, run_of("train"), engine_is_remote=True)
    assert {v.target for v in remote if v.service == "train"} == {"/app/data", "/app/out", "/odd"}
    assert {v.target for v in remote if v.service == "db"} == {"/var/lib"}


def test_volumes_of_side_by_side_runs_have_names_of_their_own(project: Project) -> None:
    train = project.services["train"]
    one, two = run_of("train"), RunPlan(
        "train", Combination(), "a" * 64, {}, "i", cached=False, reason=""
    )  # fmt: skip
    names = [
        {volume.name for volume in volumes(project, train, run, engine_is_remote=False)}
        for run in (one, two)
    ]
    assert not names[0] & names[1]


def test_a_single_file_becomes_an_inline_config_beside_the_services_own(project: Project) -> None:
    source = str(project.folder / "o$d")
    train = project.services["train"]
    text = override(project, train, run_of("train"), files={source: "pass$word\n${x}\n"})
    document = merged(project, "train", text)
    service = document["services"]["train"]
    assert "/odd" not in {volume["target"] for volume in service["volumes"]}
    targets = {c.get("target", c["source"]): c["source"] for c in service["configs"]}
    assert set(targets) == {"settings", "/odd"}
    assert document["configs"][targets["/odd"]]["content"] == "pass$word\n${x}\n"


NETWORKS = {
    "nothing said": ("", True),
    "the default one, plain": ("networks: [default]", True),
    "one of its own": ("networks: [back]", False),
    "an alias on the default one": ("networks: {default: {aliases: [x]}}", False),
    "the host's": ("network_mode: host", False),
    "a companion to reach": ("depends_on: [db]", False),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_is_made_only_where_it_is_needed(tmp_path: Path, case: str) -> None:
    key, spared = NETWORKS[case]
    text = textwrap.dedent(f"""\
        name: n
        services:
          train:
            image: i
            {key}
            volumes: ["./out:/out"]
            x-mcgitops: {{outputs: [out/x]}}
          db: {{image: d}}
        networks: {{back: {{}}}}
        """)
    (tmp_path / "compose.yml").write_text(text)
    project = load_project(tmp_path)
    assert needs_no_network_of_its_own(project, project.services["train"]) is spared
