"""Whatever interrupts a training: nothing half-written, nothing left running, and the next call
heals. Two at once don't disturb each other."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from docker.errors import NotFound

from tests.integration.train.conftest import Make, Trial, left_in_engine
from tests.lab import down

pytestmark = pytest.mark.engine

SLOW = "echo '{}' > out/metrics.json; echo new > out/model.txt; echo begun; sleep 300"
OLD = {"out/metrics.json": '{"accuracy": 0.1}', "out/model.txt": "old"}


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.1)


def is_training(project: Trial) -> bool:
    """Whether a container of the project has begun its work."""
    api = down.api()
    mine = [
        one["Id"]
        for one in api.containers()
        if any(each.startswith(f"/{project.name}") for each in one["Names"])
    ]
    try:
        return bool(mine) and b"begun" in api.logs(mine[0])
    except NotFound:  # it has just gone
        return False


def works_in(folder: Path) -> bool:
    """Whether a process works in a folder: a killed program's clients of the engine go on."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if (process / "cwd").readlink().is_relative_to(folder.resolve()):
                return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing_behind_and_the_folder_as_it_was(
    trial: Make, number: signal.Signals
) -> None:
    project = trial(SLOW, files=OLD)
    before = project.snapshot()
    process = project.start("train")
    wait_for(lambda: is_training(project), "the training")
    began = time.monotonic()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - began < 20  # a container that ignores SIGTERM is waited for
    assert "Traceback" not in stderr
    assert project.left_in_engine() == []
    assert project.snapshot() == before
    assert not (project.folder / ".mcgitops/store/runs").exists()


def test_ctrl_c_during_the_build_ends_the_build(trial: Make) -> None:
    project = trial()
    text = project.text("compose.yml")
    image = text.split("image: ")[1].split("\n")[0]
    project.write(
        {
            "compose.yml": text.replace(f"image: {image}", "build: ."),
            "Dockerfile": f"FROM {image}\nRUN sleep 300\n",
            ".dockerignore": "out\n",
        }
    )
    process = project.start("train")
    assert process.stderr is not None
    assert "build train" in process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_after_a_kill_the_next_call_removes_what_is_left_and_trains(trial: Make) -> None:
    project = trial(
        "echo '{\"a\": 1}' > out/metrics.json; echo new > out/model.txt; echo begun; "
        "test -e data/quick || sleep 300",
        files=OLD,
    )
    process = project.start("train")
    wait_for(lambda: is_training(project), "the training")
    process.kill()
    process.communicate(timeout=30)
    assert len(project.left_in_engine()) >= 2  # a container that goes on, and its volume
    assert project.text("out/model.txt") == "old"
    project.write({"data/quick": ""})  # another run than the one that was killed
    assert len(project.train()["trained"]) == 1
    assert project.text("out/model.txt") == "new\n"
    assert project.left_in_engine() == []


def test_the_run_that_was_killed_is_taken_over(trial: Make) -> None:
    # the first attempt sleeps; the second is quick, which the run itself can't know of
    flag = f"/tmp/{secrets.token_hex(4)}"
    project = trial(
        f"echo begun; test -e {flag}/quick || sleep 300; "
        "echo '{\"a\": 1}' > out/metrics.json; echo new > out/model.txt",
        service=f'volumes: ["./out:/app/out", "{flag}:{flag}"]',
    )
    Path(flag).mkdir()
    try:
        process = project.start("train")
        wait_for(lambda: is_training(project), "the training")
        process.kill()
        process.communicate(timeout=30)
        (Path(flag) / "quick").touch()
        assert len(project.train()["trained"]) == 1
    finally:
        shutil.rmtree(flag)


def test_two_checkouts_with_one_store_train_the_same_run_once(trial: Make, tmp_path: Path) -> None:
    script = "echo begun; sleep 2; echo '{\"a\": 1}' > out/metrics.json; echo m > out/model.txt"
    one = trial(script)
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "-q", str(one.folder), str(other)], check=True)
    env = {"MCGITOPS_STORE": str(tmp_path / "store")}
    two = Trial(other, one.name, one.run, one.factory)
    processes = [one.start("train", "--json", env=env), two.start("train", "--json", env=env)]
    ended = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    results = [json.loads(stdout) for stdout, _ in ended]
    assert sorted(len(result["trained"]) for result in results) == [0, 1]
    prints = [result["runs"]["train"][0]["fingerprint"] for result in results]
    assert prints[0] == prints[1]
    for project in (one, two):
        assert project.text("out/model.txt") == "m\n"
    assert left_in_engine(one.name) == []


def test_two_different_trainings_of_one_project_at_once_do_not_disturb_each_other(
    trial: Make, tmp_path: Path
) -> None:
    script = "sleep 1; cp data/train.csv out/model.txt; echo '{\"a\": 1}' > out/metrics.json"
    one = trial(script)
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "-q", str(one.folder), str(other)], check=True)
    (other / "data/train.csv").write_text("3,4\n")
    two = Trial(other, one.name, one.run, one.factory)
    processes = [one.start("train"), two.start("train")]
    for process in processes:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    assert one.text("out/model.txt") == "1,2\n"
    assert two.text("out/model.txt") == "3,4\n"


def test_locks_of_the_dead_hold_nobody_up(trial: Make) -> None:
    project = trial()
    process = project.start("train")
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # What its client still asks of the engine would come after the next call has cleaned up.
    wait_for(lambda: not works_in(project.folder), "the end of the killed one's client")
    began = time.monotonic()
    project.train()
    assert time.monotonic() - began < 30
