"""Values from the caller: exactly as Compose sees them, and again on the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcgitops.deploy.composefile import Needs
from mcgitops.deploy.values import dotenv, gather
from mcgitops.errors import UsageError

TRICKY = {
    "PLAIN": "plain",
    "QUOTES": 'it\'s "so"',
    "DOLLARS": "$HOME ${X} $$ `id` $(id)",
    "BACKSLASH": "a\\b \\n \\",
    "MIXED": "'\\$FOO\\\\'\n\"$",
    "MORE_LINES": "-----BEGIN KEY-----\nabc\n-----END KEY-----\n",
    "EMPTY": "",
    "SPACES": " lead trail ",
    "HASH": "#no # comment",
    "UNICODE": "ünïcode ✓",
    "RETURN": "a\rb",
}


def test_a_written_value_is_read_back_by_compose(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(dotenv(TRICKY))
    found = gather(tmp_path, Needs(variables=tuple(TRICKY)))
    assert found.variables == TRICKY


def test_the_environment_wins_over_the_file_and_unset_is_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("A=file\nB=file\nEMPTY=\n")
    monkeypatch.setenv("A", "environment")
    found = gather(tmp_path, Needs(variables=("A", "B", "EMPTY", "UNSET_HERE")))
    assert found.variables == {"A": "environment", "B": "file", "EMPTY": ""}
    assert found.names == ("A", "B", "EMPTY", "UNSET_HERE")


def test_what_means_something_on_the_host_is_left_to_the_host(tmp_path: Path) -> None:
    found = gather(tmp_path, Needs(variables=("HOME", "PATH", "DOCKER_HOST")))
    assert (found.variables, found.names) == ({}, ())


def test_env_files_are_read_with_the_variables_that_they_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNER", "inner")
    (tmp_path / "a.env").write_text("X=${INNER}\n")
    found = gather(tmp_path, Needs(env_files=(("a.env", True), ("absent.env", False))))
    assert list(found.env_files) == ["a.env"]
    assert found.variables == {"INNER": "inner"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"env_file a\.env does not exist"):
        gather(tmp_path, Needs(env_files=(("a.env", True),)))
    with pytest.raises(UsageError, match=r"secret's file key\.pem does not exist"):
        gather(tmp_path, Needs(secret_files=("key.pem",)))


def test_values_have_no_readable_form(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("X=canary\n")
    found = gather(tmp_path, Needs(env_files=(("a.env", True),)))
    assert "canary" not in repr(found) + str(found) + repr(found.env_files)
