"""A run that fails, takes too long or writes too little: exit 4, its last words, and a record; the
project folder is as it was."""

from __future__ import annotations

import json

import pytest

from tests.integration.train.conftest import Make, Trial

pytestmark = pytest.mark.engine

OLD = {"out/metrics.json": '{"accuracy": 0.1}', "out/model.txt": "old"}


def attempts(project: Trial) -> list[dict[str, object]]:
    """The records of runs that failed."""
    folder = project.folder / ".mcgitops/store/attempts"
    return [json.loads(path.read_text()) for path in folder.rglob("*.json")]


def test_a_failing_stage_gives_its_last_lines_and_a_record_and_touches_nothing(
    trial: Make,
) -> None:
    project = trial(
        "for i in $(seq 50); do echo line $i; done; echo broken > out/model.txt; "
        "sleep 0.5; echo 'ValueError: no such column' >&2; exit 3",
        files=OLD,
    )
    before = project.snapshot()
    done = project("train", check=False)
    assert done.code == 4
    assert "failed with exit code 3" in done.stderr
    assert "ValueError: no such column" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.snapshot() == before
    (record,) = attempts(project)
    assert record["state"] == "failed"
    assert record["exit_code"] == 3
    assert len(record["log_tail"]) == 30
    # the engine reads the two streams apart: half a second between them makes their order certain
    assert record["log_tail"][-1] == "ValueError: no such column"
    assert not (project.folder / ".mcgitops/store/runs").exists()
    assert project("train", check=False).code == 4  # a failure is not a cached result


def test_a_stage_that_takes_too_long_is_stopped(trial: Make) -> None:
    project = trial(
        "echo begun; sleep 60",
        keys="metrics: [out/metrics.json]\ntimeout: 1s",
        service='volumes: ["./out:/app/out"]\nstop_grace_period: 1s',
    )
    done = project("train", check=False)
    assert done.code == 4
    assert "train was stopped after 1s. Raise x-mcgitops.timeout" in done.stderr
    (record,) = attempts(project)
    assert record["state"] == "timed-out"
    assert record["log_tail"] == ["begun"]
    assert record["resources"]["wall_seconds"] < 20


def test_a_stage_that_does_not_write_what_it_declares_fails(trial: Make) -> None:
    project = trial("echo '{}' > out/metrics.json; echo fine", files=OLD)
    before = project.snapshot()
    done = project("train", check=False)
    assert done.code == 4
    assert "train failed: it ended without writing out/model.txt." in done.stderr
    assert project.snapshot() == before
    assert attempts(project)[0]["exit_code"] == 0


def test_one_failing_replicate_publishes_the_others_and_a_second_call_runs_only_that_one(
    trial: Make,
) -> None:
    project = trial(
        "test ! -e data/bad -o $SEED != 1; echo '{\"a\": 1}' > out/m.json",
        keys="metrics: [out/m.json]\nreplicates: {SEED: [0, 1, 2]}\ninputs: [data/train.csv]",
    )
    # what isn't declared is kept away from the stage, so this file changes nothing
    project.write({"data/bad": ""})
    assert len(project.train()["trained"]) == 3
    project = trial(
        "test -e data/good -o $SEED != 1; echo '{\"a\": 1}' > out/m.json",
        keys="metrics: [out/m.json]\nreplicates: {SEED: [0, 1, 2]}",
    )
    done = project("train", "--keep-going", check=False)
    assert done.code == 4
    assert "train SEED=1 failed" in done.stderr
    assert not (project.folder / "out/m.json").exists()
    plan = json.loads(project("plan", "--json").stdout)
    assert [run["cached"] for run in plan["stages"][0]["runs"]] == [True, False, True]


def test_a_stage_after_a_failed_one_is_not_started(trial: Make) -> None:
    project = trial(
        "exit 1",
        more="""
        after:
          image: MINI
          command: [sh, -c, "echo '{}' > /o/n.json"]
          depends_on: [train]
          volumes: ["./after:/o"]
          x-mcgitops: {metrics: [after/n.json]}
        """,
    )
    done = project("train", "--keep-going", check=False)
    assert done.code == 4
    assert [record["stage"] for record in attempts(project)] == ["train"]


def test_an_image_that_cannot_be_built_quotes_the_builder(trial: Make) -> None:
    project = trial(service='build: .\nvolumes: ["./out:/app/out"]')
    text = project.text("compose.yml")
    image = text.split("image: ")[1].split("\n")[0]
    project.write(
        {
            "compose.yml": text.replace(f"    image: {image}\n", ""),
            "Dockerfile": f"FROM {image}\nRUN echo about to fail && exit 7\n",
            ".dockerignore": "out\n",
        }
    )
    done = project("train", check=False)
    assert done.code == 4
    assert "the image of train could not be built" in done.stderr
    assert "about to fail" in done.stderr
    assert "Correct the Dockerfile" in done.stderr


def test_an_image_that_is_nowhere_is_a_sentence(trial: Make) -> None:
    project = trial()
    text = project.text("compose.yml")
    image = text.split("image: ")[1].split("\n")[0]
    project.write({"compose.yml": text.replace(image, "127.0.0.1:9/no/such:image")})
    done = project("train", check=False)
    assert done.code in (1, 4)
    assert "127.0.0.1:9/no/such:image is not there and can't be pulled" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_stage_is_named(trial: Make) -> None:
    done = trial()("train", "trian", check=False)
    assert done.code == 2
    assert done.stderr.strip() == "trian is not a stage. Did you mean train?"


def test_an_engine_that_does_not_answer_is_a_sentence(trial: Make) -> None:
    project = trial()
    done = project("train", check=False, env={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert done.code == 1
    assert "no Docker engine answers at unix:///nonexistent.sock" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


def test_a_missing_parameter_file_is_said_before_anything_starts(trial: Make) -> None:
    project = trial(keys="metrics: [out/metrics.json]\nparams: [nope.yaml]")
    done = project("train", check=False)
    assert done.code == 2
    assert done.stderr.startswith("nope.yaml: the parameter file does not exist.")
