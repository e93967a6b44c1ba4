"""How hosts are reached, and what ssh's failures mean."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mcgitops.commands import ssh
from mcgitops.commands.ssh import SshOptions, on_host, script
from mcgitops.deploy import connection
from mcgitops.deploy.connection import Connections, unreachable
from mcgitops.errors import UsageError
from mcgitops.project.hosts import Host

HOST = Host.parse("ssh://deploy@a.example.com:2222")


@pytest.mark.parametrize(
    ("url", "destination"),
    [
        ("ssh://deploy@a.example.com", ["--", "deploy@a.example.com"]),
        ("ssh://a.example.com:2222", ["-p", "2222", "--", "a.example.com"]),
        ("ssh://deploy@[2001:db8::1]:2222", ["-p", "2222", "--", "deploy@2001:db8::1"]),
        ("ssh://deploy@[2001:db8::1]", ["--", "deploy@2001:db8::1"]),
    ],
)
def test_the_destination_follows_two_dashes(url: str, destination: list[str]) -> None:
    argv = list(on_host(url, ["true"], SshOptions()).argv)
    assert argv[-len(destination) - 1 : -1] == destination
    assert argv[-1] == "true"


def test_host_keys_are_never_learnt() -> None:
    argv = on_host(HOST.url, ["true"], SshOptions(known_hosts="ops/known hosts")).argv
    assert "StrictHostKeyChecking=yes" in argv
    assert "BatchMode=yes" in argv
    assert 'UserKnownHostsFile="ops/known hosts"' in argv
    assert "GlobalKnownHostsFile=/dev/null" in argv


def test_arguments_arrive_as_they_are() -> None:
    command = on_host(HOST.url, ["ls", "a b", "ü'\"$x"], SshOptions())
    assert command.argv[-1] == "ls 'a b' 'ü'\"'\"'\"$x'"
    assert command.host == HOST.url
    assert on_host("local://", ["ls", "a b"], SshOptions()).argv == ("ls", "a b")
    assert script("local://", "echo $x", SshOptions()).argv == ("sh", "-c", "echo $x")


def test_the_shared_connection_is_ended_with_the_same_options() -> None:
    options = SshOptions(control_path="/tmp/x/%C")
    argv = ssh.close(HOST.url, options).argv
    assert argv[-4:] == ("-O", "exit", "--", "deploy@a.example.com")
    assert "ControlPath=/tmp/x/%C" in argv


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\nHost key verification failed.",
         "its host key is not the pinned one. Nothing was sent."),
        ("No ED25519 host key is known for x.\nHost key verification failed.",
         "its host key is not known. Nothing was sent."),
        ("deploy@x: Permission denied (publickey).",
         "it does not let user deploy in with the keys offered."),
        ("ssh: connect to host x port 22: Connection refused",
         "it can't be reached (connection refused)."),
        ("ssh: Could not resolve hostname x: Name or service not known",
         "it can't be reached (could not resolve hostname)."),
        ("Timeout, server x not responding.", "it can't be reached (not responding)."),
        ("something new", "something new."),
        ("", "the connection broke."),
    ],
)  # fmt: skip
def test_failures_are_sentences(said: str, meaning: str) -> None:
    error = unreachable(HOST, said)
    assert error.message == f"a.example.com:2222: {meaning}"
    assert error.hint
    assert error.exit_code == 6


def test_a_key_given_as_text_lies_in_a_private_file_that_goes(tmp_path: Path) -> None:
    text = "-----BEGIN OPENSSH PRIVATE KEY-----\r\ncanary\r\n-----END OPENSSH PRIVATE KEY-----"
    with Connections(tmp_path, {"MCGITOPS_SSH_KEY": text}) as connections:
        path = Path(connections.options.identity)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.read_text() == text.replace("\r", "") + "\n"
        assert "canary" not in " ".join(connections.options.arguments())
    assert not path.parent.exists()


def test_a_key_that_is_neither_a_file_nor_text_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="MCGITOPS_SSH_KEY names no file"):
        Connections(tmp_path, {"MCGITOPS_SSH_KEY": "~/no/such/key"})
    with pytest.raises(UsageError, match="known_hosts: ops/hosts does not exist"):
        Connections(tmp_path, {}, "ops/hosts")


def test_pins_may_be_text_too(tmp_path: Path) -> None:
    line = "a.example.com ssh-ed25519 AAAA"
    with Connections(tmp_path, {"MCGITOPS_KNOWN_HOSTS": line}) as connections:
        assert Path(connections.options.known_hosts).read_text() == line + "\n"


def test_what_a_killed_run_left_is_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.setattr(connection, "_short_temporary_folder", lambda: str(tmp_path))
    old, young, alive, other = (
        tmp_path / f"mcg-{pid}-{name}"
        for pid, name in ((gone.pid, "old"), (gone.pid, "young"), (os.getpid(), "x"), ("a", "b"))
    )
    for path in (old, young, alive, other):
        path.mkdir()
        (path / "MCGITOPS_SSH_KEY").write_text("canary")
    for path in (old, alive, other):
        os.utime(path, (0, 0))
    Connections(tmp_path, {}).close()
    assert sorted(tmp_path.iterdir()) == sorted([young, alive, other])
