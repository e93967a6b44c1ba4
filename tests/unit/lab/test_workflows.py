"""The project's own workflows: zizmor's strictest persona finds nothing, versions are pinned."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.lab.program import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_auditor_finds_nothing() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "zizmor", "--offline", "--persona", "auditor",
         "--no-progress", ROOT / ".github"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings" in done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_of_others_are_pinned_and_nothing_is_allowed_by_default(path: Path) -> None:
    text = path.read_text()
    assert yaml.safe_load(text)["permissions"] == {}
    used = re.findall(r"uses: (\S+)(.*)", text)
    for action, comment in used:
        if not action.startswith("$/"):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    assert used or "run:" in text


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_the_workflows_call_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"run: make (\S+)", path.read_text()):
        assert target in targets
    for folder in re.findall(r"uses: \$/(\S+)", path.read_text()):
        assert (ROOT / folder / "action.yml").is_file()


def test_the_locks_name_no_registry_and_no_folder() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        lines = lock.read_text().splitlines()
        wrong = re.compile(r"://|^-[a-z]|--(index|find|extra)|(^|[ =])(/|\.\./|file:)")
        assert not [line for line in lines if wrong.search(line)]
        packages = [line for line in lines if re.match(r"[A-Za-z0-9]", line)]
        assert packages
        assert sum("--hash=sha256:" in line for line in lines) >= len(packages)


def test_the_locks_hold_what_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for lock, wanted in (
        ("main.lock", declared["project"]["dependencies"]),
        ("dev.lock", declared["project"]["dependencies"] + declared["dependency-groups"]["dev"]),
    ):
        text = (ROOT / "requirements" / lock).read_text()
        locked = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
        names = {re.split(r"[\[<>=~!; ]", each)[0].lower().replace("_", "-") for each in wanted}
        assert names <= locked, f"{names - locked}: run make lock"
