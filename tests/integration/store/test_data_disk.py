"""Pinned data on the disk: what large files cost on their way, and files that are the store's."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from mcgitops.run import data_files
from mcgitops.store import layout
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


CONTENT = {"a": "first\n", "b": "second\n", "again": "second\n", "empty": "", "run": "#!/bin/sh\n"}


def own(folder: Path, content: str) -> Path:
    """The object of a content in a project's local store."""
    digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
    return folder / ".mcgitops/store" / layout.object_key(digest)


def is_linked(folder: Path, name: str, content: str = "") -> bool:
    place, there = folder / "sets" / name, own(folder, content or CONTENT[name])
    if not place.samefile(there):
        return False
    assert stat.S_IMODE(place.stat().st_mode) & 0o333 == 0
    return True


def linked(folder: Path) -> set[str]:
    return {name for name in CONTENT if is_linked(folder, name)}


@pytest.fixture
def pinned(project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch, say: Say) -> Path:
    """A project whose data is pinned and pushed, without links."""
    monkeypatch.setattr("mcgitops.store.link.can_clone", lambda *_: False)
    folder = project_factory({"compose.yml": COMPOSE.replace("STORE", "../bucket")})
    project_factory.write(folder, {f"sets/{name}": text for name, text in CONTENT.items()})
    (folder / "sets/run").chmod(0o755)
    assert say(folder, "data", "add", "--push", "sets")[0] == 0
    project_factory.commit(folder, {}, "Pin")
    assert linked(folder) == set()
    return folder


@pytest.fixture
def there(pinned: Path, monkeypatch: pytest.MonkeyPatch, say: Say) -> Path:
    """A clone of it that has the data by links."""
    monkeypatch.setenv("MCGITOPS_STORE_LINKS", "data")
    folder = clone(pinned)
    code, out, _ = say(folder, "data", "pull")
    assert code == 0
    assert "5 files written (30 B). 2 files are linked to the store (13 B)." in out
    return folder


def test_files_are_the_stores_where_that_is_asked_for(pinned: Path, there: Path, say: Say) -> None:
    # one of the two that are alike; not what is executable, and nothing that is empty
    assert linked(there) in ({"a", "b"}, {"a", "again"})
    assert {name: (there / "sets" / name).read_text() for name in CONTENT} == CONTENT
    assert os.access(there / "sets/run", os.X_OK)
    code, out, _ = say(there, "data", "status")
    assert code == 0
    assert "sets  as pinned, 5 files, 30 B" in out
    assert say(there, "data", "pull")[1] == "All data is here as it is pinned.\n"
    assert say(there, "verify")[0] == 0
    # what is there already becomes a link, too, and whatever hasn't the content stays as it is
    os.utime(pinned / "sets/a", ns=(1, 1))
    assert "2 files are linked to the store" in say(pinned, "data", "pull")[1]
    assert is_linked(pinned, "a")


def test_what_is_added_and_pushed_is_linked_and_what_is_not_pushed_is_not(
    there: Path, say: Say
) -> None:
    (there / "sets/new").write_text("third\n")
    assert "linked" not in say(there, "data", "add", "sets")[1]
    assert "linked" not in say(there, "data", "pull")[1]
    assert not is_linked(there, "new", "third\n")
    assert "1 file is linked to the store (6 B)." in say(there, "data", "add", "--push", "sets")[1]
    assert is_linked(there, "new", "third\n")


def test_a_file_that_is_replaced_harms_nothing(there: Path, say: Say) -> None:
    (there / "sets/new").write_text("edited\n")
    (there / "sets/new").replace(there / "sets/a")
    assert own(there, CONTENT["a"]).read_text() == CONTENT["a"]
    code, out, _ = say(there, "data", "status")
    assert code == 1
    assert "~ a  6 B → 7 B" in out
    assert say(there, "data", "pull", "--force")[0] == 0
    assert is_linked(there, "a")
    assert [path.read_text() for path in there.glob(".mcgitops/replaced/*/sets/a")] == ["edited\n"]


def test_an_edit_through_a_link_is_noticed_and_taken_back(there: Path, say: Say) -> None:
    (there / "sets/a").chmod(0o644)
    was = (there / "sets/a").stat()
    (there / "sets/a").write_text("FIRST\n")
    os.utime(there / "sets/a", ns=(was.st_atime_ns, was.st_mtime_ns))  # same size and time
    assert own(there, CONTENT["a"]).read_text() == "FIRST\n"
    code, out, _ = say(there, "data", "status")
    assert code == 1
    assert "~ a" in out
    code, out, _ = say(there, "verify")
    assert code == 1
    assert own(there, CONTENT["a"]).name in out
    assert "Concerns sets/a, which is pinned." in out
    assert "sets isn't as it is pinned: ~ a" in out
    assert "stays so" in say(there, "data", "pull")[2]
    assert (there / "sets/a").read_text() == "FIRST\n"
    assert say(there, "data", "pull", "--force")[0] == 0
    assert (there / "sets/a").read_text() == CONTENT["a"]
    assert is_linked(there, "a")
    assert [path.read_text() for path in there.glob(".mcgitops/replaced/*/sets/a")] == ["FIRST\n"]
    assert say(there, "verify")[0] == 0


def test_a_repair_parts_what_was_edited_from_the_store(there: Path, say: Say) -> None:
    (there / "sets/a").chmod(0o644)
    (there / "sets/a").write_text("FIRST\n")
    say(there, "verify", "--repair")
    assert own(there, CONTENT["a"]).read_text() == CONTENT["a"]
    assert (there / "sets/a").read_text() == "FIRST\n"
    assert say(there, "data", "add", "--push", "sets")[0] == 0
    assert say(there, "verify")[0] == 0


def test_an_edit_that_was_pinned_leaves_the_old_content_where_it_was_pushed(
    pinned: Path, there: Path, say: Say
) -> None:
    (there / "sets/a").chmod(0o644)
    (there / "sets/a").write_text("FIRST\n")
    assert say(there, "data", "add", "--push", "sets")[0] == 0
    assert (there / "sets/a").read_text() == "FIRST\n"
    (there / "sets.mcgitops").write_bytes((pinned / "sets.mcgitops").read_bytes())
    assert say(there, "data", "pull")[0] == 0  # the store's copy was harmed: it comes anew
    assert (there / "sets/a").read_text() == CONTENT["a"]
    assert say(there, "verify")[0] == 0


def test_what_was_made_writable_is_read_only_again(there: Path, say: Say) -> None:
    (there / "sets/a").chmod(0o666)
    assert say(there, "data", "pull")[0] == 0
    assert is_linked(there, "a")


def test_nothing_is_linked_that_only_one_store_has(
    project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    monkeypatch.setattr("mcgitops.store.link.can_clone", lambda *_: False)
    monkeypatch.setenv("MCGITOPS_STORE_LINKS", "data")
    folder = project_factory({"compose.yml": COMPOSE.replace('store: "STORE"', "")})
    project_factory.write(folder, {"sets/a": CONTENT["a"]})
    assert say(folder, "data", "add", "--push", "sets")[0] == 0
    (folder / "sets/a").unlink()
    code, _, err = say(folder, "data", "pull", "--force")
    assert code == 0
    assert "nothing is linked, as the local store is the only one" in err
    assert not is_linked(folder, "a")
    monkeypatch.setenv("MCGITOPS_STORE_LINKS", "yes")
    code, _, err = say(folder, "data", "pull")
    assert code == 2
    assert "MCGITOPS_STORE_LINKS is 'yes'. Write data; or unset it." in err
