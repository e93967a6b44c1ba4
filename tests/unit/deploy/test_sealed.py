"""Encrypted files, as far as no program is needed: what they are, what they may hold, and keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcgitops.deploy import sealed
from mcgitops.deploy.composefile import Needs
from mcgitops.deploy.values import (
    SecretFile,
    Values,
    dotenv,
    gather,
    masked,
    reason,
    sensitive,
    texts_of_dotenv,
)
from mcgitops.errors import UsageError

AGE = b"age-encryption.org/v1\n-> X25519 abc\n"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("A=ENC[x]\nsops_mac=ENC[y]\nsops_version=3.11.0\n", "dotenv"),
        ("A: ENC[x]\nsops:\n    mac: ENC[y]\n", "yaml"),
        ("A: 1\n'sops':\n    mac: ENC[y]\n", "yaml"),
        ('{"A": "ENC[x]", "sops": {"mac": "y"}}', "json"),
        ('{"data": "ENC[x]", "sops": {"mac": "y"}}', "binary"),
        ('{"A": "ENC[x]", "sops": {"mac": ', "json"),
        ('{"A": 1}', "plain"),
        ("[sops]\nmac = x\n", "ini"),
        ("A=sops\nSOPS_MAC=1\n# sops: no\n", "plain"),
        ("", "plain"),
    ],
)
def test_the_kind_is_what_sops_has_put_into_the_file(content: str, kind: str) -> None:
    assert sealed.kind_of(content.encode()) == kind


def test_a_json_file_with_the_single_name_data_is_json() -> None:
    content = json.dumps({"data": "ENC[x]", "sops": {}}).encode()
    assert sealed.kind_of(content, ".json") == "json"


@pytest.mark.parametrize("name", ["v.yaml", "v.yml", "v.json", "prod.sops.env", "prod.enc.env"])
def test_what_should_be_encrypted_and_is_not_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("A: canary\n")
    with pytest.raises(UsageError, match="is not encrypted with SOPS") as refused:
        sealed.read_values(tmp_path / name, name, {})
    assert "canary" not in str(refused.value)
    assert f"sops --encrypt --in-place {name}" in refused.value.hint


def test_age_files_that_are_none_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.age").write_text("A=canary\n")
    with pytest.raises(UsageError, match=r"a\.age is not encrypted with age") as refused:
        sealed.open_age(tmp_path / "a.age", "a.age", {})
    assert "canary" not in str(refused.value)
    with pytest.raises(UsageError, match=r"absent\.env can't be read \(No such file"):
        sealed.read_values(tmp_path / "absent.env", "absent.env", {})


@pytest.mark.parametrize("name", ["MCGITOPS_AGE_KEY", "SOPS_AGE_KEY_FILE"])
def test_a_key_that_is_no_file_is_not_repeated(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.age").write_bytes(AGE)
    with pytest.raises(UsageError, match=f"{name} names no file") as refused:
        sealed.open_age(tmp_path / "a.age", "a.age", {name: "AGE-SECRET-KEX-1CANARY"})
    assert "CANARY" not in str(refused.value)


def test_without_any_key_the_variable_to_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.age").write_bytes(AGE)
    with pytest.raises(UsageError, match="there is no key for it") as refused:
        sealed.open_age(tmp_path / "a.age", "a.age", {"HOME": str(tmp_path)})
    assert "MCGITOPS_AGE_KEY" in refused.value.hint
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("program", "name", "content"),
    [("age", "a.age", AGE), ("sops", "a.env", b"A=x\nsops_version=3.11.0\n")],
)
def test_a_program_that_is_missing_is_named_with_where_to_get_it(
    tmp_path: Path, program: str, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    environ = {"PATH": str(tmp_path), "MCGITOPS_AGE_KEY": "AGE-SECRET-KEY-1CANARY"}
    with pytest.raises(UsageError, match=f"needs the program {program}, which is not") as refused:
        sealed.read_values(tmp_path / name, name, environ)
    assert "Install it" in refused.value.hint
    assert "CANARY" not in str(refused.value)


def test_plain_files_of_values_stand_between_environment_and_dotenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("A=dotenv\nB=dotenv\nC=dotenv\nD=dotenv\n")
    (tmp_path / "one.env").write_text("A=one\nB=one\nC=one\nUNUSED=never\n")
    (tmp_path / "two.env").write_text("\ufeffA=two\nB='two, ${A}'\n")
    monkeypatch.setenv("A", "environment")
    found = gather(tmp_path, Needs(variables=("A", "B", "C", "D")), files=("one.env", "two.env"))
    assert found.variables == {"A": "environment", "B": "two, ${A}", "C": "one", "D": "dotenv"}


def test_compose_s_own_setting_for_env_files_holds_below_the_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("A=dotenv\nB=dotenv\n")
    (tmp_path / "other").write_text("A=other\n")
    (tmp_path / "one.env").write_text("C=one\n")
    needs = Needs(variables=("A", "B", "C"))
    monkeypatch.setenv("COMPOSE_ENV_FILES", "other")
    assert gather(tmp_path, needs, files=("one.env",)).variables == {"A": "other", "C": "one"}
    monkeypatch.delenv("COMPOSE_ENV_FILES")
    monkeypatch.setenv("COMPOSE_DISABLE_ENV_FILE", "1")
    assert gather(tmp_path, needs, files=("one.env",)).variables == {"C": "one"}


@pytest.mark.parametrize("broken", ['A="canary-is-open\nB=2\n', "B canary=1\n"])
def test_a_damaged_file_of_values_is_named_and_not_quoted(tmp_path: Path, broken: str) -> None:
    (tmp_path / "one.env").write_text("C=1\n" + broken)
    with pytest.raises(UsageError, match=r"failed to read one\.env: line \d") as refused:
        gather(tmp_path, Needs(variables=("A",)), files=("one.env",))
    assert "canary" not in str(refused.value)


def test_binary_content_is_no_file_of_values(tmp_path: Path) -> None:
    (tmp_path / "one.env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(UsageError, match=r"one\.env holds no text"):
        gather(tmp_path, Needs(variables=("A",)), files=("one.env",))


def test_masked_is_what_a_container_could_print(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text(
        'A=commented-value # why\nB="quoted \\"value\\""\nexport C=\'single-value\'\nP=80\n'
    )
    found = gather(tmp_path, Needs(env_files=(("a.env", True),)))
    masked = sensitive(found, ())
    assert {"commented-value", 'quoted "value"', "single-value"} <= masked
    assert "80" not in masked


def test_each_line_of_a_secret_and_the_password_of_a_url_are_masked() -> None:
    values = Values(
        variables={
            "PEM": "-----BEGIN-----\nfirst-line\nsecond-line\n",
            "DB": "pg://u:passw0rd@h/d",
        },
        secret_files={"t": SecretFile(b"  the-token \r\n", 0o600)},
    )
    masked = sensitive(values, ("passw",))
    assert {"first-line", "second-line", "passw0rd", "the-token"} <= masked
    assert "h/d" not in masked


def test_names_that_messages_are_made_of_are_not_masked() -> None:
    values = Values(variables={"A": "production", "B": "secret-word"})
    assert sensitive(values, ("production", "v1")) == {"secret-word"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "docker compose gave no reason"),
        ("warning\nfailed to read /x/.env: line 3: unterminated quoted value \"canary\n",
         "failed to read /x/.env: line 3 is not of the form NAME=value"),
        ("failed to read /x/.env: unexpected canary",
         "failed to read /x/.env: it is not of the form NAME=value"),
        ("failed to read /x/.env: required variable X is missing a value: set it.",
         "failed to read /x/.env: required variable X is missing a value: set it"),
        ("required variable X is missing a value.", "required variable X is missing a value"),
    ],
)  # fmt: skip
def test_a_reason_quotes_no_content(said: str, told: str) -> None:
    assert reason(said) == told


def test_what_a_host_was_given_is_masked_when_it_is_read_back_there() -> None:
    values = {
        "PLAIN": "plain-value", "QUOTED": 'it\'s "quoted" $x', "BACKSLASH": "back\\slash'd",
        "PEM": "-----BEGIN-----\nMIIabc==\nMIIdef\n", "BOTH": "it's\nmore lines",
    }  # fmt: skip
    found = texts_of_dotenv(dotenv(values))
    for value in values.values():
        for line in value.splitlines():
            assert len(line) < 6 or masked(f"said: {line}.", found) == "said: ***.", line
    assert masked("PLAIN 80", texts_of_dotenv("P=80\n# a\n")) == "PLAIN 80"
