"""The shapes that projects have: a database beside the stage, a matrix, builds that take outputs,
an engine that doesn't see our files, another revision."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.integration.train.conftest import Make, Trial

pytestmark = pytest.mark.engine

DATABASE = """\
db:
  image: MINI
  command: [sh, -ec, "mkdir /www; cp /seed/answer /www/; exec httpd -f -p 8000 -h /www"]
  stop_signal: SIGKILL
  volumes: ["./seed:/seed:ro", "scratch:/scratch"]
  healthcheck:
    test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8000/answer"]
    start_period: 20s
    start_interval: 300ms
"""


def built(project: Trial, dockerfile: str, **files: str) -> None:
    """Let the stage be built from this Dockerfile instead; `MINI` stands for the image."""
    text = project.text("compose.yml")
    image = text.split("image: ")[1].split("\n")[0]
    project.write(
        {
            "compose.yml": text.replace(
                f"    image: {image}\n    working", "    build: .\n    working"
            ),
            "Dockerfile": dockerfile.replace("MINI", image),
            ".dockerignore": "out\n.mcgitops\n.git\n",
            **files,
        }
    )


def test_a_database_that_a_stage_needs_starts_for_the_run_and_goes_with_it(trial: Make) -> None:
    project = trial(
        "wget -q -O out/model.txt http://db:8000/answer; echo '{}' > out/metrics.json",
        service="""
        volumes: ["./out:/app/out"]
        depends_on: {db: {condition: service_healthy}}
        """,
        more=DATABASE,
        top="volumes: {scratch: {}}\n",
        files={"seed/answer": "42"},
    )
    project("train")
    assert project.text("out/model.txt") == "42"
    assert project.left_in_engine() == []
    assert "Nothing to do" in project("train").stdout


def test_a_database_that_never_gets_healthy_fails_the_run_and_is_removed(trial: Make) -> None:
    project = trial(
        service='volumes: ["./out:/app/out"]\ndepends_on: {db: {condition: service_healthy}}',
        more="""
        db:
          image: MINI
          command: [sh, -c, "exit 1"]
        """,
    )
    done = project("train", check=False)
    assert done.code == 4
    assert "could not be started" in done.stderr
    assert project.left_in_engine() == []


def test_runs_of_a_matrix_go_side_by_side_and_do_not_overwrite_each_other(trial: Make) -> None:
    project = trial(
        "echo $LR $SEED > out/model.txt; sleep 2; echo '{\"lr\": '$LR'}' > out/metrics.json; "
        'test "$(cat out/model.txt)" = "$LR $SEED"',
        keys="""
        metrics: [out/metrics.json]
        outputs: [out/model.txt]
        matrix: {LR: [0.1, 0.2]}
        replicates: {SEED: [0, 1]}
        select: {LR: 0.2, SEED: 1}
        """,
    )
    began = time.monotonic()
    result = project.train("--jobs", "4")
    assert len(result["trained"]) == 4
    records = result["runs"]["train"]
    starts = sorted(record["started"] for record in records)
    assert time.monotonic() - began < 60
    assert project.text("out/model.txt") == "0.2 1\n"
    assert {(r["matrix"]["LR"], r["replicate"]["SEED"]) for r in records} == {
        ("0.1", "0"), ("0.1", "1"), ("0.2", "0"), ("0.2", "1"),
    }  # fmt: skip
    assert len(set(starts)) == 4
    # another selection needs no training
    text = project.text("compose.yml").replace("{LR: 0.2, SEED: 1}", "{LR: 0.1, SEED: 0}")
    project.write({"compose.yml": text})
    assert project.train()["trained"] == []
    assert project.text("out/model.txt") == "0.1 0\n"


def test_the_best_run_by_a_metric_goes_on(trial: Make) -> None:
    project = trial(
        "echo '{\"loss\": '$SEED'}' > out/metrics.json; echo $SEED > out/model.txt",
        keys="""
        metrics: [out/metrics.json]
        outputs: [out/model.txt]
        replicates: {SEED: [3, 1, 2]}
        select: {best: loss}
        """,
        more="""
        after:
          image: MINI
          working_dir: /app
          command: [sh, -c, "cp out/model.txt after/copy; echo '{}' > after/m.json"]
          depends_on: [train]
          volumes: ["./out:/app/out:ro", "./after:/app/after"]
          x-mcgitops: {outputs: [after/copy]}
        """,
        top="x-mcgitops: {metrics: {loss: {goal: minimize}}}\n",
        files={"out/model.txt": "stale, in the folder"},
    )
    project("train")
    assert project.text("out/model.txt") == "1\n"
    assert project.text("after/copy") == "1\n"


def test_an_output_mounted_as_a_single_file_is_refused_with_the_remedy(trial: Make) -> None:
    project = trial(
        more="""
        after:
          image: MINI
          command: [sh, -c, "cp /model /a/copy"]
          depends_on: [train]
          volumes: ["./out/model.txt:/model:ro", "./after:/a"]
          x-mcgitops: {outputs: [after/copy]}
        """,
    )
    done = project("train", check=False)
    assert done.code == 2
    assert (
        "service after: out/model.txt is another stage's output and mounted as a single file. "
        "Mount its folder instead."
    ) in done.stderr


def test_an_engine_that_does_not_see_our_files_gives_the_same(trial: Make) -> None:
    project = trial(
        "cat data/train.csv conf.txt > out/model.txt; echo '{}' > out/metrics.json",
        service='volumes: ["./data:/app/data:ro", "./conf.txt:/app/conf.txt:ro", "./out:/app/out"]',
        files={"conf.txt": "configured\n"},
    )
    local = project.train()["runs"]["train"][0]
    assert project.text("out/model.txt") == "1,2\nconfigured\n"
    remote = project.train("--force", env={"MCGITOPS_ENGINE_IS_REMOTE": "1"})
    assert remote["trained"] == [local["fingerprint"]]
    assert project.text("out/model.txt") == "1,2\nconfigured\n"


def test_another_revision_is_trained_without_touching_the_folder(trial: Make) -> None:
    project = trial("cp data/train.csv out/model.txt; echo '{}' > out/metrics.json")
    old = project.factory.git(project.folder, "rev-parse", "HEAD")
    project.factory.commit(project.folder, {"data/train.csv": "3,4\n"})
    project.write({"data/train.csv": "dirty\n"})
    before = project.snapshot()
    result = project.train("--rev", old)
    assert result["runs"]["train"][0]["commit"] == old
    assert project.snapshot() == before
    assert project.factory.git(project.folder, "worktree", "list").count("\n") == 0
    commits = project.folder / f".mcgitops/store/commits/{old}"
    assert commits.is_dir()
    project.factory.git(project.folder, "checkout", "-q", "--force", old)
    assert project.train()["trained"] == []  # it is the very same run
    assert project.text("out/model.txt") == "1,2\n"
    wrong = project("train", "--rev", "nope", check=False)
    assert wrong.code == 2
    assert "git knows no revision 'nope'" in wrong.stderr


def test_a_built_stage_is_built_again_only_when_its_context_changes(trial: Make) -> None:
    project = trial("cp /code.txt out/model.txt; echo '{}' > out/metrics.json")
    built(project, "FROM MINI\nCOPY code.txt /\n", **{"code.txt": "one\n", "README.md": "r"})
    project("train")
    assert project.text("out/model.txt") == "one\n"
    project.write({"code.txt": "two\n"})
    plan = json.loads(project("plan", "--json").stdout)
    assert plan["stages"][0]["reason"] == "code.txt changed"
    project("train")
    assert project.text("out/model.txt") == "two\n"


def test_dockerfile_inline_configs_and_secrets_by_name(trial: Make) -> None:
    project = trial(
        "cat /code.txt /conf /etc/file.conf > out/model.txt; echo '{}' > out/metrics.json",
        service="""
        volumes: ["./out:/app/out"]
        configs: [{source: inline, target: /conf}, {source: file, target: /etc/file.conf}]
        """,
        top="""
        configs:
          inline: {content: "inline $$1\\n"}
          file: {file: ./file.conf}
        """,
        files={"file.conf": "from a file\n", "code.txt": "code\n"},
    )
    text = project.text("compose.yml")
    image = text.split("image: ")[1].split("\n")[0]
    inline = json.dumps(f"FROM {image}\nCOPY code.txt /\n")
    build = f"    build: {{context: ., dockerfile_inline: {inline}}}\n"
    project.write(
        {
            "compose.yml": text.replace(f"    image: {image}\n", build, 1),
            ".dockerignore": "out\n.mcgitops\n",
        }
    )
    project("train")
    assert project.text("out/model.txt") == "code\ninline $1\nfrom a file\n"
    project.write({"file.conf": "changed\n"})
    project("train")
    assert project.text("out/model.txt") == "code\ninline $1\nchanged\n"


def test_a_build_that_takes_upstreams_outputs_gets_those_of_the_selected_run(trial: Make) -> None:
    project = trial(
        "echo model $SEED > out/model.txt; echo '{}' > out/metrics.json",
        keys="metrics: [out/metrics.json]\noutputs: [out/model.txt]\nreplicates: {SEED: [7, 8]}\n"
        "select: {SEED: 8}",
        files={
            "out/model.txt": "stale, in the folder",
            "out/by-hand.txt": "own\n",
            "pack/Dockerfile": "ARG BASE\nFROM ${BASE}\nCOPY --from=model . /m/\n",
        },
        more="""
        pack:
          build: {context: pack, args: {BASE: MINI}, additional_contexts: {model: ./out}}
          command: [sh, -ec, "cat /m/model.txt /m/by-hand.txt > /p/packed.txt"]
          depends_on: [train]
          volumes: ["./packed:/p"]
          x-mcgitops: {outputs: [packed/packed.txt]}
        """,
    )
    project("train")
    assert project.text("packed/packed.txt") == "model 8\nown\n"


def test_a_profile_keeps_stages_out_of_a_plain_up(trial: Make) -> None:
    project = trial(service='profiles: [train]\nvolumes: ["./out:/app/out"]')
    listed = subprocess.run(
        ["docker", "compose", "config", "--services"],
        cwd=project.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert listed.stdout.split() == []
    assert len(project.train()["trained"]) == 1


def test_a_project_outside_git_trains_and_says_no_commit(trial: Make) -> None:
    project = trial(git=False)
    record = project.train()["runs"]["train"][0]
    assert record["commit"] == ""
    assert not (project.folder / ".mcgitops/store/commits").exists()
    assert "Nothing to do" in project("train").stdout


def test_a_fixed_name_ports_and_restart_of_the_service_do_not_get_in_the_way(trial: Make) -> None:
    project = trial(
        service="""
        container_name: mclab-fixed-name
        restart: always
        ports: ["127.0.0.1:0:80"]
        volumes: ["./out:/app/out"]
        """,
        keys="metrics: [out/metrics.json]\nreplicates: {SEED: [0, 1]}",
    )
    assert len(project.train()["trained"]) == 2


def test_a_folder_that_a_stage_shares_with_its_database_stays_shared(trial: Make) -> None:
    project = trial(
        "for i in $(seq 50); do test -e out/answer && break; sleep 0.1; done; "
        "cp out/answer out/model.txt; cat twice/answer twice/seeded; echo '{}' > out/metrics.json",
        service="""
        volumes: ["./out:/app/out", "./out:/app/twice"]
        depends_on: [db]
        """,
        more="""
        db:
          image: MINI
          command: [sh, -c, "cat /shared/seeded; echo 42 > /shared/answer; sleep 60"]
          stop_signal: SIGKILL
          volumes: ["./out:/shared"]
        """,
        files={"out/seeded": "seeded\n"},
    )
    record = project.train()["runs"]["train"][0]
    assert project.text("out/model.txt") == "42\n"
    assert record["log_tail"] == ["42", "seeded"]


def test_a_project_that_mounts_itself_trains_and_settles(trial: Make) -> None:
    project = trial(
        "cat data/train.csv > out/model.txt; echo '{}' > out/metrics.json; ls -a > out/seen.txt; "
        "touch __pycache__",
        service='volumes: ["./:/app"]',
        keys="metrics: [out/metrics.json]\noutputs: [out/model.txt, out/seen.txt]",
    )
    (project.folder / "out").mkdir()
    done = project("train")
    assert "__pycache__ written but not declared" in done.stderr
    seen = project.text("out/seen.txt").split()
    assert "compose.yml" in seen
    assert ".git" not in seen
    assert ".mcgitops" not in seen
    assert not (project.folder / "__pycache__").exists()
    assert "Nothing to do" in project("train").stdout
