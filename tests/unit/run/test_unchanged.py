"""What a push without anything to do relies on, beside the files."""

from __future__ import annotations

from mcgitops.project.pin import SUFFIX
from mcgitops.run.unchanged import NAMING, PINS
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
