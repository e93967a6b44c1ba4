"""Values out of encrypted files, opened by the real age and SOPS; and where values never get to."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from mcgitops.deploy.composefile import Needs
from mcgitops.deploy.values import gather
from mcgitops.errors import UsageError
from tests.conftest import Result
from tests.integration.deploy.conftest import App, MakeApp, points
from tests.lab import arguments, sealing
from tests.lab.hosts import Host, Hosts
from tests.lab.program import LabError
from tests.lab.sealing import Key

DOTENV = "A=plain\nB='with spaces $x'\n# a comment\nC=\"more\\nlines\"\nD=${A}-again\n"
READ = {"A": "plain", "B": "with spaces $x", "C": "more\nlines", "D": "plain-again"}


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """age and sops on PATH, and no key but the test's."""
    try:
        monkeypatch.setenv("PATH", sealing.path())
    except LabError as error:
        pytest.fail(str(error), pytrace=False)
    for name in [name for name in os.environ if name.startswith("SOPS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def key(programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Key:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # SOPS looks there for keys of any kind
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return sealing.new_key(tmp_path / "key.txt")


def read(folder: Path, *files: str, **environ: str) -> dict[str, str]:
    needs = Needs(variables=("A", "B", "C", "D", "E"))
    return gather(folder, needs, files=files, environ={**os.environ, **environ}).variables


def refused(folder: Path, file: str, **environ: str) -> UsageError:
    with pytest.raises(UsageError) as error:
        read(folder, file, **environ)
    assert error.value.exit_code == 2
    assert error.value.hint
    assert "\n" not in error.value.message
    return error.value


def test_a_dotenv_file_gives_the_same_values_plain_and_encrypted(key: Key, tmp_path: Path) -> None:
    (tmp_path / "plain.env").write_text(DOTENV)
    sealing.age(key, DOTENV, tmp_path / "v.env.age")
    sealing.age(key, DOTENV, tmp_path / "armoured.age", "--armor")
    sealing.sops(key, DOTENV, tmp_path / "v.env")
    sealing.sops(key, DOTENV, tmp_path / "v.unknown")
    for file in ("plain.env", "v.env.age", "armoured.age", "v.env", "v.unknown"):
        content = (tmp_path / file).read_text("utf-8", "replace")
        assert ("with spaces" in content) is (file == "plain.env")
        assert read(tmp_path, file, MCGITOPS_AGE_KEY=str(key.file)) == READ, file


def test_yaml_and_json_are_names_with_values_as_they_stand_there(key: Key, tmp_path: Path) -> None:
    sealing.sops(key, "A: 8080\nB: true\nC: 'it''s $x'\nD: \"two\\nlines\"\n", tmp_path / "v.yaml")
    sealing.sops(key, '{"A": 1.5, "B": "", "C": "\\\\n"}', tmp_path / "v.json")
    environ = {"SOPS_AGE_KEY_FILE": str(key.file)}
    assert read(tmp_path, "v.yaml", **environ) == {
        "A": "8080", "B": "true", "C": "it's $x", "D": "two\nlines",
    }  # fmt: skip
    assert read(tmp_path, "v.json", **environ) == {"A": "1.5", "B": "", "C": "\\n"}
    assert read(tmp_path, "v.json", "v.yaml", **environ)["A"] == "8080"
    assert read(tmp_path, "v.yaml", "v.json", **environ)["A"] == "1.5"
    assert read(tmp_path, "v.yaml", "v.json", A="mine", **environ)["A"] == "mine"


def test_a_key_comes_as_a_path_or_as_text_from_each_of_its_places(key: Key, tmp_path: Path) -> None:
    sealing.age(key, "A=age\n", tmp_path / "v.age")
    sealing.sops(key, "A=sops\n", tmp_path / "v.env")
    other = sealing.new_key(tmp_path / "other.txt")
    both = f"{other.text}\r\n{key.text}"
    home = tmp_path / "home" / ".config" / "sops" / "age"
    home.mkdir(parents=True)
    for environ in (
        {"MCGITOPS_AGE_KEY": str(key.file)},
        {"MCGITOPS_AGE_KEY": key.text},
        {"MCGITOPS_AGE_KEY": key.file.read_text(), "SOPS_AGE_KEY": other.text},
        {"MCGITOPS_AGE_KEY": both},
        {"SOPS_AGE_KEY": key.text},
        {"SOPS_AGE_KEY_FILE": str(key.file)},
        {},
    ):
        if not environ:
            (home / "keys.txt").write_text(key.file.read_text())
        assert read(tmp_path, "v.age", **environ) == {"A": "age"}, environ
        assert read(tmp_path, "v.env", **environ) == {"A": "sops"}, environ


def test_a_key_that_does_not_fit_is_said_and_not_shown(key: Key, tmp_path: Path) -> None:
    sealing.age(key, "A=canary\n", tmp_path / "v.age")
    sealing.sops(key, "A=canary\n", tmp_path / "v.env")
    other = sealing.new_key(tmp_path / "other.txt")
    for given in ({"MCGITOPS_AGE_KEY": other.text}, {"SOPS_AGE_KEY_FILE": str(other.file)}):
        for error in (refused(tmp_path, "v.age", **given), refused(tmp_path, "v.env", **given)):
            assert "can't be decrypted" in error.message
            assert "MCGITOPS_AGE_KEY" in error.hint
            assert other.text not in str(error)
    assert "there is no key for it" in refused(tmp_path, "v.age").message
    assert "none of the keys" in refused(tmp_path, "v.env").message
    cut = refused(tmp_path, "v.age", MCGITOPS_AGE_KEY=key.text[:40])
    assert cut.message == "MCGITOPS_AGE_KEY holds no age key."
    assert key.text[16:40] not in str(cut)


def test_what_is_damaged_or_not_flat_is_said_without_its_content(key: Key, tmp_path: Path) -> None:
    environ = {"MCGITOPS_AGE_KEY": key.text}
    sealing.age(key, "A=canary\n", tmp_path / "v.age")
    whole = (tmp_path / "v.age").read_bytes()
    for content in (whole[:120], whole[:-3], whole[:-1] + bytes([whole[-1] ^ 1])):
        (tmp_path / "v.age").write_bytes(content)
        assert (
            "v.age can't be decrypted: it is damaged"
            in refused(tmp_path, "v.age", **environ).message
        )
    sealing.sops(key, "A: canary\nB: 5\n", tmp_path / "v.yaml")
    sound = (tmp_path / "v.yaml").read_text()
    for content in (
        re.sub(r"data:....", "data:AAAA", sound, count=1),  # another value
        re.sub(r"^B: .*\n", "", sound, flags=re.MULTILINE),  # one that was taken away
        re.sub(r"^A: .*", "A: [canary", sound, flags=re.MULTILINE),
    ):
        (tmp_path / "v.yaml").write_text(content)
        error = refused(tmp_path, "v.yaml", **environ)
        assert "v.yaml can't be decrypted: it is damaged" in error.message
        assert "canary" not in str(error)
    for content, said in (
        ("A: {B: canary}", "A holds more than one value"),
        ("A: [canary]", "A holds more than one value"),
        ("A: null\nB: canary", "A has no value"),
        ("a-b: canary", "a-b can't be the name of a variable"),
    ):
        sealing.sops(key, content, tmp_path / "v.yaml")
        error = refused(tmp_path, "v.yaml", **environ)
        assert said in error.message
        assert "canary" not in str(error)
    sealing.age(key, "B=1\nA canary\n", tmp_path / "v.age")
    error = refused(tmp_path, "v.age", **environ)
    assert "v.age: line 2 is not of the form" in error.message
    assert "canary" not in str(error)


def test_a_secret_s_file_is_decrypted_to_the_byte(key: Key, tmp_path: Path) -> None:
    content = b"\x00\xff no newline\r\n at the end"
    sealing.age(key, content, tmp_path / "secrets" / "token.age")
    needs = Needs(secret_files=("secrets/token.age",))
    environ = {**os.environ, "MCGITOPS_AGE_KEY": key.text}
    found = gather(tmp_path, needs, environ=environ).secret_files["secrets/token.age"]
    assert (found.content, found.mode) == (content, 0o600)


def test_a_key_never_stands_on_a_command_line(
    key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealing.age(key, "A=canary\n", tmp_path / "v.age")
    sealing.sops(key, "A=canary\n", tmp_path / "v.env")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("age", "sops"):  # the real programs, and a note of how they were called
        script = folder / name
        script.write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nPATH=$REAL exec {name} "$@"\n'
        )
        script.chmod(0o755)
    monkeypatch.setenv("REAL", os.environ["PATH"])
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert read(tmp_path, "v.age", "v.env", MCGITOPS_AGE_KEY=key.text) == {"A": "canary"}
    calls = (tmp_path / "calls").read_text()
    assert len(calls.splitlines()) == 2
    assert key.text not in calls
    assert list(temporary.iterdir()) == []


# -- where values never get to -----------------------------------------------------------------

CANARIES = {
    "the caller's environment": "canary-variable-3f1c",
    "an env file": "canary-env-file-9b2e",
    "a secret's file": "canary-secret-file-77d0",
    "a SOPS file": "canary-sops-51aa",
    "an age file": "canary-age-values-e84b",
    "an encrypted secret": "canary-age-secret-c6f9",
}
# a service that tells all that it knows when it fails
TELLS = """env > /proc/1/fd/1; env; cat /run/secrets/* > /proc/1/fd/1
case $(cat /app/model) in 5.*) exit 1;; esac
"""
ENGINE_STATE = re.compile(
    # what the engine keeps of a container: its environment, its output, its own files
    r"/var/lib/docker/containers/|/var/lib/docker/containerd/|/run/docker/|/run/containerd/|"
    r"/var/lib/docker/\w+/[^/]+/(diff|merged)/run/secrets/"
)


# containerd writes what it executes in a container (each health check), with its environment,
# into a file of root's and takes it away when that has started
ENGINE_MOMENT = re.compile(r"/tmp/runc-process\d+$")


def unpacked(content: bytes) -> Iterator[bytes]:
    """A file's content, and what it is when it is decompressed."""
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif content[:1] == b"\x78":
        with suppress(zlib.error):
            yield zlib.decompress(content)
    assert not content.startswith(b"\x28\xb5\x2f\xfd"), "zstd: this test can't look into it"


def holding(folder: Path, words: Mapping[str, str]) -> list[str]:
    """The files below a folder that hold one of these words."""
    return [
        f"{path}: {name}"
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
        for text in unpacked(path.read_bytes())
        for name, word in words.items()
        if word.encode() in text
    ]


def on_host(host: Host, words: Mapping[str, str]) -> list[str]:
    """The files of a host that hold one of these words."""
    found = subprocess.run(
        ["docker", "exec", "--interactive", host.name, "grep", "-rlaFs", "--exclude-dir=proc",
         "--exclude-dir=sys", "--exclude-dir=dev", "-f", "-", "/"],
        input="\n".join(words.values()), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.splitlines()


@pytest.fixture
def app(make_app: MakeApp, fresh_hosts: Hosts, key: Key, tmp_path: Path) -> App:
    """The project with a value of each kind, and nobody's key but the one in the environment."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    app = make_app([fresh_hosts[0].url], {
        **fresh_hosts.env, "MCGITOPS_AGE_KEY": key.text, "TMPDIR": str(temporary),
        "TOKEN": CANARIES["the caller's environment"],
    }, afresh=True)  # fmt: skip
    compose = (app.folder / "compose.yml").read_text()
    compose = (
        compose.replace(
            "      TOKEN: ${TOKEN:?}\n",
            "      TOKEN: ${TOKEN:?}\n      FROM_SOPS: ${FROM_SOPS:-}\n      FROM_AGE:\n",
        )
        .replace("    configs: [", "    secrets: [password, sealed, passed]\n    configs: [")
        .replace(
            "\nconfigs:",
            "\nsecrets:\n  password: {file: ./password.txt}\n  sealed: {file: ./ops/token.age}\n"
            "  passed: {environment: FROM_SOPS}\n\nconfigs:",
        )
        .replace("health_timeout", "values: [ops/prod.sops.yaml, ops/prod.env.age], health_timeout")
    )
    (app.folder / "compose.yml").write_text(compose)
    (app.folder / "serve" / "healthy.sh").write_text(TELLS)
    (app.folder / "api.env").write_text(f"CANARY={CANARIES['an env file']} # of the tests\n")
    (app.folder / "password.txt").write_text(CANARIES["a secret's file"] + "\n")
    (app.folder / ".gitignore").write_text(".mcgitops/\nout/\napi.env\npassword.txt\n")
    seal(app, key, {name: f"former {word}" for name, word in CANARIES.items()})
    return app


def seal(app: App, key: Key, words: Mapping[str, str]) -> None:
    """Write the encrypted files."""
    ops = app.folder / "ops"
    sealing.sops(key, f"FROM_SOPS: {words['a SOPS file']}\n", ops / "prod.sops.yaml")
    sealing.age(key, f"FROM_AGE='{words['an age file']}'\n", ops / "prod.env.age")
    sealing.age(key, words["an encrypted secret"], ops / "token.age")


def test_values_reach_the_containers_and_are_nowhere_else(
    app: App, fresh_hosts: Hosts, key: Key, tmp_path: Path
) -> None:
    host = fresh_hosts[0]
    words = {**CANARIES, "the age key": key.text}
    printed: list[str] = []
    run = app.run

    def noted(*arguments: str, cwd: Path, env: dict[str, str], check: bool) -> Result:
        done = run(*arguments, cwd=cwd, env=env, check=check)
        printed.extend((done.stdout, done.stderr))
        return done

    app.run = noted
    with arguments.watched(host.name) as seen:
        app.release("v1")
        app("show", "v1", check=False)
        event = ("plan", "--event", "tag", "--tag", "v1")
        app(*event)
        app(*event, "--json", "--out", ".mcgitops/saved.json")
        assert "deploy" in app(*event, "--shell").stdout
        app("deploy", "--release", "v1", "--dry-run")
        app("deploy", "--release", "v1", "--dry-run", "--json")
        wrong = sealing.new_key(tmp_path / "wrong.txt")
        refused = app("deploy", "--release", "v1", check=False, MCGITOPS_AGE_KEY=wrong.text)
        assert (refused.code, "can't be decrypted" in refused.stderr) == (2, True), refused
        assert host.docker("ps", "-q").stdout == ""
        app("deploy", "--release", "v1")
        assert f"former {CANARIES['a SOPS file']}" in told_inside(app, host)
        seal(app, key, CANARIES)  # the values change, the release stays
        app("deploy", "--release", "v1", "--json")
        inside = told_inside(app, host)
        assert "former" not in inside
        assert [name for name, word in CANARIES.items() if word not in inside] == []
        # a failing one quotes the last lines of the service, which tells all that it knows
        app.release("v2", {"data/points.csv": points(5)})
        failed = app("deploy", "--release", "v2", "--json", check=False)
        assert (failed.code, "***" in failed.stderr) == (5, True), failed
        app("status", "--json")
        app("status")

    assert any("docker compose" in line for line in seen)
    for name, word in words.items():
        assert not [line for line in seen if word in line], name
        assert not [text for text in printed if word in text], name
    assert holding(app.folder / ".mcgitops", words) == []
    assert holding(tmp_path / "temporary", words) == []
    assert images_hold(app, words) == []
    kept_to_the_owner(host, words)


def told_inside(app: App, host: Host) -> str:
    """What the service can know: its environment and its secrets."""
    script = "env; cat /run/secrets/password /run/secrets/sealed; echo; cat /run/secrets/passed"
    return host.docker("exec", f"{app.name}-production-api-1", "sh", "-c", script).stdout


def images_hold(app: App, words: Mapping[str, str]) -> list[str]:
    """Images here that hold a value: in what is told of them, or in their layers."""
    listed = ["docker", "image", "ls", "--format", "{{.ID}}", f"mcgitops/{app.name}/*"]
    ids = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    assert ids
    told = subprocess.run(["docker", "image", "inspect", *ids], capture_output=True, check=True)
    layers = subprocess.run(["docker", "save", *ids], capture_output=True, check=True)
    return [
        name for name, word in words.items() for text in (told.stdout, layers.stdout)
        if word.encode() in text
    ]  # fmt: skip


def kept_to_the_owner(host: Host, words: Mapping[str, str]) -> None:
    """On a host values lie in the release folder only, and in what the engine keeps."""
    found = on_host(host, words)
    momentary = [path for path in found if ENGINE_MOMENT.match(path)]
    time.sleep(1 if momentary else 0)
    assert [p for p in momentary if host.root("test", "-e", p, check=False).returncode == 0] == []
    outside = [path for path in found if not ENGINE_STATE.match(path) and path not in momentary]
    place = re.compile(r"/home/deploy/\.local/share/mcgitops/[^/]+/production/")
    assert [path for path in outside if not place.match(path)] == []
    assert outside
    # another user of the host gets none of them, whatever a file's own mode is
    script = 'while read -r path; do cat "$path" && echo "$path" >&2; done'
    other = subprocess.run(
        ["docker", "exec", "--interactive", "--user", "nobody", host.name, "sh", "-c", script],
        input="\n".join(outside) + "\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert other.stdout == ""
    modes = host.root("stat", "--format", "%a %n", *outside).stdout.splitlines()
    # a plain secret's file keeps its own mode: it decides who may read it in the container
    assert [line for line in modes if not line.startswith("600 ")] == [
        line for line in modes if line.endswith("password.txt")
    ]
