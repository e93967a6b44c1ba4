"""Trees of files: the index only saves time, never changes the answer."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcgitops.errors import McgitopsError
from mcgitops.facts import files
from mcgitops.facts.files import tree
from mcgitops.facts.index import GRANULARITY_NS, Index, Row, Unknowing, fits
from mcgitops.facts.walking import signed
from mcgitops.project.tree import Entry, Tree, difference, link_digest
from tests.unit.facts.looking import look


@pytest.fixture(autouse=True, params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small folders are known by their rows, large ones also as a whole: here each is both."""
    monkeypatch.setattr(files, "_LARGE", 1 if request.param == "large" else 10**9)
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to look at."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An index beside it."""
    return Index(tmp_path / "index.sqlite")


def sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def settle() -> None:
    """Wait until what was written is clearly older than what will be hashed."""
    time.sleep(2 * GRANULARITY_NS / 1e9)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that are really read."""
    seen: list[str] = []
    real = files.hash_file

    def counted(root: Path, item: files.Unread) -> object:
        seen.append(item.path)
        return real(root, item)

    monkeypatch.setattr(files, "hash_file", counted)
    return seen


def test_a_tree_is_its_files_and_links_sorted(root: Path, index: Index) -> None:
    (root / "b").write_text("two")
    (root / "a").mkdir()
    (root / "a/x y").write_text("one")
    (root / "a/run").write_text("#!")
    (root / "a/run").chmod(0o755)
    (root / "link").symlink_to("a/x y")
    (root / "dangling").symlink_to("/nowhere")
    (root / "empty").mkdir()
    os.mkfifo(root / "pipe")
    (root / ".git").mkdir()
    (root / ".git/HEAD").write_text("")
    (root / ".mcgitops").mkdir()
    (root / ".mcgitops/x").write_text("")
    assert tree(root, index).entries == (
        Entry("a/run", sha("#!"), 2, True),
        Entry("a/x y", sha("one"), 3, False),
        Entry("b", sha("two"), 3, False),
        Entry("dangling", "link:/nowhere", 0, False),
        Entry("link", "link:a/x\\x20y", 0, False),
    )


def test_a_single_file_is_a_tree_of_one_and_nothing_is_an_empty_one(
    root: Path, index: Index
) -> None:
    (root / "p.yaml").write_text("a: 1")
    (root / "to").symlink_to("p.yaml")
    (root / "dangling").symlink_to("nothing")
    assert tree(root / "p.yaml", index).entries == (Entry("p.yaml", sha("a: 1"), 4, False),)
    assert tree(root / "to", index).entries == (Entry("to", sha("a: 1"), 4, False),)
    for nothing in ("nope", "nope/deeper", "p.yaml/below", "dangling"):
        assert tree(root / nothing, index) == Tree()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(root / "s"))
        assert tree(root / "s", index) == Tree()


def test_the_second_look_reads_nothing(root: Path, index: Index, reads: list[str]) -> None:
    for number in range(200):
        (root / f"f{number}").write_text(str(number))
    settle()
    first = tree(root, index)
    assert len(reads) == 200
    assert tree(root, index) == first
    assert len(reads) == 200


def test_a_large_folder_that_did_not_change_is_known_as_a_whole(
    root: Path, index: Index, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (root / f"f{number}").write_text(str(number))
    (root / "link").symlink_to("f1")
    settle()
    tree(root, index)
    first = tree(root, index)  # from the rows, all of which fit
    loads: list[str] = []
    real = Index.load
    monkeypatch.setattr(Index, "load", lambda self, at: loads.append(at) or real(self, at))
    third = tree(root, index)
    assert third.digest == first.digest
    assert len(loads) == (0 if size == "large" else 1)
    assert third.entries == first.entries
    # whatever changes then is seen
    (root / "link").unlink()
    (root / "link").symlink_to("f2")
    second = tree(root, index)
    assert difference(first, second).changed == ("link",)
    before = (root / "f3").stat()
    (root / "f3").write_text("!")
    os.utime(root / "f3", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert difference(second, tree(root, index)).changed == ("f3",)
    # and what changes after it was asked for is not passed off as what it was
    settle()
    tree(root, index)
    tree(root, index)
    late = tree(root, index)
    (root / "f4").write_text("!")
    if size == "large":
        assert Entry("f4", sha("4"), 1, False) in late.entries
    assert late.digest != tree(root, index).digest


def test_only_what_changed_is_read_and_what_is_gone_is_forgotten(
    root: Path, index: Index, reads: list[str]
) -> None:
    for name in "abc":
        (root / name).write_text(name)
    settle()
    tree(root, index)
    reads.clear()
    (root / "a").write_text("A")
    (root / "b").unlink()
    settle()
    assert [entry.digest for entry in tree(root, index).entries] == [sha("A"), sha("c")]
    assert reads == ["a"]
    assert set(index.load(str(root))) == {"a", "c"}


def test_a_file_that_changed_as_it_was_hashed_is_read_again(
    root: Path, index: Index, reads: list[str]
) -> None:
    (root / "a").write_text("1")
    tree(root, index)  # at once: the next change could carry the same time stamp
    tree(root, index)
    assert reads == ["a", "a"]


def test_same_size_and_a_time_that_was_set_back_do_not_deceive(root: Path, index: Index) -> None:
    (root / "a").write_text("one")
    settle()
    before = tree(root, index)
    stat = (root / "a").stat()
    (root / "a").write_text("two")
    os.utime(root / "a", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (root / "a").stat().st_mtime_ns == stat.st_mtime_ns
    assert tree(root, index).entries[0].digest == sha("two")
    assert difference(before, tree(root, index)).changed == ("a",)


def test_a_file_that_was_replaced_by_another_of_the_same_times_is_noticed(
    root: Path, index: Index
) -> None:
    (root / "a").write_text("one")
    (root / "b").write_text("two")
    stat = (root / "a").stat()
    os.utime(root / "b", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    settle()
    tree(root, index)
    (root / "b").replace(root / "a")
    assert [entry.digest for entry in tree(root, index).entries] == [sha("two")]


def test_the_executable_bit_counts_and_other_modes_do_not(root: Path, index: Index) -> None:
    (root / "a").write_text("x")
    plain = tree(root, index)
    (root / "a").chmod(0o600)
    assert tree(root, index).digest == plain.digest
    (root / "a").chmod(0o700)
    assert tree(root, index).digest != plain.digest


NAMES = ("line\nbreak", "back\\slash", "cr\r", "\\n", "tab\t", "sp ace", "é", "数", "-", "'\"$(x)")


def test_names_of_any_kind_survive_the_manifest(root: Path, index: Index) -> None:
    for name in NAMES:
        (root / name).write_text(name)
        (root / f"l{name}").symlink_to(name)
    (root / os.fsdecode(b"not-\xff-utf8")).write_text("bytes")
    (root / os.fsdecode(b"link-\xff")).symlink_to(os.fsdecode(b"to-\xfe"))
    settle()
    found = tree(root, index)
    assert len(found.entries) == 2 * len(NAMES) + 2
    assert Tree.parse(found.manifest) == found
    assert tree(root, index) == found  # from the index
    stored = found.manifest.encode("utf-8", "surrogateescape")
    assert Tree.parse(stored.decode("utf-8", "surrogateescape")).digest == found.digest


@given(st.lists(st.tuples(st.text(min_size=1), st.booleans(), st.integers(0)), max_size=8))
def test_a_manifest_parses_back_to_its_tree(rows: list[tuple[str, bool, int]]) -> None:
    entries = [
        Entry(path, link_digest(path) if executable else sha(path), size, executable)
        for path, executable, size in {row[0]: row for row in rows}.values()
    ]
    made = Tree.of(entries)
    assert Tree.parse(made.manifest) == made


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "same size", "set back", "delete", "chmod", "link", "move"]),
            st.sampled_from(["a", "b", "d/a", "d/e/c"]),
            st.integers(0, 9),
        ),
        max_size=12,
    ),
    st.booleans(),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_with_the_index_the_tree_is_what_it_is_without(
    tmp_path: Path, steps: list[tuple[str, str, int]], looking: bool
) -> None:
    place = tmp_path / os.urandom(8).hex()
    root, index = place / "root", Index(place / "index.sqlite")
    root.mkdir(parents=True)
    for what, name, number in steps:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        there = path.exists() and not path.is_symlink()
        if what == "write" or (what in ("same size", "set back") and not there):
            path.unlink(missing_ok=True)
            path.write_text("x" * number)
        elif what in ("same size", "set back"):
            stat = path.stat()
            path.write_text(str(number) * stat.st_size)
            if what == "set back":
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        elif what == "delete":
            path.unlink(missing_ok=True)
        elif what == "chmod" and there:
            path.chmod(0o755 if number % 2 else 0o644)
        elif what == "link":
            path.unlink(missing_ok=True)
            path.symlink_to(f"t{number}")
        elif what == "move" and there:
            path.replace(root / f"moved{number}")
        if looking:
            tree(root, index)
    assert tree(root, index) == tree(root, Index(place / "none.sqlite"))


def test_a_file_that_keeps_changing_is_refused_with_the_remedy(root: Path, index: Index) -> None:
    busy = root / "log"
    busy.write_bytes(b"x" * 30_000_000)
    ended = threading.Event()

    def write() -> None:
        with busy.open("r+b") as stream:
            while not ended.is_set():
                stream.seek(0)
                stream.write(os.urandom(4))
                stream.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(McgitopsError, match=r"log .*(changing|changed)"):
            for _ in range(20):
                tree(root, index)
    finally:
        ended.set()
        writer.join()


def test_what_cannot_be_read_is_a_sentence(
    root: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        # root may read everything, so the refusal itself has to be made
        def refuse(path: object) -> object:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(os, "scandir", refuse)
    else:
        (root / "closed").mkdir(mode=0)
    with pytest.raises(McgitopsError, match=r"can't be read\. Give yourself permission"):
        tree(root, index)


def test_processes_share_the_index(root: Path, tmp_path: Path) -> None:
    for number in range(300):
        (root / f"f{number}").write_text(str(number))
    settle()
    file = tmp_path / "index.sqlite"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        digests = pool.starmap(look, [(str(root), str(file))] * 8)
    assert set(digests) == {tree(root, Index(tmp_path / "other.sqlite")).digest}
    assert len(Index(file).load(str(root))) == 300


@pytest.mark.parametrize("damage", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 200])
def test_a_damaged_index_costs_time_only(root: Path, tmp_path: Path, damage: bytes) -> None:
    (root / "a").write_text("x")
    settle()
    file = tmp_path / "index.sqlite"
    file.write_bytes(damage)
    index = Index(file)
    found = tree(root, index)
    assert found.entries[0].digest == sha("x")
    assert tree(root, index) == found
    assert tree(root, index) == found
    assert set(index.load(str(root))) == {"a"}


def test_a_busy_index_holds_nobody_up_for_good(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_text("x")
    settle()
    file = tmp_path / "index.sqlite"
    index = Index(file)
    tree(root, index)
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda name, timeout: real(name, timeout=0.05))
    with real(file) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert tree(root, index).entries[0].digest == sha("x")
        other.rollback()
    assert file.exists()
    assert set(index.load(str(root))) == {"a"}


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every folder held enough small files to be hashed in processes of their own."""
    monkeypatch.setattr(files, "_MANY", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})


def _varied(root: Path) -> None:
    for number in range(150):
        (root / f"f{number}").write_bytes(b"x" * number)
    for name in NAMES:
        (root / name).write_text(name)
    (root / os.fsdecode(b"not-\xff-utf8")).write_text("bytes")
    (root / "run").write_text("#!")
    (root / "run").chmod(0o755)
    for size_ in (files.SMALL - 1, files.SMALL, files.SMALL + 1, 3 * files.SMALL):
        (root / f"large{size_}").write_bytes(os.urandom(size_))


def test_processes_give_the_same_tree(
    root: Path, index: Index, tmp_path: Path, processes: None, reads: list[str]
) -> None:
    _varied(root)
    settle()
    found = tree(root, index)
    assert reads == []  # not one in this process
    assert found.entries == tuple(
        sorted(
            Entry(
                path.name,
                "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_size,
                path.name == "run",
            )
            for path in root.iterdir()
        )
    )
    assert tree(root, index) == found
    text = [path for path in index.load(str(root)) if path.isprintable()]
    assert len(text) > 150  # and they left rows that fit
    assert reads in ([], [os.fsdecode(b"not-\xff-utf8")])


@pytest.mark.parametrize("fault", ["none starts", "all end", "they answer nonsense"])
def test_without_processes_everything_is_read_here(
    root: Path,
    index: Index,
    processes: None,
    reads: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: str,
) -> None:
    program = tmp_path / "program"
    said = {"none starts": None, "all end": "#!/bin/true\n", "they answer nonsense": "#!/bin/yes\n"}
    if (text := said[fault]) is not None:
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    _varied(root)
    found = tree(root, index)
    monkeypatch.undo()
    assert found == tree(root, Index(tmp_path / "none.sqlite"))
    assert set(reads) >= {f"f{number}" for number in range(150)}


def test_processes_leave_it_to_us_to_say_what_is_wrong(
    root: Path, index: Index, processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _varied(root)
    real = files.folders

    def one_goes_away(*arguments: object) -> object:
        yield from real(*arguments)  # type: ignore[arg-type]
        (root / "f7").unlink(missing_ok=True)

    monkeypatch.setattr(files, "folders", one_goes_away)
    with pytest.raises(McgitopsError, match=r"f7 went away while it was read\. Try again\."):
        tree(root, index)


def test_what_came_to_a_digest_too_early_is_not_kept_as_a_whole(
    root: Path, index: Index, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Racy clean holds for the folder as for each file: a later change may look the same."""
    noted: list[str] = []
    real = Index.summarise
    monkeypatch.setattr(Index, "summarise", lambda self, *a: noted.append(a[-1]) or real(self, *a))
    (root / "a").write_text("1")
    (root / "b").write_text("1")
    with monkeypatch.context() as hurry:  # however long a busy machine takes, it is too early
        hurry.setattr("mcgitops.facts.index.GRANULARITY_NS", 3600 * 10**9)
        tree(root, index)
        tree(root, index)
    assert noted == []
    settle()
    settled = tree(root, index)
    assert noted == ([settled.digest] if size == "large" else [])


def test_files_from_the_future_are_read_each_time(
    root: Path, index: Index, reads: list[str]
) -> None:
    """A clock that was set back: such a file may yet be changed at the time that it bears."""
    (root / "a").write_text("x")
    ahead = time.time_ns() + 3600 * 10**9
    os.utime(root / "a", ns=(ahead, ahead))
    settle()
    for _ in range(3):
        tree(root, index)
    assert reads == ["a"] * 3


def test_numbers_that_sqlite_has_no_room_for_are_kept_all_the_same(index: Index) -> None:
    for number in (0, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**63)):
        assert -(2**63) <= signed(number) < 2**63
    large, there = 2**64 - 1, Path(os.devnull).stat()
    stat = os.stat_result((0o100644, large, *there[2:]), {"st_mtime_ns": 1, "st_ctime_ns": 1})
    seen = files.Seen()
    seen.add([("a", there, None), ("b", stat, None)])
    assert [found[0] for found in seen.stats()] == [there.st_ino, signed(large)]
    index.save("/r", [("b", Row(signed(large), 0, 1, 1, 10**12, "sha256:00"))])
    assert fits(index.load("/r")["b"], (signed(large), 0, 1, 1, 0o100644))


def test_what_was_hashed_before_an_interruption_is_not_read_again(
    root: Path, index: Index, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_BATCHES", 1)
    for number in range(640):
        (root / f"{number:04}").write_text(str(number))
    (root / "0639").unlink()
    (root / "0639").symlink_to("0001")
    settle()
    counted, stopped = files.hash_file, len(reads) + 500

    def stopping(path: Path, item: files.Unread) -> object:
        if len(reads) >= stopped:
            raise KeyboardInterrupt
        return counted(path, item)

    monkeypatch.setattr(files, "hash_file", stopping)
    with pytest.raises(KeyboardInterrupt):
        tree(root, index)
    known = len(index.load(str(root)))
    assert 64 <= known <= 500, "some of it was noted, and nothing else"
    monkeypatch.setattr(files, "hash_file", counted)
    reads.clear()
    whole = tree(root, index)
    assert len(reads) == 639 - known
    assert whole.digest == tree(root, Unknowing()).digest
    assert len(whole.entries) == 640


def test_a_manifest_is_the_same_with_and_without_its_text(root: Path, index: Index) -> None:
    for name in ("a b", "ä", "x\\y\nz", os.fsdecode(b"\xff")):
        (root / name).write_bytes(os.fsencode(name))
    found = tree(root, index)
    assert found.encoded(b"head\n") == b"head\n" + found.manifest.encode("utf-8", "surrogateescape")
