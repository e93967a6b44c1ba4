"""A reader of an installed package is found by its entry point: the one of the how-to's text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "write-a-reader.md"

READ = """
import json, sys
from pathlib import Path
from mcgitops.metrics import detect
from mcgitops.metrics.files import Folder
found = detect.find(Folder.of(Path(sys.argv[1])), json.loads(sys.argv[2]))
print(json.dumps([detect.known(), found.metrics, found.warnings, detect.is_known("a.score")]))
"""

BROKEN = {
    "boom": "raise RuntimeError('no luck\\non import')\n",
    "late": "def claims(files):\n    yield 1 / 0\n",
    "odd": (
        "from mcgitops.metrics.detect import Claim\n"
        "def claims(files):\n    return [Claim(p, (p,)) for p in files.sizes if 'odd' in p]\n"
        "def read(files, claim, warnings):\n    return {'accuracy': 1.0}\n"
    ),
}


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the packages as an installer lays them out: modules beside dist-info."""
    sources = tmp_path_factory.mktemp("sources")
    target = tmp_path_factory.mktemp("installed")
    packages = {"scoretool": block("python"), **BROKEN}
    for name, module in packages.items():
        folder = sources / name
        folder.mkdir()
        (folder / "pyproject.toml").write_text(block("toml").replace("scoretool", name))
        (folder / f"mcgitops_{name}.py").write_text(module)
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [
            uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", target,
            "--no-deps", "--no-build-isolation", "--offline", *(sources / n for n in packages),
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert (target / "mcgitops_scoretool-1.0.dist-info" / "entry_points.txt").is_file()
    return target


def read(installed: Path, folder: Path, declared: dict[str, str] | None = None) -> list:
    done = subprocess.run(
        [sys.executable, "-c", READ, folder, json.dumps(declared or {})],
        check=True, capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])},
    )  # fmt: skip
    return json.loads(done.stdout)


def test_an_installed_reader_is_used_and_a_broken_one_costs_only_its_own_files(installed, tmp_path):
    (tmp_path / "whole.score").write_text("scoretool\naccuracy 0.75\nodd x\nend\n")
    (tmp_path / "cut.score").write_text("scoretool\naccuracy 0.75\n")
    (tmp_path / "other.score").write_text("accuracy 0.75\n")
    (tmp_path / "odd.json").write_text('{"loss": 1}')
    (tmp_path / "plain.json").write_text('{"loss": 0.5}')
    known, metrics, warnings, is_known = read(installed, tmp_path)
    assert known[-4:] == ["boom", "late", "odd", "scoretool"]
    assert is_known
    assert metrics == {"whole.score": {"accuracy": 0.75}, "plain.json": {"loss": 0.5}}
    assert warnings == [
        "the reader boom: failed: RuntimeError: no luck on import",
        "the reader late: failed: ZeroDivisionError: division by zero",
        "odd.json: the reader odd failed: it returned no Findings.",
        "cut.score: is cut off: it has no line that says end.",
        "whole.score: odd is 'x', which is no number.",
    ]


def test_a_reader_may_be_declared(installed, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.score").write_text("scoretool\nloss 2\nend\n")
    (tmp_path / "b.score").write_text("x")
    declared = {"out": "scoretool", "b.score": "scoretool"}
    _, metrics, warnings, _ = read(installed, tmp_path, declared)
    assert metrics == {"out/a.score": {"loss": 2.0}}
    assert "b.score: has nothing for the reader scoretool." in warnings
