"""A host's answer as facts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mcgitops.facts import host
from mcgitops.project.hosts import Host, Placement, WantedService

HOST = Host.parse("ssh://deploy@a.example.com")
MANIFEST = {
    "format": 1, "release": "team/v1", "digest": "1234", "variables": ["PORT"],
    "placed": "2026-01-02T03:04:05+00:00",
    "services": {"api": {"replicas": 2, "image": "i:1", "config_digest": "sha256:1"}},
}  # fmt: skip
STATE = {
    "Status": "running", "ExitCode": 0, "StartedAt": "2026-01-02T03:04:05.123456789Z",
    "FinishedAt": "0001-01-01T00:00:00Z",
    "Health": {"Status": "unhealthy", "Log": [{"Output": "first"}, {"Output": "a\n503 no\n\n"}]},
}  # fmt: skip
LABELS = {
    "com.docker.compose.service": "api", "com.docker.compose.oneoff": "False",
    "com.docker.compose.container-number": "3", "mcgitops.configuration": "c0ffee",
}  # fmt: skip


def container(state: object = STATE, labels: object = LABELS) -> str:
    networks = {"p_default": {"IPAddress": "172.18.0.3"}, "host": {"IPAddress": ""}}
    fields = ["/p-api-1", "sha256:1", "i:1", labels, state, 2, "always", networks]
    return "@container " + "\t".join(json.dumps(field) for field in fields)


ANSWER = "\n".join((
    "motd: welcome to a.example.com",
    "@root /home/deploy/.local/share/mcgitops/wine/production",
    "@engine 26.1.5",
    "@compose v2.40.3",
    "@tool flock",
    f"@current {json.dumps(MANIFEST)}",
    "",
    "@since 1700000000",
    "@attempt team%2Fv2/9999",
    '@lock {"owner": "ci-1", "token": "t", "pid": 7, "expires": 1700000100}',
    f"@placed {json.dumps(MANIFEST)}",
    "@placed {}",
    '@placed {"release": "v0", "services": {"api": {"replicas": "many"}}}',
    "@rejected rejected/team%2Fv3",
    "@file files/abc",
    '@image "sha256:1"\t["i:1"]\t["sha256:a","sha256:b"]\t"overlay2"',
    '@image "sha256:2"\tnull\tnull',
    "@now 1700000050",
    container(),
    container(labels={**LABELS, "com.docker.compose.oneoff": "True"}),
    "@container cut off",
))  # fmt: skip


def test_everything_that_a_host_says_is_read() -> None:
    facts = host.parse(HOST, ANSWER)
    assert facts.problem == ""
    assert facts.root == "/home/deploy/.local/share/mcgitops/wine/production"
    assert (facts.engine, facts.compose) == ("26.1.5", "2.40.3")
    assert facts.tools == {"flock"}
    assert facts.current is not None
    assert facts.current.services == (WantedService("api", 2, "i:1", "sha256:1"),)
    assert facts.current.variables == ("PORT",)
    assert facts.current.folder == "team%2Fv1/1234"
    assert facts.attempt == "team%2Fv2/9999"
    assert (facts.since, facts.now) == (1700000000, 1700000050)
    assert facts.lock is not None
    assert (facts.lock.owner, facts.lock.expires) == ("ci-1", 1700000100)
    assert (facts.placed, facts.files) == ({"team%2Fv1/1234"}, {"abc"})
    assert [image.diff_ids for image in facts.images] == [("sha256:a", "sha256:b"), ()]
    assert [image.driver for image in facts.images] == ["overlay2", ""]
    (seen,) = facts.containers
    assert (seen.name, seen.service, seen.image) == ("p-api-1", "api", "i:1")
    assert (seen.state, seen.health, seen.said) == ("running", "unhealthy", "503 no")
    assert (seen.number, seen.configuration, seen.addresses) == (3, "c0ffee", ("172.18.0.3",))
    assert facts.rejected == {"team/v3"}
    assert (seen.restarts, seen.restart_policy) == (2, "always")
    assert seen.started is not None
    assert seen.finished is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("@root /r\n@problem docker", "docker is not installed there."),
        ("@root /r\nCannot connect to the Docker daemon\n@problem engine",
         "its Docker engine does not answer: Cannot connect to the Docker daemon."),
        ("@root /r\n@engine 26.1\n@now 1", "docker has no compose plugin there."),
    ],
)  # fmt: skip
def test_a_host_that_can_not_be_used_says_why(text: str, problem: str) -> None:
    facts = host.parse(HOST, text)
    assert facts.problem == problem
    assert facts.hint


@pytest.mark.parametrize("manifest", ["", "{", "[]", '{"other": 1}'])
def test_a_damaged_manifest_is_no_release(manifest: str) -> None:
    assert host.parse(HOST, f"@root /r\n@current {manifest}").current is None


def test_the_script_is_valid_shell_and_only_looks(tmp_path: Path) -> None:
    import subprocess

    script = host.host_script("wine", "production", "wine-production")
    checked = subprocess.run(["sh", "-n", "-c", script], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    empty = {"PATH": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    answer = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, env=empty
    )
    assert answer.stdout.splitlines() == [
        f"@root {tmp_path}/data/mcgitops/wine/production", "@problem docker",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("again", [False, True])
def test_what_is_under_way_is_waited_for_before_anything_is_looked_at(again: bool) -> None:
    script = host.host_script("wine", "production", "p", again=again, settled="echo waited\n")
    assert script.index("echo waited\n") < script.index("docker ps")
    assert script.index("echo waited\n") < script.index("current")


HASHES = {"api": "1" * 64, "db": "2" * 64}


@pytest.mark.parametrize(
    ("noted", "asked"),
    [
        ("", True),  # committed by an earlier version
        ('"api" "{api}"\n"db" "{db}"\n', False),
        ('"api" "{api}"\n"db" "other"\n', True),
        ('"api" "{api}"\n"api" "{db}"\n"db" "{db}"\n', True),  # two answers are none
    ],
)
def test_compose_is_asked_for_hashes_only_where_the_noted_ones_do_not_do(
    tmp_path: Path, noted: str, asked: bool
) -> None:
    """docker is a program that says what an engine would; the shell is real."""
    import subprocess

    folder = tmp_path / "mcgitops/wine/production/releases/v1/1111"
    folder.mkdir(parents=True)
    (folder / "release.json").write_text("{}")
    (folder / "committed").write_text(noted.format(**HASHES))
    (folder.parents[2] / "current").symlink_to("releases/v1/1111")
    tools, called = tmp_path / "bin", tmp_path / "called"
    tools.mkdir()
    made = "".join(
        f'@made running "{name}" "{value}" /p-{name}-1\n' for name, value in HASHES.items()
    )
    (tools / "containers").write_text(made)
    (tools / "docker").write_text(
        f'#!/bin/sh\necho "$*" >> {called}\ncase "$1 $2" in\n'
        "'version --format') echo '@engine 1';;\n"
        f"ps*) echo id;;\ninspect*) cat {tools}/containers;;\nesac\n"
    )
    (tools / "docker").chmod(0o755)
    answer = subprocess.run(
        ["sh", "-c", host.host_script("wine", "production", "p", 'echo "@more $seen"\n')],
        capture_output=True, text=True, check=True,
        env={"PATH": f"{tools}:{os.environ['PATH']}", "XDG_DATA_HOME": str(tmp_path)},
    )  # fmt: skip
    assert "@engine 1\n" in answer.stdout
    assert "@more @now" in answer.stdout
    assert answer.stdout.count("@made running") == 2 * len(HASHES)
    assert ("config --hash" in called.read_text()) is asked


@pytest.mark.parametrize(
    ("url", "label", "local"),
    [
        ("ssh://deploy@a.example.com", "a.example.com", False),
        ("ssh://deploy@a.example.com:22/", "a.example.com", False),
        ("ssh://a.example.com:2222", "a.example.com:2222", False),
        ("local://", "local", True),
    ],
)
def test_hosts_have_short_names(url: str, label: str, local: bool) -> None:
    assert (Host.parse(url).label, Host.parse(url).is_local) == (label, local)


def test_placements_are_told_apart_by_their_values_too() -> None:
    assert Placement("v1", "1").key != Placement("v1", "2").key
