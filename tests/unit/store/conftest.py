"""Stores in folders, and records to put into them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from mcgitops.store.records import FileRef, ImageRef, RunRecord
from mcgitops.store.store import Store, open_store

NOON = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """Another empty store."""
    return open_store(str(tmp_path / "other"))


def a_run(store: Store, number: int = 1, **changes: Any) -> RunRecord:
    """A run's record; its one output is in the store."""
    digest, size = store.put_bytes(f"model {number}".encode())
    values: dict[str, Any] = {
        "project": "wine",
        "stage": "train",
        "fingerprint": f"{number:064x}",
        "state": "succeeded",
        "started": NOON + datetime.timedelta(minutes=number),
        "image": ImageRef(reference="example"),
        "outputs": (FileRef(path="out/model.bin", digest=digest, size=size),),
    }
    return RunRecord(**{**values, **changes})


def object_path(store: Store, digest: str) -> Path:
    """The file that holds an object."""
    assert store.path is not None
    name = digest.removeprefix("sha256:")
    return store.path / "objects" / "sha256" / name[:2] / name


def damage(store: Store, digest: str) -> None:
    """Flip a bit of an object, as a bad disk does."""
    path = object_path(store, digest)
    path.chmod(0o644)
    value = bytearray(path.read_bytes())
    value[len(value) // 2] ^= 1
    path.write_bytes(value)
    path.chmod(0o444)
