"""Owners, locks and atomic files: what keeps trainings of one machine apart."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from mcgitops.run import output
from mcgitops.run.workspace import is_alive, lock_folder, owner


def test_an_owner_is_alive_while_its_process_is() -> None:
    process = subprocess.Popen(["sleep", "60"])
    assert is_alive(owner(process.pid))
    process.kill()
    process.wait()
    assert not is_alive(owner(process.pid))
    assert is_alive(owner())
    assert is_alive(f"{socket.gethostname()}:1")


def test_of_another_machine_nobody_can_tell_so_it_may_live() -> None:
    assert is_alive("elsewhere:1")
    assert not is_alive("")


def test_locks_lie_in_a_folder_of_the_users_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert lock_folder() == tmp_path / "mcgitops"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    folder = lock_folder()
    assert folder.stat().st_uid == os.getuid()
    assert folder.stat().st_mode & 0o077 == 0


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "d/file"
    output.write_atomically(target, b"one")
    assert target.read_bytes() == b"one"

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        output.write_atomically(target, b"two")
    assert target.read_bytes() == b"one"
    assert [path.name for path in target.parent.iterdir()] == ["file"]
