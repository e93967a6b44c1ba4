"""Which reader gets which files, and what is said of files that none of them knows."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from mcgitops.metrics import detect


@dataclass
class InMemory:
    contents: Mapping[str, bytes]
    opened: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> Mapping[str, int]:
        return {path: len(content) for path, content in sorted(self.contents.items())}

    def open(self, path: str) -> io.BytesIO:
        self.opened.append(path)
        if self.contents[path] == b"gone":
            raise OSError("the store has no such object.")
        return io.BytesIO(self.contents[path])


def test_plain_files_are_read_by_their_ending() -> None:
    files = InMemory({"out/a.json": b'{"x": 1}', "out/h.csv": b"step,y\n1,2\n2,3\n"})
    found = detect.find(files)
    assert found.metrics == {"out/a.json": {"x": 1}, "out/h.csv": {"step": 2, "y": 3}}
    assert [plot.name for plot in found.plots] == ["out/h.csv"]
    assert detect.find(files, plain=detect.values).plots == ()
    assert detect.find(files, plain=detect.series).metrics == {}


def test_a_named_file_that_no_reader_knows_is_a_warning() -> None:
    files = InMemory({"out/model.xyz": b"?", "out/noend": b"?", "out/a.json": b"{}"})
    said = detect.find(files, asked=("out/model.xyz", "out/noend")).warnings
    assert "out/model.xyz: no reader knows the ending .xyz, and none knows its content." in said
    assert "out/noend: no reader knows this file, and none knows its content." in said


def test_a_named_folder_may_hold_other_files_but_not_only_those() -> None:
    files = InMemory({"a/m.json": b'{"x": 1}', "a/picture.xyz": b"?", "b/picture.xyz": b"?"})
    found = detect.find(files, asked=("a", "b", "c"))
    assert found.warnings == ("b: holds no file that a reader knows.",)


def test_a_file_that_is_gone_is_a_warning() -> None:
    files = InMemory({"m.json": b"gone", "mlflow.db": b"gone", "e.tfevents.1": b"gone"})
    found = detect.find(files)
    assert found.metrics == {}
    assert {said.split(":")[0] for said in found.warnings} == {"m.json", "mlflow.db", "tensorboard"}
    assert all("the store has no such object" in said for said in found.warnings)


def test_a_declared_reader_that_there_is_not_leaves_its_files_alone() -> None:
    files = InMemory({"out/a.json": b'{"x": 1}', "b.json": b'{"y": 2}'})
    found = detect.find(files, {"out": "nonsense"})
    assert found.metrics == {"b.json": {"y": 2}}
    assert found.warnings == ("out: there is no reader nonsense.",)


def test_a_declared_reader_that_finds_nothing_of_its_own_says_so() -> None:
    found = detect.find(InMemory({"out/a.json": b'{"x": 1}'}), {"out": "wandb"})
    assert found.metrics == {}
    assert found.warnings == ("out: has nothing for the reader wandb.",)


@pytest.mark.parametrize("name", detect.KNOWN)
def test_each_known_reader_can_be_had_and_claims_nothing_of_nothing(name: str) -> None:
    reader = detect.load(name)
    assert reader is not None
    assert list(reader.claims(InMemory({}))) == []
    assert name in detect.known()


def test_names_that_are_worth_a_look() -> None:
    for path in ("a/m.json", "mlflow.db", "x/events.out.tfevents.1.host", "run-1.wandb"):
        assert detect.is_known(path)
    assert not detect.is_known("a/model.joblib")
