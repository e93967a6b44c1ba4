"""Comparisons as a project would have them, for the views."""

from __future__ import annotations

import pytest

from mcgitops.compare import Gate, MetricRule, RunView, Side, compare
from mcgitops.compare.model import Artifact
from mcgitops.metrics import Plot
from mcgitops.report.build import build
from mcgitops.report.model import Report

BASE = "9f8e7d6c5b4a" + "0" * 28
HEAD = "a1b2c3d4e5f6" + "0" * 28
GATE = MetricRule("accuracy", "maximize", Gate(max_drop=0.005))


def run(seed: int, **changes: object) -> RunView:
    values: dict[str, object] = {
        "stage": "train",
        "fingerprint": f"{seed:064x}",
        "replicate": {"SEED": str(seed)},
        "selected": seed == 0,
        "commit": BASE,
        "wall_seconds": 40.0 + seed,
        "cpu_seconds": 38.0,
        "peak_memory_bytes": 512_000_000,
        "image": "mcgitops/wine:4be1c0",
        "image_digest": "sha256:" + "77ab" * 16,
        "image_size": 512_000_000,
        "outputs": (Artifact("out/model.joblib", "sha256:" + "9d2e" * 16, 44_000_000),),
        "metrics": {
            "out/metrics.json": {
                "accuracy": 0.9722 + seed * 0.004,
                "log_loss": 0.093 + seed * 0.02,
                "classes": 3,
                "ok": True,
            }
        },
        "params": {"params.yaml": {"lr": 0.1, "depth": 3}},
        "facts": {"build context": "sha256:" + "aa" * 32, "params.yaml": "sha256:1"},
        "plots": (
            Plot("out/history.csv", "epoch", (1, 2, 3, 4), {"val_loss": (0.61, 0.42, 0.33, 0.27)}),
        ),
    }
    values.update(changes)
    return RunView(**values)  # type: ignore[arg-type]


def base_side() -> Side:
    return Side(BASE, "main", "merge base with main", runs=tuple(run(s) for s in range(3)))


def worse_runs() -> tuple[RunView, ...]:
    return tuple(
        run(
            seed,
            fingerprint=f"{seed + 16:064x}",
            commit=HEAD,
            image_digest="sha256:" + "88cd" * 16,
            outputs=(Artifact("out/model.joblib", "sha256:" + "1f0c" * 16, 11_200_000),),
            metrics={
                "out/metrics.json": {
                    "accuracy": 0.9444 + seed * 0.004,
                    "log_loss": 0.101 + seed * 0.025,
                    "classes": 3,
                    "ok": True,
                    "f1": 0.94,
                }
            },
            params={"params.yaml": {"lr": 0.05, "depth": 3}},
            facts={"build context": "sha256:" + "bb" * 32, "params.yaml": "sha256:2"},
            plots=(
                Plot(
                    "out/history.csv", "epoch", (1, 2, 3, 4), {"val_loss": (0.63, 0.47, 0.39, 0.35)}
                ),
            ),
        )
        for seed in range(3)
    )


@pytest.fixture
def regression() -> Report:
    head = Side(HEAD, "feature/lr", runs=worse_runs())
    return build("wine", compare(base_side(), head, [GATE]), reproduce="mcgitops train")


@pytest.fixture
def unchanged() -> Report:
    head = Side(HEAD, "feature/docs", runs=base_side().runs)
    return build("wine", compare(base_side(), head, [GATE]), reproduce="mcgitops train")


@pytest.fixture
def first() -> Report:
    return build("wine", compare(None, Side(HEAD, "main", runs=worse_runs()), [GATE]))


@pytest.fixture
def failed() -> Report:
    good, *_ = worse_runs()
    bad = RunView(
        "train",
        "f" * 64,
        "failed",
        replicate={"SEED": "1"},
        exit_code=1,
        log_tail=("Traceback (most recent call last):", "```", "ValueError: \x1b[31mno data"),
    )
    head = Side(HEAD, "feature/lr", runs=(good, bad))
    return build("wine", compare(base_side(), head, [GATE]), reproduce="mcgitops train")
