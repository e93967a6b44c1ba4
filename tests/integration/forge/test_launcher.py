"""The launcher: installs once, starts fast, and takes no modules from the repository it runs in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.runner import action_checkout

UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the action, as a runner has it."""
    return action_checkout(tmp_path_factory.mktemp("action"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner's tool cache, shared by the tests of this file."""
    return tmp_path_factory.mktemp("tools")


def start(
    action: Path, cache: Path, *arguments: str, cwd: Path | None = None, uv: bool = True, **env: str
) -> subprocess.CompletedProcess[str]:
    folder = f"{Path(sys.executable).parent}{os.pathsep}" if uv else ""
    return subprocess.run(
        [action / "actions/launcher", *(arguments or ("--version",))],
        cwd=cwd or cache,
        env={
            **os.environ,
            "PATH": folder + os.environ["PATH"],
            "RUNNER_TOOL_CACHE": str(cache),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def environments(cache: Path) -> list[Path]:
    return [path.parent for path in cache.glob("mcgitops/*/mcgitops-ready")]


def test_jobs_that_start_at_once_install_once(action: Path, cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: start(action, cache), range(4)))
    assert [done.returncode for done in started] == [0] * 4, started[0].stdout + started[0].stderr
    assert sum("install its dependencies" in done.stdout for done in started) == 1
    assert len(environments(cache)) == 1
    assert not list(cache.glob("mcgitops/.building-*"))


def test_the_second_start_only_looks_the_environment_up(action: Path, cache: Path) -> None:
    start(action, cache)
    took = []
    for _ in range(3):
        began = time.monotonic()
        assert start(action, cache).stdout.startswith("mcgitops ")
        took.append(time.monotonic() - began)
    assert min(took) < 1


def test_a_damaged_environment_is_made_again(action: Path, cache: Path) -> None:
    start(action, cache)
    (broken,) = environments(cache)
    (broken / "bin/python").unlink()
    assert start(action, cache).returncode == 0
    assert len(environments(cache)) == 1


@pytest.fixture
def small(action: Path, tmp_path: Path) -> Path:
    """The action with as few dependencies as `--version` needs, since pip takes long for all."""
    copy = tmp_path / "action"
    shutil.copytree(action, copy)
    lock = copy / "requirements/main.lock"
    pinned = re.search(r"^click==.*?(?=^\S)", lock.read_text(), re.DOTALL | re.MULTILINE)
    assert pinned
    lock.write_text(pinned[0])
    return copy


def test_without_uv_pip_installs(small: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for program in ("sh", "dirname"):
        (bare / program).symlink_to(str(shutil.which(program)))
    (bare / "python3").symlink_to(sys.executable)
    done = start(small, tmp_path, uv=False, PATH=str(bare))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("mcgitops ")


def test_what_isnt_what_was_pinned_is_refused(small: Path, tmp_path: Path) -> None:
    lock = small / "requirements/main.lock"
    lock.write_text(re.sub("sha256:.{64}", f"sha256:{'0' * 64}", lock.read_text()))
    done = start(small, tmp_path)
    assert done.returncode == 1
    assert "::error title=mcgitops::The dependencies of mcgitops" in done.stdout
    assert environments(tmp_path) == []


def test_modules_of_the_repository_are_not_ours(action: Path, cache: Path, tmp_path: Path) -> None:
    for name in ("yaml", "click", "json", "sitecustomize", "mcgitops"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the repository')\n")
    done = start(action, cache, "schema", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "imported from the repository" not in done.stdout + done.stderr


def test_the_files_input_names_compose_files(action: Path, cache: Path, tmp_path: Path) -> None:
    done = start(action, cache, "check", cwd=tmp_path, MCGITOPS_INPUT_FILES="a b.yml\n\nc.yml\n")
    assert done.returncode != 0
    assert "a b.yml" in done.stderr


def test_an_empty_input_leaves_the_jobs_own_variable(
    action: Path, cache: Path, tmp_path: Path
) -> None:
    show = tmp_path / "print.py"
    show.write_text(
        "import os, runpy, sys\n"
        f"launcher = runpy.run_path({str(action / 'actions/launcher.py')!r})\n"
        "launcher['take_inputs'](os.environ)\n"
        "print(os.environ.get('MCGITOPS_STORE'), os.environ.get('MCGITOPS_SSH_KEY'))\n"
    )
    env = {
        **os.environ,
        "MCGITOPS_STORE": "of the job",
        "MCGITOPS_INPUT_STORE": "",
        "MCGITOPS_INPUT_SSH_KEY": "of the input",
    }
    done = subprocess.run([sys.executable, show], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "of the job of the input", done.stderr


def test_an_old_python_is_a_sentence(action: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for program in ("sh", "dirname"):
        (bare / program).symlink_to(str(shutil.which(program)))
    (bare / "python3").write_text("#!/bin/sh\nexit 1\n")
    (bare / "python3").chmod(0o755)
    done = start(action, tmp_path, uv=False, PATH=str(bare))
    assert done.returncode == 1
    assert "needs Python 3.11" in done.stdout
