"""The wheel works in an empty environment, with its templates in it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.lab import wheel as lab_wheel
from tests.lab.program import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_its_templates(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    templates = {
        f"mcgitops/templates/{path.relative_to(ROOT / 'templates')}"
        for path in (ROOT / "templates").rglob("*")
        if path.is_file()
    }
    assert templates <= names
    assert "mcgitops/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "benchmarks/"))]


@pytest.mark.engine  # init looks at the project through docker compose
def test_the_wheel_works_in_an_empty_environment(
    wheel: Path, tmp_path: Path, engine: object
) -> None:
    made = lab_wheel.try_out(wheel, tmp_path)
    assert "compose.yml" in made
