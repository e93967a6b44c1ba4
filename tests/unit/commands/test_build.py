"""The build command passes on every key of Compose's build section as Compose itself would."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from mcgitops.commands.build import UnsupportedBuildKey, buildx_build, looks_secret
from mcgitops.commands.command import Command, Secret
from mcgitops.facts.compose import load_project

PROJECT = """\
name: t
services:
  all:
    build:
      context: ctx
      dockerfile: prod.Dockerfile
      args: {A: "1", B: "with space", FLAG: true, FROM_ENVIRONMENT: , UNSET_ARGUMENT: }
      ssh: [default, "key=/tmp/k"]
      cache_from: ["type=local,src=/tmp/c", "img:cache"]
      cache_to: ["type=local,dest=/tmp/c"]
      extra_hosts: ["h1=1.2.3.4", "h2=::1"]
      isolation: default
      privileged: true
      labels: {l1: v1, l2: "v 2"}
      no_cache: true
      pull: true
      network: host
      shm_size: 64m
      target: prod
      secrets: [tok, {source: envtok, target: other}]
      ulimits: {nproc: 65535, nofile: {soft: 100, hard: 200}}
      platforms: [linux/amd64, linux/arm64]
      additional_contexts: {model: ./extra, img: "docker-image://busybox"}
      entitlements: [network.host]
      provenance: true
      sbom: true
      x-note: anything
  lists:
    build:
      context: .
      args: [A=1=2, FROM_ENVIRONMENT]
      labels: [a=b]
      extra_hosts: {h: [1.1.1.1, 2.2.2.2]}
      additional_contexts: [model=extra]
      provenance: mode=max
      sbom: generator=x/y
  plain: {build: ctx}
  remote: {build: "https://example.com/a.git#main:sub"}
secrets:
  tok: {file: ./tok}
  envtok: {environment: TOK}
"""

MULTIPLE = {
    "--build-arg": "args", "--build-context": "contexts", "--label": "labels",
    "--add-host": "extra-hosts", "--cache-from": "cache-from", "--cache-to": "cache-to",
    "--platform": "platforms", "--ssh": "ssh", "--allow": "entitlements", "--secret": "secret",
    "--ulimit": "ulimits", "--tag": "tags",
}  # fmt: skip
SINGLE = {
    "--target": "target", "--network": "network", "--shm-size": "shm-size", "--file": "dockerfile",
    "--provenance": "provenance", "--sbom": "sbom", "--metadata-file": "metadata-file",
}  # fmt: skip
FLAGS = {"--no-cache": "no-cache", "--pull": "pull", "--load": "load", "--push": "push"}


def parsed(command: Command) -> dict[str, Any]:
    """A build command in the words of a bake file."""
    assert command.argv[:3] == ("docker", "buildx", "build")
    found: dict[str, Any] = defaultdict(list)
    words = list(command.argv[3:-1])
    while words:
        option = words.pop(0)
        if option in FLAGS:
            found[FLAGS[option]] = True
        elif option in SINGLE:
            found[SINGLE[option]] = words.pop(0)
        else:
            found[MULTIPLE[option]].append(words.pop(0))
    return {**found, "context": command.argv[-1]}


def by_compose(folder: Path, service: str) -> dict[str, Any]:
    """What Compose hands to bake for a service, without what it adds of its own."""
    done = subprocess.run(
        ["docker", "compose", "build", "--print", service],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    target: dict[str, Any] = json.loads(done.stdout)["target"][service]
    for own in ("output", "tags"):
        target.pop(own)
    labels = target.get("labels") or {}
    target["labels"] = {k: v for k, v in labels.items() if not k.startswith("com.docker.compose")}
    return target


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose build sections use every key."""
    monkeypatch.setenv("FROM_ENVIRONMENT", "of the environment")
    (tmp_path / "ctx").mkdir()
    for name in ("ctx/Dockerfile", "ctx/prod.Dockerfile", "Dockerfile", "tok"):
        (tmp_path / name).write_text("")
    (tmp_path / "compose.yml").write_text(PROJECT)
    return tmp_path


@pytest.mark.parametrize("service", ["all", "lists", "plain", "remote"])
def test_the_command_asks_for_what_compose_asks_for(folder: Path, service: str) -> None:
    project = load_project(folder)
    build = project.services[service].build
    assert build is not None
    ours = parsed(buildx_build(build, tags=(), secrets=project.resolved["secrets"]))
    theirs = by_compose(folder, service)
    assert ours.pop("load") is True
    remote = "://" in theirs["context"]
    dockerfile = "Dockerfile" if remote else str(Path(theirs["context"]) / "Dockerfile")
    assert ours.pop("dockerfile", dockerfile) == theirs.pop("dockerfile", dockerfile)
    assert ours.pop("context") == theirs.pop("context")
    arguments = {**theirs.pop("args", {})}
    mine = dict(pair.partition("=")[::2] for pair in ours.pop("args", []))
    mine.pop("UNSET_ARGUMENT", None)  # buildx takes it from the environment, which has none
    assert mine == arguments
    for key in ("labels", "contexts"):
        pairs = dict(pair.partition("=")[::2] for pair in ours.pop(key, []))
        assert pairs == theirs.pop(key, {})
    hosts = defaultdict(list)
    for pair in ours.pop("extra-hosts", []):
        name, _, address = pair.partition("=")
        hosts[name].append(address)
    assert {k: ",".join(v) for k, v in hosts.items()} == theirs.pop("extra-hosts", {})
    attest = []
    for key in ("provenance", "sbom"):
        if value := ours.pop(key, None):
            attest.append(f"type={key}" + ("" if value == "true" else f",{value}"))
    assert attest == theirs.pop("attest", [])
    normal = [
        s.replace(",type=file", "").replace(",type=env", "") for s in theirs.pop("secret", [])
    ]
    assert ours.pop("secret", []) == normal
    # Compose's own order differs from call to call, ours doesn't
    assert ours.pop("ssh", []) == sorted(key.rstrip("=") for key in theirs.pop("ssh", []))
    for key in ("entitlements", "ulimits"):
        assert sorted(ours.pop(key, [])) == sorted(theirs.pop(key, []))
    assert ours == theirs  # whatever is left: caches, platforms, flags, target, network, shm


TABLE: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nothing but a context": ({"context": "."}, (".",)),
    "a dockerfile in the context": (
        {"context": "app", "dockerfile": "serve.Dockerfile"},
        ("--file", "app/serve.Dockerfile", "app"),
    ),
    "a dockerfile of the project folder": (
        {"context": ".", "dockerfile": "docker/Dockerfile"},
        ("--file", "docker/Dockerfile", "."),
    ),
    "an absolute dockerfile": (
        {"context": "app", "dockerfile": "/d/Dockerfile"},
        ("--file", "/d/Dockerfile", "app"),
    ),
    "a remote context": (
        {"context": "https://x/y.git", "dockerfile": "a.Dockerfile"},
        ("--file", "a.Dockerfile", "https://x/y.git"),
    ),
    "empty keys": ({"context": ".", "args": {}, "labels": None, "target": ""}, (".",)),
    "flags that are off": ({"context": ".", "no_cache": False, "pull": False}, (".",)),
    "provenance that is off": (
        {"context": ".", "provenance": False},
        ("--provenance", "false", "."),
    ),
    "tags of the file are not used": ({"context": ".", "tags": ["x:y"]}, (".",)),
    "a secret by its short name": (
        {"context": ".", "secrets": ["tok"]},
        ("--secret", "id=tok,env=tok", "."),
    ),
    "arguments that are numbers and truths": (
        {"context": ".", "args": {"N": 1, "T": True, "E": ""}},
        ("--build-arg", "N=1", "--build-arg", "T=true", "--build-arg", "E=", "."),
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_exact_argument_lists(case: str) -> None:
    build, expected = TABLE[case]
    command = buildx_build(build, tags=("m/t:1",))
    assert command.argv == ("docker", "buildx", "build", "--load", "--tag", "m/t:1", *expected)


def test_contexts_are_replaced_and_files_named_for_the_caller() -> None:
    command = buildx_build(
        {"context": ".", "dockerfile_inline": "F", "additional_contexts": {"m": "/a", "n": "/b"}},
        tags=("a:1", "b:2"), contexts={"m": ".mcgitops/run/contexts/1/m"}, labels={"k": "v"},
        load=False, push=True, metadata_file="meta.json", inline_dockerfile="d/1.Dockerfile",
        reason="why",
    )  # fmt: skip
    assert command.argv == (
        "docker", "buildx", "build", "--push", "--tag", "a:1", "--tag", "b:2",
        "--build-context", "m=.mcgitops/run/contexts/1/m", "--build-context", "n=/b",
        "--file", "d/1.Dockerfile", "--label", "k=v", "--metadata-file", "meta.json", ".",
    )  # fmt: skip
    assert command.reason == "why"


def test_a_key_that_cannot_be_passed_on_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedBuildKey, match="hologram"):
        buildx_build({"context": ".", "hologram": True}, tags=())
    with pytest.raises(UnsupportedBuildKey, match="isolation"):
        buildx_build({"context": ".", "isolation": "hyperv"}, tags=())


def test_arguments_that_look_secret_go_through_the_environment() -> None:
    command = buildx_build({"context": ".", "args": {"PIP_TOKEN": "geheim", "SIZE": "3"}}, tags=())
    assert "geheim" not in command.shell_line()
    assert "geheim" not in repr(command)
    assert command.env["PIP_TOKEN"] == Secret("PIP_TOKEN", "geheim")
    assert command.argv[4:8] == ("--build-arg", "PIP_TOKEN", "--build-arg", "SIZE=3")
    assert looks_secret("MY_API_KEY")
    assert not looks_secret("KEYBOARD")
