"""Reports and history: many metrics, many runs, and `metrics diff` against `dvc metrics diff`.

METRICS, RUNS and REPEATS in the environment make it smaller, for a quick look.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import report_html
from benchmarks.support import history, programs, projects
from benchmarks.support.measure import Series, clean_environment, in_turn, measured
from benchmarks.support.table import Row, verdict
from tests.lab import s3

METRICS = int(os.environ.get("METRICS") or 10_000)
RUNS = int(os.environ.get("RUNS") or 10_000)
REPEATS = int(os.environ.get("REPEATS") or 7)
SECONDS = 1.0
MEMORY = 200 * 2**20
RATIO = 0.3
Call = list[str | Path]

# The metrics and parameters of DVC's own example, github.com/iterative/example-get-started.
EXAMPLE_METRICS = "eval/live/metrics.json"
EXAMPLE = (
    {"avg_prec.train": 0.9743323430723196, "avg_prec.test": 0.9249974999612706,
     "roc_auc.train": 0.9866678562450621, "roc_auc.test": 0.9460213440787918},
    {"avg_prec.train": 0.957035519466975, "avg_prec.test": 0.9014016422240393,
     "roc_auc.train": 0.9774311166774401, "roc_auc.test": 0.9319648794149968},
)  # fmt: skip
EXAMPLE_PARAMS = """\
prepare:
  split: 0.20
  seed: 20170428

featurize:
  max_features: {features}
  ngrams: {ngrams}

train:
  seed: 20170428
  n_est: 50
  min_split: 0.01
"""
EXAMPLE_COMPOSE = f"""\
name: get-started
services:
  evaluate:
    profiles: [train]
    image: example
    volumes: ["./eval:/app/eval"]
    x-mcgitops:
      params: [params.yaml]
      metrics: [{EXAMPLE_METRICS}]
"""
EXAMPLE_DVC = f"""\
stages:
  evaluate:
    cmd: python evaluate.py
    params: [prepare, featurize, train]
    metrics:
    - {EXAMPLE_METRICS}:
        cache: false
"""


def main() -> int:
    """All parts; 1 where a bound is missed."""
    ours, peer = programs.mcgitops(), programs.dvc()
    with projects.workplace() as folder:
        missed = [
            many_metrics(ours, folder / "metrics"),
            example(ours, peer, folder),
            many_runs(ours, folder),
        ]
    return max(*missed, report_html.main())


def many_metrics(program: Path, folder: Path) -> int:
    """A report over 10,000 metrics, five seeds on each side, from the call to the Markdown."""
    history.make(folder)
    rng = random.Random(1)
    for rate in ("0.1", "0.05"):
        (folder / "params.yaml").write_text(f"lr: {rate}\n")
        projects.commit(folder)
        names = history.fingerprints(program, folder)["train"]
        sha = history.head(folder)
        records = [
            history.record(
                "", seed, sha,
                {f"group{index % 100}/metric{index}": rng.random() for index in range(METRICS)},
                {"lr": float(rate)}, fingerprint=name,
            )
            for seed, name in enumerate(names)
        ]  # fmt: skip
        history.publish(folder, sha, records)
    call: Call = [program, "report", "--format", "markdown"]
    _require(call, folder, "changed metric")
    (taken,) = in_turn(REPEATS, lambda: measured(call, folder))
    row = Row(
        "report --format markdown", taken, kind="seconds", bound=SECONDS, most_bytes=MEMORY
    )  # fmt: skip
    return verdict(f"A report over {METRICS:,} metrics, five seeds on each side", [row])


def example(program: Path, peer: Path, folder: Path) -> int:
    """Two commits of DVC's own example, in a repository each."""
    env = programs.dvc_environment(folder / "dvc-settings")
    theirs, mine = folder / "dvc", folder / "ours"
    theirs.mkdir()
    (theirs / "dvc.yaml").write_text(EXAMPLE_DVC)
    projects.git(theirs, "init", "--quiet", "--initial-branch=main")
    subprocess.run([peer, "init", "--quiet"], cwd=theirs, env=env, check=True)
    history.make(mine, EXAMPLE_COMPOSE)
    for number, values in enumerate(EXAMPLE):
        features, ngrams = ((1500, 2), (400, 2))[number]
        params = EXAMPLE_PARAMS.format(features=features, ngrams=ngrams)
        for place in (theirs, mine):
            _write(place, values, params)
            projects.commit(place)
        (name,) = history.fingerprints(program, mine)["evaluate"]
        sha = history.head(mine)
        made = history.record(
            "", -1, sha, values, {"featurize.max_features": features}, fingerprint=name,
            stage="evaluate", file=EXAMPLE_METRICS, project="get-started",
        )  # fmt: skip
        history.publish(mine, sha, [made])
    call: Call = [program, "metrics", "diff", "HEAD~1"]
    peer_call: Call = [peer, "metrics", "diff", "HEAD~1"]
    _require(call, mine, "roc_auc.test")
    _require(peer_call, theirs, "roc_auc.test", env)
    taken, against = in_turn(
        3 * REPEATS,
        lambda: measured(call, mine),
        lambda: measured(peer_call, theirs, env),
        warm_up=2,
    )
    row = Row("metrics diff HEAD~1", taken, against, "ratio", RATIO)
    return verdict("DVC's example: the folder against the commit before", [row], "DVC")


def _write(folder: Path, values: dict[str, float], params: str) -> None:
    nested: dict[str, dict[str, float]] = {}
    for name, value in values.items():
        group, _, part = name.partition(".")
        nested.setdefault(group, {})[part] = value
    path = folder / EXAMPLE_METRICS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(nested, indent=4))
    (folder / "params.yaml").write_text(params)


def many_runs(program: Path, folder: Path) -> int:
    """Lists, comparisons and history over 10,000 runs: in a folder, and in a bucket."""
    print(f"{RUNS:,} runs: writing …", file=sys.stderr)
    place = folder / "runs"
    commits = history.many_runs(place, RUNS)
    names = [history.record(f"{number}-0", 0, "", {}, {}).fingerprint[:12] for number in (7, 70, 1)]
    calls = {
        "runs": ["runs"],
        "runs, filtered and sorted": [
            "runs", "train", "--where", "accuracy>0.94", "--where", "lr<0.05", "--sort", "loss",
        ],
        "compare, three runs": ["compare", *names],
        "compare, three commits": ["compare", "main", "main~10", commits[100]],
        "metrics history": ["metrics", "history", "accuracy"],
        "metrics history, of all commits": ["metrics", "history", "accuracy", "-n", "0"],
    }  # fmt: skip
    env = clean_environment()
    (first,) = in_turn(1, lambda: measured([program, "runs"], place, env), warm_up=0)
    rows = [Row("a folder: the first call, which makes the index", first)]
    rows += _calls(program, place, "a folder", calls, env)
    root = folder / "s3"
    with s3.rclone(root) as server:
        shutil.copytree(place / history.STORE, root / server.bucket / "wine")
        history.journal(root / server.bucket / "wine")
        shutil.rmtree(place / ".mcgitops")
        env = clean_environment(**server.env, MCGITOPS_STORE=server.url("wine"))
        (first,) = in_turn(1, lambda: measured([program, "runs"], place, env), warm_up=0)
        rows.append(Row("a bucket: the first call, which makes the index", first))
        rows += _calls(program, place, "a bucket", calls, env)
    return verdict(f"{RUNS:,} runs", rows)


def _calls(
    program: Path, place: Path, where: str, calls: dict[str, list[str]], env: dict[str, str]
) -> list[Row]:
    taken: tuple[Series, ...] = in_turn(
        REPEATS,
        *(lambda words=words: measured([program, *words], place, env) for words in calls.values()),
    )
    return [
        Row(f"{where}: {name}", series, kind="seconds", bound=SECONDS)
        for name, series in zip(calls, taken, strict=True)
    ]


def _require(call: Call, folder: Path, said: str, env: dict[str, str] | None = None) -> None:
    """What is measured is what is meant: these words are in the answer."""
    done = subprocess.run(
        call, cwd=folder, env=env or clean_environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if said not in done.stdout:
        raise SystemExit(f"{' '.join(map(str, call))}:\n{done.stdout[-2000:]}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
