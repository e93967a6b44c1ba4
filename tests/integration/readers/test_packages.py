"""What the real packages write now is read as the files are that the readers' unit tests hold.

Those name each number of files that are checked in; here the same scripts write them anew.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from mcgitops.metrics import detect
from mcgitops.metrics.files import Folder
from tests.lab import writers

FIXTURES = Path(__file__).parents[2] / "fixtures" / "readers"


def found(folder: Path) -> Any:
    """What is read, ready to be compared: the last digits of trained numbers may differ."""
    findings = detect.find(Folder.of(folder))
    assert findings.warnings == ()
    return comparable(dataclasses.asdict(findings))


def comparable(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, dict):
        return {str(key): comparable(item) for key, item in value.items()}
    return [comparable(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(
    ("script", "folder"),
    [
        ("sklearn_files", "sklearn"),
        ("dvclive_run", "dvclive_run"),
        ("dvc_project", "dvc_project"),
        ("croissant_file", "croissant"),
        ("evidently_report", "evidently"),
    ],
)
def test_what_a_package_writes_now_is_read_as_what_is_checked_in(script: str, folder: str) -> None:
    now = found(writers.written(script) / folder)
    assert any(now[kind] for kind in ("metrics", "plots", "tables", "matrices", "checks", "params"))
    assert now == found(FIXTURES / folder)


def test_what_dvc_draws_now_is_what_is_checked_in() -> None:
    name = "dvc_drawn.json"
    now = json.loads((writers.written("dvc_project") / name).read_text())
    assert now == json.loads((FIXTURES / name).read_text())
