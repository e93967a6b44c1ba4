"""The benchmark of the place on the disk says what it couldn't try."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import disk
from benchmarks.disk import KINDS, NOTHING, ONCE, Absent, mounted


def test_what_cannot_be_mounted_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Absent, match="only root"), mounted("ext4", tmp_path / "a"):
        pass
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(Absent, match=r"no mkfs\.nosuch"), mounted("nosuch", tmp_path / "b"):
        pass
    monkeypatch.setattr("shutil.which", lambda *_, **__: "false")
    monkeypatch.setattr(disk, "SIZE", 0)
    with pytest.raises(Absent), mounted("ext4", tmp_path / "c"):
        pass


def test_blocks_that_are_shared_take_their_place_once() -> None:
    bounds = {kind.name: kind.bound("data pull") for kind in KINDS}
    assert bounds == {
        "ext4": None, "ext4, MCGITOPS_STORE_LINKS=data": ONCE, "Btrfs": ONCE, "XFS": ONCE,
    }  # fmt: skip
    assert {kind.bound("data add") for kind in KINDS if kind.shares} == {NOTHING}
    assert {kind.bound("pull") for kind in KINDS if not kind.shares} == {None}
