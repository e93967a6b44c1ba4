"""The stream that fills a run's volume unpacks to what the folder holds, owners and modes too."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.run.engine import ChunkStream
from mcgitops.run.seeds import Stored, seed_stream


@contextmanager
def opened(content: bytes) -> Iterator[BinaryIO]:
    yield io.BytesIO(content)


def stored(path: str, content: bytes, executable: bool = False) -> Stored:
    return Stored(path, len(content), executable, partial(opened, content))


def unpacked(stream: Iterator[bytes]) -> dict[str, tuple[tarfile.TarInfo, bytes | None]]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream)), errors="surrogateescape") as archive:
        return {
            member.name: (member, archive.extractfile(member).read() if member.isreg() else None)
            for member in archive
        }  # type: ignore[union-attr]


def test_files_folders_links_and_modes_come_along(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a").chmod(0o750)
    (tmp_path / "a/b/größe x").write_text("hello")
    (tmp_path / "a/run").write_text("#!")
    (tmp_path / "a/run").chmod(0o755)
    (tmp_path / "link").symlink_to("a/run")
    odd = os.fsdecode(b"not-\xff-utf8")
    (tmp_path / odd).write_text("z" * 600)
    long = "/".join(["long" * 20] * 4)
    (tmp_path / long).parent.mkdir(parents=True)
    (tmp_path / long).write_text("deep")
    own = ["a/b/größe x", "a/run", "link", odd, long]
    found = unpacked(seed_stream("/app/out", tmp_path, own, []))
    assert found["app/out"][0].isdir()
    assert found["app/out/a"][0].mode == 0o750
    assert found["app/out/a/b/größe x"][1] == b"hello"
    assert found["app/out/a/run"][0].mode == 0o755
    assert found["app/out/link"][0].linkname == "a/run"
    assert found[f"app/out/{odd}"][1] == b"z" * 600
    assert found[f"app/out/{long}"][1] == b"deep"
    assert {info.uid for info, _ in found.values()} == {tmp_path.stat().st_uid}


def test_files_of_the_store_lie_over_the_folders_own(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    stream = seed_stream("/o", tmp_path, [], [stored("d/x", b"1" * 513), stored("e/y", b"", True)])
    found = unpacked(stream)
    assert found["o/d/x"][1] == b"1" * 513
    assert found["o/e/y"][0].mode == 0o755
    assert found["o/d"][0].isdir()
    assert found["o/e"][0].isdir()


def test_the_folders_of_what_is_to_be_written_are_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o700)
    stream = seed_stream("/app", tmp_path, [], [], ["out/deep/m.json", "top.json"])
    found = unpacked(stream)
    assert found.keys() == {"app", "app/out", "app/out/deep"}
    assert found["app/out"][0].mode == 0o700


def test_a_folder_that_is_not_there_can_be_written_by_everybody(tmp_path: Path) -> None:
    found = unpacked(seed_stream("/o", tmp_path / "none", [], []))
    assert found["o"][0].mode == 0o777


def test_a_file_that_became_shorter_is_refused(tmp_path: Path) -> None:
    cut = Stored("x", 10, False, partial(opened, b"short"))
    with pytest.raises(OSError, match="became shorter"):
        list(seed_stream("/o", tmp_path, [], [cut]))


@given(st.lists(st.binary(max_size=30), max_size=8), st.lists(st.integers(-1, 40), max_size=10))
def test_chunks_read_as_one_stream(chunks: list[bytes], sizes: list[int]) -> None:
    stream, whole = ChunkStream(iter(chunks)), io.BytesIO(b"".join(chunks))
    for size in sizes:
        assert stream.read(size) == whole.read(size)
