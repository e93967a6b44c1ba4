"""runs, compare and metrics history as people run them: in a folder, and on real S3 servers."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from mcgitops.store.index import RunIndex
from mcgitops.store.records import CommitRecord, ImageRef, Resources, RunRecord
from mcgitops.store.s3 import S3Backend
from mcgitops.store.store import Store, open_store
from tests.conftest import ProjectFactory, Runner
from tests.lab.s3 import S3Server

pytestmark = [pytest.mark.s3, pytest.mark.engine, pytest.mark.usefixtures("engine")]

COMPOSE = """
name: wine
services:
  train:
    image: example
    volumes: ["./out:/app/out"]
    x-mcgitops:
      metrics: [out/metrics.json]
      matrix: {MODEL: [rf, gb]}
      replicates: {SEED: [0, 1, 2]}
"""
NOON = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)


def record(commit: str, number: int, model: str, seed: int, accuracy: float) -> RunRecord:
    index = number * 6 + (model == "gb") * 3 + seed
    return RunRecord(
        project="wine", stage="train", fingerprint=f"{index:04x}" + "a" * 60, state="succeeded",
        matrix={"MODEL": model}, replicate={"SEED": str(seed)}, commit=commit, exit_code=0,
        started=NOON + datetime.timedelta(days=number, minutes=index),
        image=ImageRef(reference="example", size=1_000_000),
        resources=Resources(wall_seconds=10.0 + number),
        metrics={"out/metrics.json": {"accuracy": accuracy, "=cmd|x": 1}},
        params={"params.yaml": {"lr": 0.1 / (number + 1), "kind": "=HYPERLINK(1)"}},
    )  # fmt: skip


@pytest.fixture
def commits(project: Path, project_factory: ProjectFactory) -> list[str]:
    """Four commits; the third only touches the docs, so that it has the runs of the second."""
    found = []
    store = open_store(str(project / ".mcgitops/store"))
    runs: list[RunRecord] = []
    for number in range(4):
        found.append(project_factory.commit(project, {"notes": str(number)}))
        if number != 2:
            runs = [
                record(found[-1], number, model, seed, 0.8 + 0.03 * number + 0.01 * seed + gain)
                for model, gain in (("rf", 0.0), ("gb", 0.05))
                for seed in range(3)
            ]
        for run in runs:
            store.publish(run)
        store.publish_commit(
            CommitRecord(
                project="wine", stage="train", commit=found[-1],
                runs=tuple(run.fingerprint for run in runs), selected=runs[0].fingerprint,
            )
        )  # fmt: skip
    failed = record(found[-1], 9, "rf", 0, 0.1).model_copy(
        update={"state": "failed", "exit_code": 1, "metrics": {}}
    )
    store.attempt(failed)
    return found


@pytest.fixture
def project(project_factory: ProjectFactory) -> Path:
    return project_factory({"compose.yml": COMPOSE, ".gitignore": "/.mcgitops\n"})


def listed(shown: str) -> list[str]:
    return [row["run"][:4] for row in csv.DictReader(io.StringIO(shown))]


def test_runs_are_filtered_sorted_and_cut(
    project: Path, commits: list[str], run_mcgitops: Runner
) -> None:
    def runs(*options: str) -> list[str]:
        return listed(run_mcgitops("runs", *options, "--csv", "-n", "0", cwd=project).stdout)

    assert len(runs()) == 19
    assert runs("-w", "state=failed") == ["0036"]
    assert runs("-w", "accuracy>0.92", "-w", "MODEL=gb", "--sort", "accuracy") == [
        "0017", "0016", "0015",
    ]  # fmt: skip
    assert runs("-w", "lr=0.05", "-w", "SEED=0", "--sort", "accuracy", "--reverse") == [
        "0006", "0009",
    ]  # fmt: skip
    assert runs("-w", "MODEL~[r]*", "-w", "lr=0.1") == ["0002", "0001", "0000"]
    assert len(runs("-w", f"commit={commits[1][:8]}")) == 6
    assert len(runs("-w", "branch=HEAD~2")) == 12
    assert len(runs("-w", "branch=HEAD~2..HEAD", "-w", "state!=failed")) == 6
    assert len(runs("--since", "2026-05-04", "--until", "2026-05-04")) == 6
    assert len(runs("--until", "2026-05-01")) == 6
    assert runs("-w", "took>=13", "-w", "run=0012") == ["0012"]
    short = run_mcgitops("runs", "-w", "accuracy>0", "-n", "2", "--json", cwd=project).stdout
    assert [one["fingerprint"][:4] for one in json.loads(short)] == ["0017", "0016"]


def test_a_table_shows_what_was_asked_for(
    project: Path, commits: list[str], run_mcgitops: Runner
) -> None:
    shown = run_mcgitops("runs", "-w", "lr=0.025", "--sort", "took", "-n", "1", cwd=project).stdout
    heads, row = (re.split(r" {2,}", line) for line in shown.splitlines())
    assert heads[-2:] == ["lr", "commit"]
    assert row[-2:] == ["0.025", commits[3][:12]]
    chosen = run_mcgitops("runs", "-c", "run,accuracy,took,memory", "-n", "1", cwd=project).stdout
    assert chosen.splitlines()[0].split() == ["run", "accuracy", "took", "memory"]


def test_no_cell_of_csv_is_a_formula(
    project: Path, commits: list[str], run_mcgitops: Runner
) -> None:
    shown = run_mcgitops("runs", "--csv", "-n", "1", "-w", "accuracy>0", cwd=project).stdout
    (row,) = csv.DictReader(io.StringIO(shown))
    assert row["param:kind"] == "'=HYPERLINK(1)"
    assert float(row["metric:accuracy"]) == pytest.approx(0.96)
    assert row["variable:MODEL"] == "gb"
    assert not any((cell or "").startswith("=") for cell in (*row, *row.values()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runs", "-w", "acuracy>1"), "Did you mean accuracy?"),
        (("runs", "-w", "accuracy"), "nothing in it compares"),
        (("runs", "-w", "branch=nope"), "git knows no branch or range 'nope'"),
        (("runs", "-w", "commit>1"), "Write commit=…"),
        (("runs", "-w", "commit=zzz"), "git knows no revision 'zzz'"),
        (("runs", "--since", "soon"), "'soon' is no time. Write a date"),
        (("runs", "--sort", "nope"), "--sort: no run has"),
        (("runs", "-c", "run,nope"), "--columns: no run has"),
        (("runs", "trian"), "Did you mean train?"),
        (("compare", "HEAD"), "Name two or more."),
        (("compare", "HEAD", "nope"), "neither a revision here nor a run"),
        (("compare", "HEAD", "000"), "neither a revision"),
        (("compare", "HEAD", "HEAD~9"), "neither a revision"),
        (("compare", "HEAD", "HEAD~4"), "HEAD~4 has no runs"),
        (("compare", "HEAD", "HEAD~1", "--stage", "trian"), "Did you mean train?"),
        (("metrics", "history", "acuracy"), "Did you mean accuracy?"),
        (("metrics", "history", "accuracy", "--variant", "MODEL=x"), "There are: MODEL=gb"),
        (("metrics", "history", "accuracy", "--variant", "rf"), "Write NAME=VALUE."),
        (("metrics", "history", "accuracy", "--branch", "nope"), "git knows no revision"),
    ],
)
def test_a_mistake_is_a_sentence_with_the_remedy(
    project: Path, commits: list[str], run_mcgitops: Runner, arguments: tuple[str, ...], said: str
) -> None:
    answer = run_mcgitops(*arguments, cwd=project, check=False)
    assert answer.code == 2, answer.stdout
    assert said in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_runs_and_commits_side_by_side(
    project: Path, commits: list[str], run_mcgitops: Runner
) -> None:
    shown = run_mcgitops("compare", "0000aa", "0001", "0012", cwd=project).stdout
    rows = {line.split("  ")[0]: re.split(r" {2,}", line)[1:] for line in shown.splitlines()}
    assert rows["accuracy ↑"] == ["0.80", "0.81 (+0.01)", "0.89 (+0.09)"]
    assert rows["SEED"] == ["0", "1", "0"]
    assert "kind" not in rows and "the same on all sides: --all" in shown
    data = json.loads(
        run_mcgitops("compare", "HEAD~3", "main", commits[2][:9], "--json", cwd=project).stdout
    )
    assert [side["kind"] for side in data["sides"]] == ["revision"] * 3
    (rf, gb) = data["metrics"]
    assert (rf["stage"], rf["variant"], rf["name"]) == ("train", "MODEL=rf", "accuracy")
    assert [side["mean"] for side in rf["sides"]] == pytest.approx([0.81, 0.90, 0.84])
    assert gb["sides"][0]["values"] == pytest.approx([0.85, 0.86, 0.87])
    text = run_mcgitops("compare", "HEAD~3", "main", "--csv", cwd=project).stdout
    rows_ = list(csv.DictReader(io.StringIO(text)))
    assert float(rows_[0]["main"]) == pytest.approx(0.90) and rows_[0]["main n"] == "3"
    markdown = run_mcgitops("compare", "HEAD~2", "HEAD~1", "--markdown", cwd=project).stdout
    assert markdown.startswith("Nothing differs.")
    full = run_mcgitops("compare", "HEAD~2", "main", "--all", "--markdown", cwd=project).stdout
    assert "| accuracy ↑ | 0.84 ± 0.01 | 0.90 ± 0.01 (+0.06) |" in full
    assert "`=cmd∣x`" in full  # a name stays a name


def test_a_name_that_is_a_commit_and_a_run_is_asked_back(
    project: Path, commits: list[str], run_mcgitops: Runner
) -> None:
    store = open_store(str(project / ".mcgitops/store"))
    same = record(commits[0], 20, "rf", 0, 0.5)
    store.publish(same.model_copy(update={"fingerprint": commits[0][:8] + "b" * 56}))
    answer = run_mcgitops("compare", "HEAD", commits[0][:8], cwd=project, check=False)
    assert answer.code == 2 and "is both a revision and a run" in answer.stderr
    run_mcgitops("compare", "HEAD", commits[0], cwd=project)


def test_history_along_commits_and_over_time(
    project: Path, commits: list[str], run_mcgitops: Runner
) -> None:
    def points(*options: str) -> dict[str, list[tuple[str, float, int]]]:
        shown = run_mcgitops("metrics", "history", "accuracy", *options, "--json", cwd=project)
        return {
            one["variant"]: [(p["commit"], p["mean"], len(p["values"])) for p in one["points"]]
            for one in json.loads(shown.stdout)["series"]
        }

    found = points()
    assert list(found) == ["MODEL=gb", "MODEL=rf"]
    assert [commit for commit, _, _ in found["MODEL=rf"]] == commits  # the third has its runs too
    assert [mean for _, mean, _ in found["MODEL=rf"]] == pytest.approx([0.81, 0.84, 0.84, 0.90])
    assert {n for _, _, n in found["MODEL=rf"]} == {3}
    assert points("-n", "2", "--variant", "MODEL=gb").keys() == {"MODEL=gb"}
    assert len(points("-n", "2")["MODEL=rf"]) == 2
    assert [c for c, _, _ in points("--branch", "HEAD~2")["MODEL=rf"]] == commits[:2]
    assert len(points("--by", "time")["MODEL=rf"]) == 9
    assert {n for _, _, n in points("-w", "SEED=1", "-w", "accuracy>0")["MODEL=rf"]} == {1}
    some = points("-w", f"commit={commits[1]}", "-w", "accuracy>0.885")
    assert {v: [(c, n) for c, _, n in found] for v, found in some.items()} == {
        "MODEL=gb": [(commits[1], 2), (commits[2], 2)]
    }
    assert [c for c, _, _ in points("--since", "2026-05-04")["MODEL=rf"]] == commits[3:]
    for wrong, says in (("SEED=77", "No run fulfils"), ("SEDE=1", "Did you mean SEED?")):
        asked = ("metrics", "history", "accuracy", "-w", wrong)
        answer = run_mcgitops(*asked, cwd=project, check=False)
        assert answer.code == 2 and says in answer.stderr
    text = run_mcgitops("metrics", "history", "accuracy", "--csv", cwd=project).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 8 and rows[0]["n"] == "3"
    plain = run_mcgitops("metrics", "history", "accuracy", cwd=project).stdout.splitlines()
    assert plain[0] == "accuracy ↑ · train · MODEL=gb · HEAD, 4 commits"
    assert plain[1] == "▁▃▃█"
    assert plain[2].startswith(f"newest  0.95 ± 0.01  {commits[3][:7]}, 2026-05-04, 3 runs")


@pytest.mark.parametrize(("columns", "is_chart"), [(100, True), (50, False)])
def test_a_terminal_gets_a_chart_where_there_is_room(
    project: Path, commits: list[str], columns: int, is_chart: bool
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mcgitops", "metrics", "history", "accuracy"], cwd=project,
        env={**os.environ, "COLUMNS": str(columns)}, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    lines = shown.decode().splitlines()
    assert any("●" in line for line in lines) == is_chart
    assert any("▁▃▃█" in line for line in lines) != is_chart
    assert all(len(line) <= columns for line in lines)


def test_completion_offers_what_there_is(project: Path, commits: list[str]) -> None:
    def offered(line: str) -> list[str]:
        words = line.split(" ")
        env = {
            **os.environ, "_MCGITOPS_COMPLETE": "bash_complete", "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", "from mcgitops.cli.main import cli; cli(prog_name='mcgitops')"],
            cwd=project, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        return [item.partition(",")[2] for item in done.stdout.splitlines()]

    assert offered("mcgitops metrics history acc") == ["accuracy"]
    assert offered("mcgitops runs tr") == ["train"]
    assert offered("mcgitops runs --sort l") == ["lr"]
    assert offered("mcgitops compare 0012") == ["0012aaaaaaaa"]
    assert offered("mcgitops compare ma") == ["main"]


def requests(store: Store, counts: list[str]) -> None:
    assert isinstance(store.backend, S3Backend)

    def note(event_name: str, request: Any, **_: Any) -> None:
        of_journal = " of the journal" if "/journal/" in request.url else ""
        counts.append(event_name.rpartition(".")[2] + of_journal)

    store.backend._client.meta.events.register("before-send.s3", note)


def test_a_bucket_is_listed_and_its_records_are_read_once(
    project: Path, commits: list[str], run_mcgitops: Runner, s3_server: S3Server, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    url = s3_server.url(uuid4().hex)
    env = {**s3_server.env, "MCGITOPS_STORE": url}
    here = run_mcgitops("runs", "--csv", "-n", "0", cwd=project).stdout
    run_mcgitops("push", cwd=project, env=env)
    calls = (
        ("runs", "--csv", "-n", "0"),
        ("compare", "0000aa", "HEAD"),
        ("metrics", "history", "accuracy"),
    )
    for call in calls:
        there = run_mcgitops(*call, cwd=project, env=env).stdout
        assert there == run_mcgitops(*call, cwd=project).stdout
    assert len(listed(here)) == 19
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    counts: list[str] = []
    # many are listed by the fingerprint's first digit, after the stages
    for reads, journal, many, lists, refresh in (
        (19 + 4, 7, 99, 2, False),
        (0, 2, 99, 0, False),  # is what was the last entry still there, and is there another?
        (0, 7, 99, 2, True),
        (0, 7, 10, 2 + 16 + 1, True),
    ):
        counts.clear()
        monkeypatch.setattr("mcgitops.store.index.MANY", many)
        store = open_store(url)
        requests(store, counts)
        index = RunIndex(store, tmp_path / "cache", refresh=refresh)
        assert len(index.runs(index.heads("wine"))) == 19
        assert len(index.commits("wine", [(sha, "train") for sha in commits])) == 4
        assert counts.count("GetObject") == reads
        assert counts.count("GetObject of the journal") == journal
        assert counts.count("ListObjectsV2") == lists  # of runs and of attempts
