"""Pins: their text, their manifests, and how a folder is held against them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.errors import UsageError
from mcgitops.project.model import Combination, Mount, Project, Service
from mcgitops.project.pin import (
    EMPTY_FOLDER,
    Joined,
    Pin,
    ignore_line,
    join,
    parse,
    pin_of,
    read_manifest,
    shown_read_only,
)
from mcgitops.project.spec import ProjectSpec, StageSpec
from mcgitops.project.tree import Entry, Tree, link_digest, link_target

NAMES = st.binary(min_size=1, max_size=12).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)
"""As the system gives them: every legal byte, valid UTF-8 or not."""
PATHS = NAMES.filter(lambda path: all(p not in ("", ".", "..") for p in path.split("/")))
SHAS = st.integers(0, 9).map(lambda number: f"sha256:{number:064x}")
LINKS = NAMES.map(link_digest)


def entries(digests: st.SearchStrategy[str] = SHAS) -> st.SearchStrategy[list[Entry]]:
    made = st.builds(Entry, PATHS, digests, st.integers(0, 2**50), st.booleans())
    return st.lists(made, max_size=8, unique_by=lambda entry: entry.path)


@given(entries(SHAS | LINKS), st.lists(PATHS, max_size=3, unique=True))
def test_what_was_pinned_is_read_again_from_the_pin_and_the_manifest(
    found: list[Entry], folders: list[str]
) -> None:
    tree = Tree.of(found)
    pin, manifest = pin_of("data/images", tree, folders, is_folder=True)
    assert parse(pin.text, "data/images.mcgitops") == pin
    read = read_manifest(manifest)
    empty = {entry.path for entry in read.entries if entry.digest == EMPTY_FOLDER}
    assert empty == set(folders)
    again = Tree(tuple(entry for entry in read.entries if entry.digest != EMPTY_FOLDER))
    assert again.digest == tree.digest == pin.tree != pin.digest
    assert pin.size == sum(entry.size for entry in found)


@given(st.text(max_size=20))
def test_a_links_target_is_read_again_from_its_digest(target: str) -> None:
    assert link_target(link_digest(target)) == target
    assert link_target("sha256:" + "0" * 64) is None


@given(entries())
def test_a_runs_manifest_is_never_taken_for_one_that_says_that_the_files_are_there(
    found: list[Entry],
) -> None:
    with pytest.raises(ValueError, match="no manifest"):
        read_manifest(Tree.of(found).manifest.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format: 1", "format: 2", "was written by a newer mcgitops (format 2). Upgrade"),
        ("kind: folder", "kind: sack", "is no pin of mcgitops, or damaged"),
        ("digest: sha256:", "digest: md5:", "is no pin of mcgitops, or damaged"),
        ("files: 0", "files: -1", "is no pin of mcgitops, or damaged"),
        ("tree:", "<<<<<<< HEAD\ntree:", "has conflict markers of a merge. Keep one side"),
        ("format: 1", "", "Take it from git again"),
    ],
)
def test_a_pin_that_is_none_is_refused_with_what_to_do(old: str, new: str, said: str) -> None:
    pin, _ = pin_of("data", Tree(), is_folder=True)
    assert old in pin.text
    with pytest.raises(UsageError) as refused:
        parse(pin.text.replace(old, new), "data.mcgitops")
    assert said in str(refused.value)
    assert "data.mcgitops" in str(refused.value)


def sides(pin: str, base: str, here: str) -> Joined:
    """One letter a file's content, "-" for none: `join` of one file "f"."""

    def side(letter: str) -> list[Entry]:
        return [Entry("f", f"sha256:{letter * 64}", 1, False)] if letter != "-" else []

    return join(side(pin), side(base), side(here))


@pytest.mark.parametrize(
    ("pin", "base", "here", "counts", "what"),
    [
        ("a", "a", "a", "a", ""),
        ("a", "-", "a", "a", ""),
        ("a", "-", "-", "a", "fetch"),  # never fetched
        ("a", "a", "-", "-", "removed"),  # by hand
        ("b", "a", "-", "b", "fetch"),  # git brought another pin since
        ("b", "a", "a", "b", "fetch"),  # only older
        ("b", "a", "c", "c", "changed"),
        ("b", "-", "c", "c", "changed"),
        ("-", "-", "c", "c", "added"),
        ("-", "a", "c", "c", "added"),
        ("-", "a", "a", "-", "discard"),  # only older
        ("-", "a", "-", "-", ""),
    ],
)
def test_what_was_changed_by_hand_is_told_from_what_is_only_older(
    pin: str, base: str, here: str, counts: str, what: str
) -> None:
    joined = sides(pin, base, here)
    shown = "".join(entry.digest[-1] for entry in joined.counts.values()) or "-"
    fields = ("fetch", "discard", "added", "removed", "changed")
    assert (shown, "".join(name for name in fields if getattr(joined, name))) == (counts, what)
    assert joined.agrees == (not what)


@given(entries(), entries(), entries())
def test_fetching_and_discarding_makes_what_counts(
    pin: list[Entry], base: list[Entry], here: list[Entry]
) -> None:
    joined = join(pin, base, here)
    folder = {entry.path: entry for entry in here}
    folder |= {entry.path: entry for entry in joined.fetch}
    for path in joined.discard:
        del folder[path]
    assert folder == joined.counts
    edited = {*joined.added, *joined.removed, *joined.changed}
    wanted = {entry.path: entry for entry in pin}
    for path in wanted.keys() | folder.keys():
        assert path in edited or folder.get(path) == wanted.get(path)


def test_an_ignore_line_means_nothing_but_the_name() -> None:
    assert ignore_line("images") == "/images"
    assert ignore_line("#a !b [c] *d ?e") == r"/#a !b \[c] \*d \?e"
    assert ignore_line("ends  ") == "/ends\\ \\ "
    assert ignore_line("a\nb") == "/a?b"


def a_project(*mounts: Mount) -> Project:
    raw = [{"type": "bind", "source": mount.source, "target": mount.target} for mount in mounts]
    spec = StageSpec(metrics=("out/metrics.json",))
    service = Service("train", {"volumes": raw}, spec, {}, mounts)
    return Project("p", Path("/p"), (), {"train": service}, ProjectSpec(), {})


def test_only_mounts_that_show_pinned_data_and_no_output_become_read_only() -> None:
    mounts = (
        Mount("bind", "/p/data", "/data"),
        Mount("bind", "/p/data/train", "/train"),
        Mount("bind", "/p/other", "/other"),
        Mount("bind", "/p/out", "/out"),
        Mount("bind", "/p", "/all"),
        Mount("bind", "/elsewhere", "/elsewhere"),
        Mount("volume", "cache", "/cache"),
    )
    project = a_project(*mounts)
    shown = shown_read_only(project, lambda: ("data", "out")).services["train"]
    assert [mount.target for mount in shown.mounts if mount.pinned] == ["/data", "/train"]
    assert [bool(raw.get("read_only")) for raw in shown.definition["volumes"]] == [True, True] + [
        False
    ] * 5
    assert shown_read_only(project, tuple) is project
    assert shown.combinations() == (Combination(),)


def test_a_project_without_writable_mounts_isnt_asked_for_its_pins() -> None:
    def asked() -> tuple[str, ...]:
        raise AssertionError

    project = a_project(Mount("bind", "/p/data", "/data", read_only=True))
    assert shown_read_only(project, asked) is project


def test_a_pin_of_a_file_has_its_folder_as_base() -> None:
    assert Pin("a/b.csv", "", 1, 1, False, "", "").base == "a"
    assert Pin("b.csv", "", 1, 1, False, "", "").base == "."
    assert Pin("a/b", "", 1, 1, True, "", "").base == "a/b"
