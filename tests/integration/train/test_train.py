"""`mcgitops train` from end to end on the real engine: what it does, leaves alone, and doesn't do
twice."""

from __future__ import annotations

import json

import pytest

from tests.integration.train.conftest import Make

pytestmark = pytest.mark.engine

PARAMS = """\
sleep 0.2  # so that the engine's clock sees it run
lr=$(sed -n 's/^lr: //p' /app/params.yaml)
echo "training with lr $lr seed ${SEED:-0}"
printf '{"accuracy": 0.9, "lr": %s, "seed": %s}' "$lr" "${SEED:-0}" > out/metrics.json
printf 'epoch,loss\\n1,0.5\\n2,0.25\\n' > out/history.csv
printf 'model %s %s %s' "$lr" "${SEED:-0}" "$(cat data/train.csv)" > out/model.txt
"""
PARAMS_KEYS = """\
params: [params.yaml]
metrics: [out/metrics.json]
plots: [out/history.csv]
outputs: [out/model.txt]
replicates: {SEED: [0, 1]}
"""
PARAMS_VOLUMES = (
    'volumes: ["./data:/app/data:ro", "./params.yaml:/app/params.yaml:ro", "./out:/app/out"]'
)
EVALUATE = """\
evaluate:
  image: MINI
  working_dir: /app
  command: [sh, -ec, "wc -c < out/model.txt >out/size.txt; echo '{\\"ok\\": true}' > out/eval.json"]
  depends_on: {train: {condition: service_completed_successfully}}
  volumes: ["./out:/app/out"]
  x-mcgitops: {metrics: [out/eval.json], outputs: [out/size.txt]}
"""


def test_a_project_trains_once_and_then_only_what_changed(trial: Make) -> None:
    project = trial(
        PARAMS, keys=PARAMS_KEYS, service=PARAMS_VOLUMES, more=EVALUATE,
        files={"params.yaml": "lr: 0.1\n"},
    )  # fmt: skip
    sha = project.factory.git(project.folder, "rev-parse", "HEAD")
    first = project.train()
    assert len(first["trained"]) == 3
    assert project.text("out/model.txt") == "model 0.1 0 1,2"  # the first replicate goes on
    assert project.text("out/size.txt").strip() == "15"
    chosen, other = first["runs"]["train"]
    assert chosen["metrics"] == {"out/metrics.json": {"accuracy": 0.9, "lr": 0.1, "seed": 0}}
    assert other["replicate"] == {"SEED": "1"}
    assert chosen["params"] == {"params.yaml": {"lr": 0.1}}
    assert [file["path"] for file in chosen["plots"]] == ["out/history.csv"]
    assert chosen["exit_code"] == 0
    assert chosen["commit"] == sha
    assert chosen["dirty"] is False
    assert chosen["resources"]["wall_seconds"] > 0
    assert chosen["image"]["digest"].startswith("sha256:")
    assert chosen["image"]["size"] > 1_000_000
    assert chosen["log_tail"] == ["training with lr 0.1 seed 0"]
    assert first["runs"]["evaluate"][0]["upstream"] == {"train": chosen["fingerprint"]}
    commit = project.folder / f".mcgitops/store/commits/{sha}/{project.name}/train.json"
    assert json.loads(commit.read_text())["selected"] == chosen["fingerprint"]

    # nothing changed: nothing is trained, and nothing is even planned: it takes no engine
    away = {"DOCKER_HOST": f"unix://{project.folder}/no-engine.sock"}
    again = project("train", env=away)
    assert "Nothing to do" in again.stdout
    assert "Nothing to do." in project("plan").stdout

    # outputs that went away come back from the store
    (project.folder / "out/model.txt").unlink()
    back = project("train")
    assert "0 trained, 3 from the store" in back.stdout
    assert project.text("out/model.txt") == "model 0.1 0 1,2"

    # a parameter: both stages, and the plan says why
    project.write({"params.yaml": "lr: 0.05\n"})
    plan = json.loads(project("plan", "--json").stdout)
    assert plan["stages"][0]["reason"] == "params.yaml: lr 0.1 → 0.05"
    assert plan["stages"][1]["state"] == "pending"
    changed = project.train()
    assert len(changed["trained"]) == 3
    assert changed["runs"]["train"][0]["dirty"] is True
    assert project.text("out/model.txt") == "model 0.05 0 1,2"

    # and back: everything is in the store
    project.write({"params.yaml": "lr: 0.1\n"})
    assert project.train()["trained"] == []
    assert project.text("out/model.txt") == "model 0.1 0 1,2"


def test_runs_that_saw_a_file_git_does_not_know_are_not_recorded_under_the_commit(
    trial: Make,
) -> None:
    project = trial("cat data/* > out/model.txt; echo '{}' > out/metrics.json")
    commits = project.folder / ".mcgitops/store/commits"
    project.write({"notes.txt": "nobody reads this"})
    project.write({"data/new.csv": "forgotten\n"})
    first = project.train()["runs"]["train"][0]
    assert first["dirty"] is True
    assert not commits.exists()
    assert "with uncommitted changes" in project("plan").stdout
    project.write({".gitignore": "out/\n*.csv\n"})
    project.factory.git(project.folder, "add", "-f", ".gitignore", "data/train.csv")
    sha = project.factory.commit(project.folder, {}, "Data is git's no longer")
    again = project.train()
    assert again["trained"] == []
    assert [folder.name for folder in commits.iterdir()] == [sha]
