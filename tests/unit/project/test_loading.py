"""What Compose resolves arrives as typed objects: files, paths, variables, stages in order."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mcgitops.project.base import seconds
from mcgitops.project.load import unescape
from mcgitops.project.model import Combination
from mcgitops.project.schema import COMPOSE, schema
from tests.unit.project.conftest import Load

STAGE = """\
services:
  train:
    image: busybox
    volumes: ["./out:/app/out"]
    x-mcgitops:
      metrics: [out/m.json]
"""


def test_a_plain_compose_file_without_our_keys_is_a_project(load: Load) -> None:
    project = load("services:\n  api: {image: caddy:2, ports: ['80:80']}\n  db: {image: pg}\n")
    assert project.stages == ()
    assert {service.name for service in project.deployed} == {"api", "db"}
    assert project.spec.store == ".mcgitops/store"


def test_stages_come_after_those_that_they_depend_on(load: Load) -> None:
    text = "services:\n"
    for name, needs in (("a", "[c]"), ("b", "[a, d]"), ("c", "[]"), ("d", "[a]")):
        text += (
            f"  {name}: {{image: i, depends_on: {needs}, volumes: ['./{name}:/o'], "
            f"x-mcgitops: {{outputs: [{name}/f]}}}}\n"
        )
    assert [stage.name for stage in load(text).stages] == ["c", "a", "d", "b"]


def test_services_of_inactive_profiles_are_loaded(load: Load) -> None:
    project = load(STAGE.replace("image: busybox", "image: busybox\n    profiles: [train]"))
    assert [stage.name for stage in project.stages] == ["train"]


def test_a_database_that_a_stage_needs_is_a_companion_and_a_stage_is_not(load: Load) -> None:
    project = load(
        STAGE
        + "    depends_on: [db, first]\n"
        + "  db: {image: pg, depends_on: [disk]}\n  disk: {image: d}\n  api: {image: a}\n"
        + "  first: {image: f, volumes: ['./a:/a'], x-mcgitops: {outputs: [a/x]}}\n"
    )
    train = project.services["train"]
    assert [service.name for service in project.companions(train)] == ["disk", "db"]
    assert [service.name for service in project.upstream(train)] == ["first"]


def test_replicates_vary_fastest_and_values_are_text_as_the_container_sees_them(
    load: Load,
) -> None:
    project = load(
        STAGE + "      matrix: {LR: [0.1, 1e-3], DROP: [true, false]}\n"
        "      replicates: {SEED: [0, 1]}\n      select: {DROP: false, SEED: 1}\n"
    )
    train = project.services["train"]
    assert [str(c) for c in train.combinations()] == [
        f"DROP={drop} LR={lr} SEED={seed}"  # Compose sorts keys; values keep their order
        for drop in ("true", "false")
        for lr in ("0.1", "0.001")
        for seed in ("0", "1")
    ]
    chosen = train.selected()
    assert isinstance(chosen, Combination)
    assert str(chosen) == "DROP=false LR=0.1 SEED=1"


def test_the_best_by_a_metric_is_selected_by_name(load: Load) -> None:
    project = load(
        STAGE
        + "      replicates: {SEED: [0, 1]}\n      select: {best: loss}\n"
        + "x-mcgitops: {metrics: {loss: {goal: minimize}}}\n"
    )
    assert project.services["train"].selected() == "loss"


def test_doubled_dollars_are_single_again_everywhere(load: Load) -> None:
    project = load(
        STAGE.replace("out/m.json", "'out/$$m.json'")
        + "    command: ['sh', '-c', 'echo $$HOME $$$$']\n    environment: {A: 'a$$b'}\n"
    )
    train = project.services["train"]
    assert train.spec.metrics == ("out/$m.json",)
    assert train.definition["command"] == ["sh", "-c", "echo $HOME $$"]
    assert train.environment == {"A": "a$b"}


@given(st.text(alphabet="$aB{}", max_size=12))
def test_unescaping_undoes_what_compose_doubles(text: str) -> None:
    assert unescape({"a": [text.replace("$", "$$")]}) == {"a": [text]}


def test_variables_are_filled_in_below_our_keys_too(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "models")
    project = load(
        {
            ".env": "NAME=final\n",
            "compose.yml": STAGE.replace("out/m.json", "'out/${NAME}.json'")
            + "x-mcgitops: {store: 's3://${BUCKET}/${PREFIX:-wine}'}\n",
        }
    )
    assert project.services["train"].spec.metrics == ("out/final.json",)
    assert project.spec.store == "s3://models/wine"


def test_an_unquoted_octal_is_warned_about_but_not_file_modes(load: Load) -> None:
    project = load(
        STAGE
        + "      matrix: {SEED: [010, '011', 7]}\n"
        + "    configs: [{source: c, mode: 0440}]\nconfigs: {c: {content: x}}\n"
    )
    assert project.warnings == (
        'compose.yml:7: 010 is read as octal (8). Write "010" if it is text.',
    )
    assert project.services["train"].spec.matrix == {"SEED": (8, "011", 7)}


GPU = {
    "gpus": ("gpus: all", True),
    "reserved devices": (
        "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}]}}}", True,
    ),
    "reserved memory only": ("deploy: {resources: {reservations: {memory: 1g}}}", False),
    "nothing": ("restart: no", False),
}  # fmt: skip


@pytest.mark.parametrize("case", GPU)
def test_a_stage_that_asks_for_a_gpu_is_known(load: Load, case: str) -> None:
    key, expected = GPU[case]
    project = load(STAGE.replace("image: busybox", f"image: busybox\n    {key}"))
    assert project.services["train"].uses_gpu is expected


# where files come from


def test_an_included_files_paths_are_rebased_as_compose_rebases_its_volumes(load: Load) -> None:
    project = load(
        {
            "compose.yml": "include: [a/a.yml]\nservices: {api: {image: b}}\n",
            "a/a.yml": "include: [b/b.yml]\nservices: {}\n",
            "a/b/b.yml": STAGE + "      params: [p.yaml]\n      inputs: [out/seed]\n",
        }
    )
    spec = project.services["train"].spec
    assert spec.metrics == ("a/b/out/m.json",)
    assert spec.params == ("a/b/p.yaml",)
    assert spec.inputs == ("a/b/out/seed",)


def test_an_includes_project_directory_is_what_its_paths_are_relative_to(load: Load) -> None:
    project = load(
        {
            "compose.yml": "include:\n  - {path: sub/o.yml, project_directory: .}\n"
            "services: {api: {image: b}}\n",
            "sub/o.yml": STAGE,
        }
    )
    assert project.services["train"].spec.metrics == ("out/m.json",)


def test_files_included_together_are_merged(load: Load) -> None:
    project = load(
        {
            "compose.yml": "include: [{path: [a/a.yml, a/o.yml]}]\nservices: {api: {image: b}}\n",
            "a/a.yml": STAGE,
            "a/o.yml": "services:\n  train:\n    x-mcgitops: {plots: [out/p.csv]}\n",
        }
    )
    assert project.services["train"].spec.produced == ("a/out/m.json", "a/out/p.csv")


@pytest.mark.parametrize("name", ["train", "fit"])
def test_an_extended_services_paths_are_relative_to_the_file_that_declares_them(
    load: Load, name: str
) -> None:
    project = load(
        {
            "compose.yml": f"services:\n  {name}:\n"
            "    extends: {file: base/b.yml, service: train}\n"
            "    volumes: ['./own:/own']\n    x-mcgitops: {outputs: [own/model]}\n",
            "base/b.yml": STAGE,
        }
    )
    spec = project.services[name].spec
    assert spec.metrics == ("base/out/m.json",)
    assert spec.outputs == ("own/model",)


def test_lists_of_several_files_append_and_repetitions_count_once(load: Load) -> None:
    project = load(
        {
            "compose.yml": STAGE,
            "b.yml": "services:\n  train:\n    x-mcgitops:\n"
            "      metrics: [out/m.json, out/n.json]\n      replicates: {SEED: [0, 1]}\n",
        },
        "compose.yml",
        "b.yml",
    )
    assert project.services["train"].spec.metrics == ("out/m.json", "out/n.json")
    assert [file.name for file in project.files] == ["compose.yml", "b.yml"]


def test_an_override_file_is_found_as_compose_finds_it(load: Load) -> None:
    project = load(
        {
            "compose.yml": STAGE,
            "compose.override.yml": "services:\n  train:\n    environment: {A: b}\n",
        }
    )
    assert [file.name for file in project.files] == ["compose.yml", "compose.override.yml"]
    assert project.services["train"].environment == {"A": "b"}


def test_merge_tags_take_our_keys_away_or_replace_them(load: Load) -> None:
    files = {"compose.yml": STAGE, "b.yml": "services: {train: {x-mcgitops: !reset null}}\n"}
    assert load(files, "compose.yml", "b.yml", name="one").stages == ()
    files["b.yml"] = "services: {train: {x-mcgitops: !override {metrics: [out/z.json]}}}\n"
    project = load(files, "compose.yml", "b.yml", name="two")
    assert project.services["train"].spec.metrics == ("out/z.json",)


def test_anchors_and_merge_keys_work_below_our_key(load: Load) -> None:
    project = load(
        "x-base: &base\n  metrics: [out/m.json]\n"
        + STAGE.replace(
            "      metrics: [out/m.json]\n", "      <<: *base\n      outputs: [out/x]\n"
        )
    )
    assert project.services["train"].spec.produced == ("out/m.json", "out/x")


def test_compose_file_of_the_environment_names_the_files(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSE_FILE", "a.yml:b.yml")
    project = load(
        {"a.yml": STAGE, "b.yml": "services: {train: {x-mcgitops: {plots: [out/p.csv]}}}\n"}
    )
    assert [file.name for file in project.files] == ["a.yml", "b.yml"]
    assert project.services["train"].spec.plots == ("out/p.csv",)


def test_compose_file_of_the_dotenv_names_the_files(load: Load) -> None:
    project = load({".env": 'COMPOSE_FILE="a.yml" # here\n', "a.yml": STAGE})
    assert [file.name for file in project.files] == ["a.yml"]


def test_the_file_is_found_from_a_folder_below(load: Load) -> None:
    project = load({"compose.yml": STAGE, "src/deep/x.py": ""}, start="src/deep")
    assert project.folder.name == "project"


def test_a_project_in_json_is_a_project(load: Load) -> None:
    text = json.dumps(yaml.safe_load(STAGE))
    assert load(text).services["train"].spec.metrics == ("out/m.json",)


def test_unicode_and_spaces_in_folders_and_paths(load: Load) -> None:
    project = load(
        STAGE.replace("./out:", "./größe und maß:").replace(
            "out/m.json", "'größe und maß/métrique 1.json'"
        ),
        name="projet été 数据",
    )
    train = project.services["train"]
    assert train.spec.metrics == ("größe und maß/métrique 1.json",)
    assert project.relative(train.mounts[0].source) == "größe und maß"


def test_a_file_of_thousands_of_lines_loads_in_seconds(load: Load) -> None:
    services = {
        f"s{number}": {
            "image": "b",
            "volumes": [f"./o{number}:/o"],
            "environment": {f"V{i}": str(i) for i in range(20)},
            "x-mcgitops": {"outputs": [f"o{number}/f{i}" for i in range(10)]},
        }
        for number in range(200)
    }
    text = yaml.safe_dump({"services": services})
    assert text.count("\n") > 7_000
    began = time.monotonic()
    project = load(text)
    assert len(project.stages) == 200
    assert time.monotonic() - began < 20


# values


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2h3m4s", 7384)]
)
def test_durations_are_seconds(text: str, expected: int) -> None:
    assert seconds(text) == expected


def _schema_without_compose() -> Draft202012Validator:
    made = schema()
    assert made["allOf"] == [{"$ref": COMPOSE}]
    del made["allOf"]  # it is on the network
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def test_the_schema_takes_what_loading_takes_and_refuses_a_misspelt_key() -> None:
    validator = _schema_without_compose()
    document = yaml.safe_load(
        STAGE
        + "      matrix: {LR: [0.1, a, true]}\n      select: {best: x}\n      timeout: 1h\n"
        + "x-mcgitops:\n  store: s3://b/c\n  metrics: {a: {goal: maximize, gate: {min: 1}}}\n"
        + "  environments: {p: {hosts: ['ssh://a'], trigger: {tag: 'v*'}}}\n"
    )
    assert [e.message for e in validator.iter_errors(document)] == []
    document["services"]["train"]["x-mcgitops"]["metric"] = ["a"]
    errors = [error.message for error in validator.iter_errors(document)]
    assert len(errors) == 1
    assert "metric" in errors[0]


def test_every_key_of_the_schema_says_what_it_is_for() -> None:
    definitions = schema()["$defs"]
    lacking = [
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, value in definition.get("properties", {}).items()
        if not value.get("description")
    ]
    assert lacking == []
    assert {"ProjectSpec", "StageSpec", "Environment", "Gate"} <= set(definitions)


def test_relative_names_only_what_is_inside(load: Load, tmp_path: Path) -> None:
    project = load(STAGE)
    assert project.relative(project.folder / "a/b") == "a/b"
    assert project.relative(project.folder) == "."
    assert project.relative(tmp_path / "elsewhere") is None
    assert project.relative(str(project.folder) + "-not") is None


def test_a_variable_in_a_hook_is_warned_about_as_its_value_would_be_shown(load: Load) -> None:
    project = load(
        """\
services: {web: {image: b}}
x-mcgitops:
  environments:
    p:
      hosts: [ssh://a]
      hooks:
        before_activate:
          - {run: ["psql", "$DATABASE_URL", "${SCHEMA:-public}"], service: web}
          - {run: "sh -c 'psql $$DATABASE_URL $$$$'", service: web}
          - {run: "echo $$$TOKEN", service: web}
"""
    )
    found = [(w.split(": ")[0], w.split(": ")[1].split(" ")[0]) for w in project.warnings]
    assert found == [
        ("compose.yml:8", "$DATABASE_URL"),
        ("compose.yml:8", "${SCHEMA:-public}"),
        ("compose.yml:10", "$TOKEN"),
    ]
    first, second, _ = project.spec.environments["p"].hooks.before_activate
    assert first.argv == ("psql", "", "public")
    assert second.argv == ("sh", "-c", "psql $DATABASE_URL $$")
