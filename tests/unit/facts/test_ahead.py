"""Walks that are begun before the program is: they save time, and never change an answer."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from mcgitops.facts import ahead, files
from mcgitops.facts.ahead import Ahead
from mcgitops.facts.files import tree
from mcgitops.facts.index import GRANULARITY_NS, Index


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose data counts as large, looked at often enough to be known as a whole."""
    monkeypatch.setattr(ahead, "LARGE", 5)
    monkeypatch.setattr(files, "_LARGE", 1)
    folder = tmp_path / "project"
    (folder / "data/deep").mkdir(parents=True)
    (folder / ".mcgitops").mkdir()
    for number in range(9):
        (folder / f"data/deep/f{number}").write_text(str(number))
    (folder / "data" / os.fsdecode(b"not-\xff-utf8")).write_text("x")
    (folder / "data/link").symlink_to("deep/f1")
    time.sleep(2 * GRANULARITY_NS / 1e9)
    return folder


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that this process walked."""
    roots: list[str] = []
    real = files.folders
    monkeypatch.setattr(files, "folders", lambda root, skip: roots.append(root) or real(root, skip))
    return roots


def look(project: Path) -> tuple[str, Ahead]:
    index = Index(project / ".mcgitops/index.sqlite")
    index.ahead = Ahead(project)
    try:
        return tree(project / "data", index).digest, index.ahead
    finally:
        index.ahead.end()


def notes(project: Path) -> list[str]:
    file = project / ".mcgitops/cache/large.json"
    return json.loads(file.read_text()) if file.exists() else []


def plain(project: Path) -> str:
    return tree(project / "data", Index(project / "none.sqlite")).digest


def test_what_was_large_is_walked_by_another_process_the_next_time(
    project: Path, walked: list[str]
) -> None:
    first, _ = look(project)
    assert notes(project) == [str(project / "data")]
    walked.clear()
    found, _ = look(project)
    assert walked == []
    assert found == plain(project) == first


def test_whatever_changed_is_seen(project: Path) -> None:
    for change in (
        lambda: (project / "data/deep/f3").write_text("!"),
        lambda: (project / "data/deep/f4").unlink(),
        lambda: (project / "data/new").write_text(""),
        lambda: (project / "data/deep/f5").chmod(0o755),
        lambda: (project / "data/link").unlink(),
    ):
        for _ in range(2):
            before, _ = look(project)
        change()
        after, _ = look(project)
        assert after == plain(project) != before
        time.sleep(2 * GRANULARITY_NS / 1e9)


def test_its_entries_can_be_asked_for_all_the_same(project: Path) -> None:
    for _ in range(2):
        index = Index(project / ".mcgitops/index.sqlite")
        index.ahead = Ahead(project)
        found = tree(project / "data", index)
        index.ahead.end()
    expected = tree(project / "data", Index(project / "none.sqlite"))
    assert found.entries == expected.entries


def test_what_is_no_longer_large_or_gone_is_forgotten(project: Path) -> None:
    look(project)
    for number in range(9):
        (project / f"data/deep/f{number}").unlink()
    look(project)
    look(project)
    (project / ".mcgitops/cache/large.json").write_text(json.dumps([str(project / "nowhere")]))
    digest, _ = look(project)
    assert digest == plain(project)
    assert notes(project) == []


@pytest.mark.parametrize(
    "said", ["", "{", "{}", "[1]", '["relative"]', '["/a\\u0000b"]', "[" * 100_000, "null"]
)
def test_notes_that_make_no_sense_are_none(project: Path, said: str) -> None:
    (project / ".mcgitops/cache").mkdir()
    (project / ".mcgitops/cache/large.json").write_text(said)
    digest, _ = look(project)
    assert digest == plain(project)
    assert notes(project) == [str(project / "data")]


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false", "/nowhere", "/bin/echo"])
def test_without_the_other_process_all_is_walked_here(
    project: Path, walked: list[str], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    look(project)
    monkeypatch.setattr(sys, "executable", program)
    walked.clear()
    digest, _ = look(project)
    assert walked == [str(project / "data")]
    assert digest == plain(project)


def test_a_project_without_a_folder_of_ours_gets_none(tmp_path: Path) -> None:
    early = Ahead(tmp_path)
    early.note(tmp_path, 10**6)
    early.end()
    assert list(tmp_path.iterdir()) == []


def test_an_answer_is_given_once(project: Path) -> None:
    look(project)
    early = Ahead(project)
    assert early.signature(project / "data") != b""
    assert early.signature(project / "data") == b""
    early.end()
    early.end()


def test_where_there_is_no_index_nothing_is_walked_twice(project: Path, walked: list[str]) -> None:
    look(project)
    (project / "data/deep/late").write_text("late")
    for file in project.glob(".mcgitops/index.sqlite*"):
        file.unlink()
    early = Ahead(project)
    index = Index(project / ".mcgitops/index.sqlite")
    index.ahead = early
    walked.clear()
    try:
        found = tree(project / "data", index)
    finally:
        early.end()
    assert walked == []
    expected = tree(project / "data", Index(project / "none.sqlite"))
    assert (found.digest, found.entries) == (expected.digest, expected.entries)
    again, _ = look(project)
    assert again == expected.digest
    assert early.walked(project / "data") is None
