"""A release folder: made of the record and the caller's values, the same every time."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcgitops.deploy import place, yamlfile
from mcgitops.errors import UsageError
from mcgitops.store.records import FileRef, ReleaseImage, ReleaseRecord
from mcgitops.store.store import Store, open_store

COMPOSE = """
name: wine
services:
  api:
    image: x
    env_file: [{path: api.env}, {path: /etc/only-on-the-host.env}]
    environment: {WHO: "${WHO:?say who}"}
    volumes:
      - {type: bind, source: ./pages, target: /pages}
      - {type: bind, source: ./app.conf, target: /app.conf}
      - {type: bind, source: ./keep, target: /keep}
      - {type: bind, source: ../up, target: /up}
  extra: {image: x, profiles: [debug]}
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "api.env").write_text("CANARY=canary-in-env-file\n")
    (project / ".env").write_text("WHO=ada\n")
    return project


@pytest.fixture
def record(store: Store) -> ReleaseRecord:
    def file(path: str, content: str, executable: bool = False) -> FileRef:
        digest, size = store.put_bytes(content.encode())
        return FileRef(path=path, digest=digest, size=size, executable=executable)

    return ReleaseRecord(
        project="wine", name="v1", commit="0" * 40, created=datetime.now(UTC),
        images=(ReleaseImage(service="api", reference="x", config_digest="sha256:" + "1" * 64),),
        compose=file("compose.yml", COMPOSE),
        files=(
            file("pages/index.html", "hello"), file("pages/sub/run.sh", "run", executable=True),
            file("app.conf", "a=1"), file("keep/.gitkeep", ""),
        ),
    )  # fmt: skip


def test_the_folder_is_the_same_for_the_same_values(
    folder: Path, store: Store, record: ReleaseRecord
) -> None:
    first = place.prepare(folder, store, record, "production")
    again = place.prepare(folder, store, record, "production")
    assert again.placement == first.placement
    (folder / ".env").write_text("WHO=eve\n")
    other = place.prepare(folder, store, record, "production").placement
    assert other.digest != first.placement.digest
    assert other.services[0].configuration != first.placement.services[0].configuration
    assert "canary" not in repr(first)


def test_mounted_content_is_named_by_what_it_is(
    folder: Path, store: Store, record: ReleaseRecord
) -> None:
    prepared = place.prepare(folder, store, record, "production")
    document = yamlfile.read(prepared.entries["compose.yml"][0].decode())
    sources = [mount["source"] for mount in document["services"]["api"]["volumes"]]
    assert sources[0].startswith("../../../files/")
    assert sources[1].endswith("/app.conf")
    # a placeholder alone is no content, and a path outside can't leave the folder on the host
    assert sources[2:] == ["../../../state/keep", "../../../state/__/up"]
    assert prepared.states == ("state/keep", "state/__/up")


def test_what_a_host_receives_lies_where_it_belongs(
    folder: Path, store: Store, record: ReleaseRecord, tmp_path: Path
) -> None:
    prepared = place.prepare(folder, store, record, "production")
    root = tmp_path / "a host's folder"
    for _ in range(2):  # twice is once
        target = io.BytesIO()
        place.write_archive(store, prepared, {one.name for one in prepared.mounted}, target)
        script = place.receive_script(str(root), prepared, "token")
        subprocess.run(["sh", "-c", script], input=target.getvalue(), check=True)
    release = root / "releases" / prepared.folder
    assert json.loads((release / "release.json").read_text())["release"] == "v1"
    assert (release / ".env").read_text() == "WHO='ada'\n"
    modes = {path.name: path.stat().st_mode & 0o777 for path in release.iterdir()}
    assert modes == {"compose.yml": 0o600, ".env": 0o600, "release.json": 0o600, "env": 0o700}
    pages = next(root.glob("files/*/index.html")).parent
    assert (pages.stat().st_mode & 0o777, (pages / "sub").stat().st_mode & 0o777) == (0o755, 0o755)
    assert (pages / "sub" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (root / "state" / "keep").is_dir()
    assert root.stat().st_mode & 0o777 == 0o700
    assert not list(root.glob("incoming*"))


def test_an_archive_that_breaks_off_leaves_nothing(
    folder: Path, store: Store, record: ReleaseRecord, tmp_path: Path
) -> None:
    prepared = place.prepare(folder, store, record, "production")
    target = io.BytesIO()
    place.write_archive(store, prepared, {one.name for one in prepared.mounted}, target)
    script = place.receive_script(str(tmp_path / "root"), prepared, "token")
    done = subprocess.run(
        ["sh", "-c", script], input=target.getvalue()[:-200], capture_output=True, check=False
    )
    assert done.returncode != 0
    assert [path.name for path in (tmp_path / "root").iterdir()] == []


def test_only_files_that_the_host_lacks_travel(
    folder: Path, store: Store, record: ReleaseRecord
) -> None:
    prepared = place.prepare(folder, store, record, "production")
    target = io.BytesIO()
    place.write_archive(store, prepared, set(), target)
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        assert not [name for name in archive.getnames() if name.startswith("files/")]


def test_a_value_that_is_missing_is_named(folder: Path, store: Store, record: ReleaseRecord
                                          ) -> None:  # fmt: skip
    (folder / ".env").unlink()
    with pytest.raises(UsageError, match=r"Release v1 can't run in production: .*WHO.*say who"):
        place.prepare(folder, store, record, "production")


def test_services_that_the_release_does_not_have_are_named(
    folder: Path, store: Store, record: ReleaseRecord
) -> None:
    with pytest.raises(UsageError, match="web is not in release v1"):
        place.prepare(folder, store, record, "production", ["web"])
