"""Pinned data on the disk: what large files cost that are brought out of a bucket."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mcgitops.run import data_files
from mcgitops.store.large import FROM
from tests.conftest import ProjectFactory
from tests.integration.store.test_data import COMPOSE, Say, clone
from tests.integration.store.test_data import say as say
from tests.lab.s3 import S3Server


def read_bytes() -> int:
    """How many bytes this process has read from files until now, out of memory or from a disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


@pytest.mark.s3
def test_a_large_file_is_written_on_its_way_and_not_read_again(
    project_factory: ProjectFactory,
    rclone_s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    say: Say,
) -> None:
    monkeypatch.setattr("mcgitops.store.making.can_clone", lambda *_: False)
    monkeypatch.setattr(data_files, "WORTH", 1)
    for name, value in rclone_s3.env.items():
        monkeypatch.setenv(name, value)
    folder = project_factory({"compose.yml": COMPOSE.replace("STORE", rclone_s3.url("once"))})
    (folder / "sets").mkdir()
    there = folder.parent / "clone"
    for number in range(2):
        content = os.urandom(FROM + number)
        (folder / "sets/large").write_bytes(content)
        assert say(folder, "data", "add", "--push", "sets")[0] == 0
        project_factory.commit(folder, {}, f"Pin {number}")
        if number:  # it then takes the place of what an earlier pin had there
            subprocess.run(["git", "-C", there, "pull", "--quiet"], check=True)
        else:
            clone(folder)
        before = read_bytes()
        assert "1 file written (16.8 MB)" in say(there, "data", "pull")[1]
        assert "as pinned, 1 file, 16.8 MB" in say(there, "data", "status")[1]
        assert read_bytes() - before < FROM // 2
        assert (there / "sets/large").read_bytes() == content
