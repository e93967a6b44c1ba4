"""Reports as projects would have them, with something in every section; and a hostile one."""

from __future__ import annotations

import dataclasses
import math
import random

from mcgitops.compare import Gate, MetricRule, RunView, Side, compare
from mcgitops.compare.model import (
    Artifact,
    ClassChange,
    FactChange,
    FileChanges,
    Interval,
    MatrixPair,
    MetricHistory,
    PlotPair,
    SliceChange,
    Waiver,
)
from mcgitops.metrics.values import Matrix
from mcgitops.report.build import build
from mcgitops.report.model import Report
from mcgitops.report.waived import with_waivers

BASE = "9f8e7d6c5b4a" + "0" * 28
HEAD = "a1b2c3d4e5f6" + "0" * 28
HOSTILE = (
    "</script><script>document.title='broken'</script>",
    "<img src=x onerror=\"document.title='broken'\">",
    '" onmouseover="document.title=\'broken\'" x="',
    "'><svg onload=document.title='broken'>",
    "<!--<script>",
    "]]></style></title></textarea>-->",
    "javascript:document.title='broken'",
    "{{ 7*7 }}{% raw %}",
    "\u202egnp.exe\u2066\u200b",
    "\x00\x1b[31m\ud800",
    "&lt;b&gt;&#x3c;",
)


def run(seed: int, *, head: bool) -> RunView:
    """One of three replicates."""
    worse = 0.03 if head else 0.0
    metrics: dict[str, float] = {
        "accuracy": 0.9722 - worse + seed * 0.004,
        "log_loss": 0.093 + worse + seed * 0.02,
        "f1.macro": 0.95 - worse / 2 + seed * 0.003,
        **{f"recall.{name}": 0.9 + index / 100 for index, name in enumerate("abcdefghij")},
    }
    return RunView(
        stage="train",
        fingerprint=f"{seed + 16 * head:064x}",
        replicate={"SEED": str(seed)},
        selected=seed == 0,
        commit=HEAD if head else BASE,
        wall_seconds=40.0 + seed,
        cpu_seconds=38.0,
        peak_memory_bytes=512_000_000,
        image="mcgitops/wine:4be1c0",
        image_digest="sha256:" + "77ab" * 16,
        image_size=512_000_000,
        outputs=(
            Artifact(
                "out/model.joblib", "sha256:" + "9d2e" * 16, 11_000_000 if head else 44_000_000
            ),
        ),
        metrics={"out/metrics.json": metrics},
        params={"params.yaml": {"lr": 0.05 if head else 0.1, "depth": 3}},
        facts={"build context": "sha256:" + ("bb" if head else "aa") * 32},
        warnings=("out/history.csv: its last row is shorter than the header.",) if head else (),
    )


def losses(points: int, offset: float, seed: int) -> tuple[float, ...]:
    """A loss that falls, and its noise."""
    noise = random.Random(seed)
    scale = points / 6
    return tuple(2 / (1 + i / scale) + offset + noise.gauss(0, 0.03) for i in range(points))


def pair(name: str, points: int, seed: int = 0, *, with_base: bool = True) -> PlotPair:
    """A curve of so many points on each side."""
    xs = tuple(float(index) for index in range(points))
    base = losses(points, 0.0, seed) if with_base else ()
    return PlotPair(
        "train", "out/history.csv", name, "step", xs, losses(points, 0.1, seed + 1000),
        xs if with_base else (), base,
    )  # fmt: skip


def full(plots: int = 4, points: int = 500) -> Report:
    """A regression, with all sections but failed runs."""
    base = Side(
        BASE, "main", "merge base with main", runs=tuple(run(s, head=False) for s in range(3))
    )
    head = Side(HEAD, "feature/lr", runs=tuple(run(s, head=True) for s in range(3)))
    rules = [
        MetricRule("accuracy", "maximize", Gate(max_drop=0.005)),
        MetricRule("log_loss", "minimize", Gate(max=0.5)),
        MetricRule("f1.macro", "maximize", Gate(min=0.95)),
    ]
    report = build(
        "wine", compare(base, head, rules), reproduce="mcgitops train --rev a1b2c3d4e5f6",
        tool="mcgitops 0.1.0",
    )  # fmt: skip
    names = ("setosa", "versicolor", "virginica")
    classes = tuple(
        ClassChange(
            "train", "", "out/report.json", name,
            {"precision": (0.9, 0.91), "recall": (0.95, 0.94 - 0.02 * index)}, 50, 50,
        )
        for index, name in enumerate(names)
    )  # fmt: skip
    head_matrix = Matrix("out/confusion.json", names, ((48, 2, 0), (1, 40, 9), (0, 5, 45)))
    base_matrix = Matrix("out/confusion.json", names, ((48, 2, 0), (0, 45, 5), (0, 5, 45)))
    slices = tuple(
        SliceChange(
            "train", "", "out/predictions.csv", "region", value, "accuracy", 120, 0.93, head_value,
            head_interval=Interval(head_value - 0.05, head_value + 0.04), verdict="worse",
            p_adjusted=0.01, evidence="p = 0.01 after Holm, of 2 slices",
        )
        for value, head_value in (("north", 0.85), ("south", 0.91))
    )  # fmt: skip
    files = FileChanges(
        added=("new.csv",), changed=("flowers.csv",), count=2, base_size=4_000, head_size=6_100,
        sizes={"new.csv": (None, 1_900), "flowers.csv": (4_000, 4_200)},
    )  # fmt: skip
    facts = (*report.facts, FactChange(("train",), "data", "sha256:1", "sha256:2", files))
    waiver = Waiver(
        "f1.macro", "ada", "comment", "the new data is harder",
        "https://forge.example/wine/pull/7#issuecomment-1",
    )  # fmt: skip
    return dataclasses.replace(
        with_waivers(report, [waiver]),
        history=tuple(
            MetricHistory(m.stage, m.variant, m.file, m.name, means, ("c" * 40,) * len(means))
            for m, means in zip(
                report.metrics, ((0.91, 0.94, 0.96), (0.2, 0.1, 0.15)), strict=False
            )
        ),
        fetch="mcgitops pull a1b2c3d4e5f6",
        artifacts=tuple(
            dataclasses.replace(artifact, link="https://reports.example.com/objects/sha256/9d/9d2e")
            for artifact in report.artifacts
        ),
        classes=classes,
        matrices=(MatrixPair("train", "", head_matrix, base_matrix),),
        slices=slices,
        facts=facts,
        plots=tuple(pair(f"loss{index or ''}", points, index) for index in range(plots)),
    )


def hostile(texts: tuple[str, ...] = HOSTILE) -> Report:
    """The same, with hostile text wherever a file, a branch or a person can put some."""
    bad = [texts[index % len(texts)] for index in range(40)]
    nan = math.nan
    runs = [
        RunView(
            stage=bad[side], fingerprint=f"{side:064x}", matrix={bad[1]: bad[2]},
            state="succeeded" if index == 0 else "failed", exit_code=index, selected=index == 0,
            selection=bad[3], commit=HEAD if side else BASE,
            metrics={bad[4]: {bad[5]: 0.5 + side, bad[6]: bad[7 + side], bad[8]: nan, "ok": True}},
            params={bad[9]: {bad[10]: bad[11 + side], "n": side}},
            facts={bad[12]: bad[13 + side]}, upstream={bad[14]: bad[15]}, image=bad[16],
            image_digest=bad[17], outputs=(Artifact(bad[18], bad[19], side), ),
            warnings=(bad[20],), log_tail=tuple(texts), image_size=10 + side, wall_seconds=1.0,
        )
        for side in (0, 1)
        for index in (0, 1)
    ]  # fmt: skip
    runs = [dataclasses.replace(run, stage=bad[0]) for run in runs]
    base = Side(BASE, bad[21], bad[22], runs=tuple(runs[:2]))
    head = Side(HEAD, bad[23], runs=tuple(runs[2:]))
    rules = [MetricRule(bad[5], "maximize", Gate(max=0.1)), MetricRule(bad[24], None, Gate(min=1))]
    report = build(bad[25], compare(base, head, rules), reproduce=bad[26], tool=bad[27])
    labels = tuple(texts[:4])
    size = len(labels)
    counts = tuple(tuple(float(i + j) for j in range(size)) for i in range(size))
    return dataclasses.replace(
        report,
        plots=(
            PlotPair(bad[28], bad[29], bad[30], bad[31], (0.0, 1.0, 2.0), (1.0, nan, 1e300)),
            PlotPair(bad[28], bad[29], bad[32], bad[33], (0.0, 1.0, 5.0), (1.0, None, -2.0)),
        ),
        classes=tuple(
            ClassChange(bad[0], bad[1], bad[2], text, {text: (0.1, nan)}, None, 3) for text in texts
        ),
        matrices=(MatrixPair(bad[3], bad[4], Matrix(bad[5], labels, counts)),),
        slices=tuple(
            SliceChange(bad[6], bad[7], bad[8], text, text, text, 3, nan, 0.5, evidence=text)
            for text in texts
        ),
        facts=(
            FactChange(
                (bad[9],), bad[10], bad[11], bad[12],
                FileChanges(texts, texts, texts, 99, 1, 2, dict.fromkeys(texts, (None, 1))),
            ),
        ),
        waivers=tuple(Waiver(text, text, "label", text, text) for text in texts),
    )  # fmt: skip
