"""What a push without anything to do relies on, beside the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcgitops.facts.resolved import Kept
from mcgitops.project.pin import SUFFIX
from mcgitops.run import unchanged
from mcgitops.run.unchanged import NAMING, PINS, Unchanged
from mcgitops.store.s3_url import parse


class Asked(dict[str, str]):
    """An environment that notes what it is asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def get(self, name: str, default: object = None) -> str:  # type: ignore[override]
        self.names.add(name)
        return ""


def test_all_variables_that_name_a_store_are_looked_at() -> None:
    asked = Asked()
    parse("s3://bucket/prefix", asked)
    assert asked.names
    assert {*asked.names, "MCGITOPS_STORE"} == set(NAMING)


def test_all_pins_are_looked_at() -> None:
    assert PINS.removeprefix("*") == SUFFIX


def test_a_note_of_the_store_is_taken_only_beside_what_compose_said_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compose.yml").write_text("services: {}\n")
    (tmp_path / ".mcgitops/cache").mkdir(parents=True)
    said = Kept("what Compose says", "12-34")
    monkeypatch.setattr(unchanged, "kept", lambda *_: said)

    def look() -> Unchanged:
        found = Unchanged(tmp_path, (), {})
        found.end()
        return found

    assert look().project() is None
    look().remember_project("wine", "s3://bucket")
    assert look().project() == (tmp_path, "wine", "s3://bucket")
    said = Kept(said.text, "56-78")  # Compose was asked again, or it is another machine
    assert look().project() is None
    said = Kept("something else", "12-34")
    assert look().project() is None
    look().remember_project("wine", "s3://other")
    assert look().project() == (tmp_path, "wine", "s3://other")
    assert len(list((tmp_path / ".mcgitops/cache").glob("project-*"))) == 1
