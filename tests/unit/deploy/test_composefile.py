"""What a release keeps of the compose file, and what becomes of it on a host."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mcgitops.deploy import composefile, yamlfile
from mcgitops.deploy.composefile import Rendering, host_form, needs, release_form, restricted

PRINTED = """
configs:
  banner: {name: wine_banner, content: "hello ${WHO:-you} $$1"}
  file: {name: wine_file, file: ./app.conf}
  unused: {name: wine_unused, content: x}
name: wine
networks:
  default: {name: wine_default}
  train_only: {name: wine_train_only}
secrets:
  token: {name: wine_token, environment: TOKEN}
  key: {name: wine_key, file: ../keys/key.pem}
services:
  train:
    build: {context: ., target: train}
    networks: {default: null, train_only: null}
    x-mcgitops: {metrics: [out/m.json]}
  api:
    build: {context: ., args: {A: "${ARG}"}}
    configs: [{source: banner}, {source: file}]
    secrets: [{source: token}, {source: key}]
    depends_on:
      train: {condition: service_completed_successfully, required: true}
      db: {condition: service_healthy, required: true}
    develop: {watch: []}
    env_file: [{path: api.env, required: true}, {path: local.env, required: false}]
    environment: [PASSED, "SET=${SET:?}", "DOLLAR=$$NOT"]
    networks: {default: null}
    pull_policy: always
    volumes:
      - {type: bind, source: ./out, target: /models, read_only: true}
      - {type: bind, source: /srv/data, target: /data}
      - {type: bind, source: ~/cache, target: /cache}
      - {type: bind, source: ./uploads, target: /uploads}
      - {type: volume, source: "${WHERE:-./x}", target: /x, read_only: true}
  db:
    image: postgres:16
    networks: {default: null}
    volumes: [{type: volume, source: pg, target: /var/lib/postgresql/data, volume: {}}]
    deploy: {replicas: 1, update_config: {order: stop-first, delay: "${DELAY:-1s}"}}
    x-mcgitops: {smoke: [{port: 80}]}
  tools:
    image: tools
    profiles: [debug]
    networks: {default: null}
volumes:
  pg: {name: wine_pg}
  other: {name: wine_other}
x-mcgitops: {store: s3://x}
"""


@pytest.fixture
def kept() -> dict[str, Any]:
    return release_form(yamlfile.read(PRINTED))


def test_a_release_has_no_stages_but_keeps_our_keys_for_agents(kept: dict[str, Any]) -> None:
    assert sorted(kept["services"]) == ["api", "db", "tools"]
    assert kept["x-mcgitops"] == {"store": "s3://x"}
    assert "x-mcgitops" in kept["services"]["db"]
    api = kept["services"]["api"]
    assert list(api["depends_on"]) == ["db"]
    assert not {"build", "develop", "pull_policy"} & api.keys()


def test_what_no_service_uses_is_dropped_and_so_are_default_names(kept: dict[str, Any]) -> None:
    assert sorted(kept["configs"]) == ["banner", "file"]
    assert kept["networks"] == {"default": None}
    assert kept["configs"]["file"] == {"file": "./app.conf"}
    # a volume of that name may be meant by the mount whose source is a variable
    assert sorted(kept["volumes"]) == ["other", "pg"]
    external = {**yamlfile.read(PRINTED), "networks": {"default": {"name": "n", "external": True}}}
    assert release_form(external)["networks"]["default"] == {"name": "n", "external": True}


def test_a_mount_whose_source_is_a_variable_stays_as_it_was_written(kept: dict[str, Any]) -> None:
    assert kept["services"]["api"]["volumes"][-1] == "${WHERE:-./x}:/x:ro"
    assert composefile.undecided_sources(kept) == (("api", "${WHERE"),)


def test_needs_name_everything_that_the_file_refers_to(kept: dict[str, Any]) -> None:
    found = needs(kept)
    assert found.mounts == ("out", "uploads", "app.conf")
    assert found.env_files == (("api.env", True), ("local.env", False))
    assert found.secret_files == ("../keys/key.pem",)
    assert found.variables == ("DELAY", "PASSED", "SET", "TOKEN", "WHERE", "WHO")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("$A ${B} ${C:-x} ${D-${E}} ${F:?say $G} $$H $${I}", set("ABCDEFG")),
        ("100% $ 5 $1", set()),
        ({"environment": "not a service's"}, set()),
    ],
)
def test_variables_of_every_form(text: Any, names: set[str]) -> None:
    assert composefile.variables(text) == names


def test_services_can_be_chosen_and_bring_what_they_depend_on(kept: dict[str, Any]) -> None:
    assert sorted(restricted(kept, None)["services"]) == ["api", "db"]
    assert sorted(restricted(kept, ["api"])["services"]) == ["api", "db"]
    only = restricted(kept, ["tools"])
    assert list(only["services"]) == ["tools"]
    assert "profiles" not in only["services"]["tools"]
    assert not {"configs", "secrets", "volumes"} & only.keys()


def rendered(
    kept: dict[str, Any], more: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    given: dict[str, Any] = {
        "project": "wine",
        "pins": {"api": "sha256:" + "1" * 64, "db": "sha256:" + "2" * 64},
        "mounted": {"out": "files/abc", "app.conf": "files/def/app.conf"},
        "env_files": {"api.env": "env/0-api.env"},
        "secret_files": {"../keys/key.pem": "secrets/0a1b/key.pem"},
        "values": {"WHO": "ada", "TOKEN": "t"},
        "contents": {"../keys/key.pem": "digest"},
    }
    document, rendering = restricted(kept, None), Rendering(**{**given, **changes})
    host = host_form(document, rendering)
    resolved = copy.deepcopy(host)
    resolved["services"]["db"]["deploy"].update(more or {})
    digests = {
        name: composefile.configuration(resolved, name, document, rendering)
        for name in resolved["services"]
    }
    return composefile.finished(host, digests)


def test_on_a_host_images_are_pinned_and_paths_lead_into_its_folders(kept: dict[str, Any]) -> None:
    host = rendered(kept)
    api = host["services"]["api"]
    assert api["image"] == "mcgitops/wine/api:sha256-1111111111111111"
    assert host["services"]["db"]["image"] == "mcgitops/wine/db:sha256-2222222222222222"
    sources = [m if isinstance(m, str) else m["source"] for m in api["volumes"]]
    assert sources == [
        "../../../files/abc", "/srv/data", "~/cache", "../../../state/uploads",
        "${WHERE:-./x}:/x:ro",
    ]  # fmt: skip
    # an optional env file that isn't there is left out
    assert api["env_file"] == [{"path": "./env/0-api.env", "required": True}]
    assert host["configs"]["file"]["file"] == "../../../files/def/app.conf"
    assert host["secrets"]["key"]["file"] == "../../../secrets/0a1b/key.pem"


@pytest.mark.parametrize(
    "changes",
    [
        {"values": {"WHO": "eve", "TOKEN": "t"}},
        {"values": {"WHO": "ada", "TOKEN": "u"}},
        {"contents": {"../keys/key.pem": "other"}},
        {"mounted": {"out": "files/abc", "app.conf": "files/other/app.conf"}},
    ],
)
def test_changed_configs_and_secrets_change_a_label_of_those_who_use_them(
    kept: dict[str, Any], changes: dict[str, Any]
) -> None:
    first, second = rendered(kept), rendered(kept, **changes)
    label = composefile.CONFIGURATION_LABEL
    assert first["services"]["api"]["labels"][label] != second["services"]["api"]["labels"][label]
    assert first["services"]["db"] == second["services"]["db"]
    assert first["services"]["db"]["labels"][label]


def test_on_a_host_nothing_is_left_of_our_keys_and_of_policies(kept: dict[str, Any]) -> None:
    text = yamlfile.write(rendered(kept))
    assert "x-mcgitops" not in text
    assert "update_config" not in text


@pytest.mark.parametrize(
    ("more", "same"),
    [
        ({"replicas": 5}, True),
        ({"update_config": {"order": "start-first"}}, True),
        ({"resources": {"limits": {"memory": "1g"}}}, False),
    ],
)
def test_only_what_makes_a_container_another_one_changes_its_label(
    kept: dict[str, Any], more: dict[str, Any], same: bool
) -> None:
    label = composefile.CONFIGURATION_LABEL
    before = rendered(kept)["services"]["db"]["labels"][label]
    assert (rendered(kept, more)["services"]["db"]["labels"][label] == before) is same


def test_values_themselves_are_not_in_the_file(kept: dict[str, Any]) -> None:
    text = yamlfile.write(rendered(kept, values={"WHO": "canary", "TOKEN": "canary"}))
    assert "canary" not in text


@pytest.mark.parametrize(
    ("service", "count"),
    [
        ({}, 1),
        ({"deploy": {"replicas": 3}}, 3),
        ({"scale": 2}, 2),
        ({"deploy": {"replicas": "2"}}, 2),
        ({"deploy": {"replicas": "${N:-2}"}}, 1),
    ],
)
def test_replicas(service: dict[str, Any], count: int) -> None:
    assert composefile.replicas(service) == count
