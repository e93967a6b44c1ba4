"""Files by path whose contents lie in one of several stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcgitops.store.files import StoredFiles
from mcgitops.store.records import FileRef
from mcgitops.store.store import Store, open_store


def stored(store: Store, path: str, content: bytes) -> FileRef:
    digest, size = store.put_bytes(content)
    return FileRef(path=path, digest=digest, size=size)


def test_contents_come_from_the_first_store_that_has_them(tmp_path: Path) -> None:
    near, far = (open_store(str(tmp_path / name)) for name in ("near", "far"))
    files = StoredFiles.of((near, far), [stored(far, "b", b"far"), stored(near, "a", b"near")])
    assert files.sizes == {"a": 4, "b": 3}
    assert list(files.sizes) == ["a", "b"]
    for path, content in (("a", b"near"), ("b", b"far")):
        with files.open(path) as stream:
            assert stream.read() == content


def test_what_is_missing_or_damaged_is_an_error_of_reading(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    reference = stored(store, "a", b"content")
    gone = FileRef(path="gone", digest="sha256:" + "0" * 64, size=1)
    (place,) = (path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size == 7)
    place.chmod(0o644)
    place.write_bytes(b"CONTENT")
    files = StoredFiles.of((store,), [reference, gone])
    with pytest.raises(OSError, match="has no object"), files.open("gone") as stream:
        stream.read()
    with pytest.raises(OSError, match="is damaged"), files.open("a") as stream:
        stream.read()
