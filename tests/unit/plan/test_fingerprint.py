"""A fingerprint changes when, and only when, what it stands for changes."""

from __future__ import annotations

import textwrap

import pytest

from mcgitops.plan.model import Plan
from tests.unit.plan.world import World, project

PROJECT = """\
name: wine
services:
  db:
    image: postgres:16
    environment: {MODE: fast}
    volumes: [{type: bind, source: /p/seed, target: /seed, read_only: true}]
  evaluate:
    image: python:3.12
    command: [python, evaluate.py]
    depends_on: {train: {condition: service_completed_successfully, required: true}}
    volumes: [{type: bind, source: /p/out, target: /app/out}]
    x-mcgitops: {metrics: [out/eval.json]}
  train:
    build:
      context: /p/app
      dockerfile: Dockerfile
      target: train
      args: {BASE: "debian:12"}
      labels: {built: now}
      additional_contexts: {assets: /p/assets, image: "docker-image://busybox:1"}
      secrets: [{source: pip}]
    command: [python, train.py]
    environment: {SEED: "0", THREADS: "2"}
    depends_on: {db: {condition: service_started, required: true}}
    configs: [{source: inline}, {source: file}]
    secrets: [{source: api}]
    networks: {default: null}
    restart: always
    volumes:
      - {type: bind, source: /p/data, target: /app/data, read_only: true}
      - {type: bind, source: /p/environment, target: /app/environment, read_only: true}
      - {type: bind, source: /mnt/shared, target: /shared, read_only: true}
      - {type: bind, source: /mnt/scratch, target: /scratch}
      - {type: bind, source: /var/run/docker.sock, target: /var/run/docker.sock}
      - {type: bind, source: /p/out, target: /app/out}
    x-mcgitops:
      params: [params.yaml]
      metrics: [out/metrics.json]
      outputs: [out/model]
      replicates: {SEED: [0, 1]}
      timeout: 1h
networks: {default: {name: wine_default}}
configs: {inline: {content: hello}, file: {file: /p/app.conf}}
secrets: {pip: {environment: PIP}, api: {file: /p/api.key}}
x-mcgitops:
  store: s3://a/b
  metrics: {accuracy: {goal: maximize}}
"""
FILES = dict.fromkeys(
    (
        "app/Dockerfile", "app/train.py", "params.yaml", "data/train.csv", "assets/a", "app.conf",
        "api.key", "seed/a.sql", "environment/e", "/mnt/shared/s", "/mnt/scratch/t", "out/model",
        "out/own.txt", "out/metrics.json",
    ),
    "1",
)  # fmt: skip


def planned(text: str = PROJECT, files: dict[str, str] | None = None) -> Plan:
    """The plan of a world where nothing has run."""
    return World(project(text), {**FILES, **(files or {})}).plan()


def prints(decided: Plan) -> dict[str, str]:
    """The fingerprint of each run that is decided on."""
    return {run.label: run.fingerprint for stage in decided.stages for run in stage.runs}


BEFORE = prints(planned())

DECIDES = {
    "the command": ("python, train.py", "python, train2.py"),
    "an environment variable": ('THREADS: "2"', 'THREADS: "3"'),
    "a new environment variable": ('THREADS: "2"', 'THREADS: "2", NEW: ""'),
    "the build's target": ("target: train", "target: other"),
    "a build argument": ("debian:12", "debian:13"),
    "which Dockerfile": ("dockerfile: Dockerfile", "dockerfile: train.py"),
    "an inline Dockerfile": ("dockerfile: Dockerfile", "dockerfile_inline: FROM x"),
    "an image as extra context": ("busybox:1", "busybox:2"),
    "the content of an inline config": ("content: hello", "content: bye"),
    "where a volume is mounted": ("target: /app/data,", "target: /app/data2,"),
    "whether a volume is read-only": (
        "target: /shared, read_only: true", "target: /shared, read_only: false",
    ),
    "another folder outside": ("source: /mnt/scratch", "source: /mnt/scratch2"),
    "which secrets there are, by name": ("secrets: [{source: api}]", "secrets: []"),
    "which secrets the build gets": ("secrets: [{source: pip}]", "secrets: []"),
    "what is declared as written": ("outputs: [out/model]", "outputs: [out/model, out/more]"),
    "what a file is declared as": (
        "outputs: [out/model]", "plots: [out/model]",
    ),
    "what the stage may read": ("timeout: 1h", "inputs: [data/train.csv]"),
    "the user": ("restart: always", 'user: "1000"'),
    "the working folder": ("restart: always", "working_dir: /w"),
    "devices": ("restart: always", "gpus: [{count: 1}]"),
    "the image of a database beside it": ("postgres:16", "postgres:17"),
    "the environment of a database beside it": ("MODE: fast", "MODE: slow"),
}  # fmt: skip
INDIFFERENT = {
    "a restart policy": ("restart: always", "restart: no"),
    "a container's name": ("restart: always", "container_name: x"),
    "published ports": ("restart: always", "ports: [{target: 80, published: '8080'}]"),
    "labels": ("restart: always", "labels: {a: b}"),
    "limits": ("restart: always", "mem_limit: '1000000'"),
    "a health check": ("restart: always", "healthcheck: {test: [CMD, x]}"),
    "logging": ("restart: always", "logging: {driver: none}"),
    "profiles": ("restart: always", "profiles: [train]"),
    "notes": ("restart: always", "x-note: a"),
    "the build's labels": ("built: now", "built: later"),
    "the build's cache": ("target: train", "target: train\n      cache_from: [x]"),
    "the build's tags": ("target: train", "target: train\n      tags: [x]"),
    "a timeout": ("timeout: 1h", "timeout: 2h"),
    "which run is selected": ("timeout: 1h", "select: {SEED: 1}"),
    "the store": ("s3://a/b", "s3://c/d"),
    "a gate": ("{goal: maximize}", "{goal: maximize, gate: {min: 1}}"),
    "the default of a varied variable": ('SEED: "0"', 'SEED: "7"'),
    "the name of the default network": ("wine_default", "other_default"),
    "a database's profiles": ("image: postgres:16", "image: postgres:16\n    profiles: [x]"),
    "the order of what is declared": ("metrics: [out/metrics.json]", "metrics: [out/metrics.json]"),
}


@pytest.mark.parametrize("what", DECIDES)
def test_what_decides_changes_the_fingerprint(what: str) -> None:
    old, new = DECIDES[what]
    assert old in PROJECT
    after = prints(planned(PROJECT.replace(old, new, 1)))
    assert after.keys() == BEFORE.keys()
    assert not set(after.values()) & set(BEFORE.values())


@pytest.mark.parametrize("what", INDIFFERENT)
def test_what_decides_nothing_does_not(what: str) -> None:
    old, new = INDIFFERENT[what]
    assert old in PROJECT
    assert prints(planned(PROJECT.replace(old, new, 1))) == BEFORE


READ = (
    "app/train.py", "app/Dockerfile", "app/new.py", "params.yaml", "data/train.csv", "data/new.csv",
    "assets/a",
    "app.conf", "seed/a.sql", "environment/e", "/mnt/shared/s", "out/own.txt",
)  # fmt: skip
NOT_READ = (
    "README.md",
    "api.key",
    "out/model",
    "out/metrics.json",
    "out/eval.json",
    "/mnt/scratch/t",
    "/mnt/other",
)


@pytest.mark.parametrize("path", READ)
def test_content_that_is_read_changes_the_fingerprint(path: str) -> None:
    after = prints(planned(files={path: "2"}))
    assert not set(after.values()) & set(BEFORE.values())


@pytest.mark.parametrize("path", NOT_READ)
def test_content_that_is_not_read_or_is_produced_does_not(path: str) -> None:
    assert prints(planned(files={path: "2"})) == BEFORE


def test_values_of_the_environment_are_in_no_record() -> None:
    decided = planned(PROJECT.replace('THREADS: "2"', "TOKEN: geheim"))
    assert "geheim" not in str([run.facts for stage in decided.stages for run in stage.runs])


def test_each_run_of_a_matrix_has_its_own_and_adding_one_leaves_the_others() -> None:
    assert len(set(BEFORE.values())) == 2
    more = prints(planned(PROJECT.replace("SEED: [0, 1]", "SEED: [0, 1, 2]")))
    assert {label: more[label] for label in BEFORE} == BEFORE
    assert len(set(more.values())) == 3


def test_the_same_project_in_another_folder_has_the_same_fingerprints() -> None:
    from tests.unit.plan import world

    text = PROJECT.replace("/p/", "/elsewhere/wine/")
    before = world.FOLDER
    world.FOLDER = before.__class__("/elsewhere/wine")
    try:
        assert prints(planned(text)) == BEFORE
    finally:
        world.FOLDER = before


@pytest.mark.parametrize(
    "name", ["build", "environment", "volumes", "inputs", "image", "command", "secrets", "declared",
             "configs", "user", "service db", "variable SEED"],
)  # fmt: skip
def test_a_folder_of_whatever_name_hides_nothing(name: str) -> None:
    text = PROJECT.replace("/p/data", f"/p/{name}").replace("timeout: 1h", f"inputs: ['{name}']")
    files = {f"{name}/x": "1"}
    before = prints(planned(text, files))
    for changed in (
        prints(planned(text, {f"{name}/x": "2"})),
        prints(planned(text.replace('THREADS: "2"', 'THREADS: "3"'), files)),
        prints(planned(text.replace("debian:12", "debian:13"), files)),
        prints(planned(text.replace("python, train.py", "python, x.py"), files)),
        prints(planned(text.replace("target: /scratch", "target: /s"), files)),
        prints(planned(text.replace("postgres:16", "postgres:17"), files)),
        prints(planned(text.replace("secrets: [{source: api}]", "secrets: []"), files)),
        prints(planned(text.replace("outputs: [out/model]", "outputs: [out/m]"), files)),
    ):
        assert not set(changed.values()) & set(before.values())


def test_an_extra_context_called_like_the_build_context_hides_nothing() -> None:
    text = PROJECT.replace("{assets:", "{app:")
    before = prints(planned(text))
    for files in ({"app/x": "2"}, {"assets/a": "2"}):
        assert prints(planned(text, files)) != before


def test_a_database_that_reads_more_of_a_folder_than_the_stage_counts_in_full() -> None:
    text = PROJECT.replace("source: /p/seed", "source: /p/data").replace(
        "timeout: 1h", "inputs: [data/train.csv]"
    )
    before = prints(planned(text, {"data/for-the-database": "1"}))
    assert prints(planned(text, {"data/for-the-database": "2"})) != before


def test_downstream_depends_on_the_content_of_the_selected_run_only() -> None:
    text = textwrap.dedent("""\
        name: two
        services:
          a:
            image: x
            volumes: [{type: bind, source: /p/a, target: /a}]
            x-mcgitops: {outputs: [a/x], replicates: {S: [0, 1]}}
          b:
            image: x
            depends_on: {a: {condition: service_started}}
            volumes: [{type: bind, source: /p/b, target: /b}]
            x-mcgitops: {outputs: [b/x]}
        """)
    world = World(project(text))
    world.do(world.plan())
    b = world.plan().stage("b").runs[0]
    assert b.cached
    other = world.plan().stage("a").runs[1].fingerprint
    same = world.runs[other]
    world.runs[other] = type(same)(**{**same.__dict__, "content": "sha256:else"})
    assert world.plan().stage("b").runs[0].fingerprint == b.fingerprint
    chosen = world.plan().stage("a").selected
    world.runs[chosen] = type(same)(**{**world.runs[chosen].__dict__, "content": "sha256:else"})
    assert world.plan().stage("b").runs[0].fingerprint != b.fingerprint
    assert world.plan().stage("b").reason == "a gave something else"
