"""Reports of many situations, for the golden files and the properties of the views."""

from __future__ import annotations

import math
from dataclasses import replace

from mcgitops.compare import Gate, MetricRule, RunView, Side, compare
from mcgitops.compare.model import (
    Artifact,
    FactChange,
    FileChanges,
    Interval,
    MetricChange,
    MetricHistory,
    SliceChange,
    Test,
    Waiver,
)
from mcgitops.metrics import Plot
from mcgitops.metrics.values import Check, ClassRow, ClassTable, Matrix
from mcgitops.report.build import build
from mcgitops.report.model import Report
from mcgitops.report.waived import with_waivers
from tests.unit.report.conftest import BASE, GATE, HEAD, base_side, run, worse_runs
from tests.unit.report.test_escape import HOSTILE

LINK = "https://reports.example.com/wine/a1b2c3d4e5f6.html?X-Sig=a%2Fb&X-Date=2026"
OBJECT = "https://reports.example.com/objects/sha256/3c/3c4d"


def improvement() -> Report:
    """Better, cheaper, with a chart, intervals and tests, and the whole report linked."""
    before = base_side()
    head = Side(
        HEAD,
        "feature/trees",
        runs=tuple(
            replace(
                old,
                fingerprint=f"{seed + 32:064x}",
                commit=HEAD,
                wall_seconds=20.0,
                metrics={
                    "out/metrics.json": {
                        **old.metrics["out/metrics.json"],
                        "accuracy": 0.99 + seed * 0.002,
                    }
                },
                facts={**old.facts, "build context": "sha256:" + "cc" * 32},
                outputs=(Artifact("out/model.joblib", "sha256:" + "3c4d" * 16, 11_200_000),),
            )
            for seed, old in enumerate(before.runs)
        ),
    )
    report = build("wine", compare(before, head, [GATE]), reproduce="mcgitops train")
    metrics = tuple(with_evidence(change) for change in report.metrics)
    artifacts = tuple(replace(artifact, link=OBJECT) for artifact in report.artifacts)
    fetch = "mcgitops pull a1b2c3d4e5f6"
    return replace(report, metrics=metrics, full_report=LINK, fetch=fetch, artifacts=artifacts)


def with_past() -> Report:
    """Metrics with a course on the base's branch, one with too short a one, one of another file."""
    report = improvement()
    rows = [
        MetricHistory(c.stage, c.variant, c.file, c.name, means, ("a" * 40,) * len(means))
        for c, means in zip(
            report.metrics,
            ((0.91, 0.93, math.nan, 0.95, 0.94), (0.3, 0.2), tuple(map(float, range(40)))),
            strict=False,
        )
    ]
    return replace(report, history=(*rows, replace(rows[0], file="else.json", means=(1.0,) * 5)))


def with_evidence(change: MetricChange) -> MetricChange:
    if change.base_mean is None or change.head_mean is None or change.verdict == "same":
        return change
    welch = Test("welch", change.evidence, 0.02, Interval(0.004, 0.021), 3, 3)
    paired = Test("paired t", "p = 0.011 (paired t, 3 pairs)", 0.011, None, 3, 3)
    return replace(
        change,
        base_interval=Interval(change.base_mean - 0.01, change.base_mean + 0.01),
        head_interval=Interval(change.head_mean - 0.005, change.head_mean + 0.005),
        tests=(welch, paired),
    )


def waived() -> Report:
    """A gate that failed and was waived, one that wasn't, and one that another tool judged."""
    return with_waivers(
        _with_failed_gates(),
        [Waiver("accuracy", "octocat", "comment", "known: the split changed in @main")],
    )


def all_waived() -> Report:
    """All that failed is waived, one gate with a reason of its own."""
    waivers = [
        Waiver("*", "hubot", "label"),
        Waiver("accuracy", "octocat", "comment", "known: the split changed in @main"),
    ]
    return with_waivers(_with_failed_gates(), waivers)


def _with_failed_gates() -> Report:
    head = Side(HEAD, "feature/lr", runs=worse_runs())
    rules = [GATE, MetricRule("log_loss", "minimize", Gate(max=0.12))]
    drifted = Check("out/drift.json", "TestShareOfDriftedColumns", "failed", "0.8 is above 0.3")
    first = replace(head.runs[0], checks=(drifted,))
    head = replace(head, runs=(first, *head.runs[1:]))
    return build("wine", compare(base_side(), head, rules), reproduce="mcgitops train")


def classes() -> Report:
    """Classes and a confusion matrix on both sides."""

    def side(commit: str, recalls: tuple[float, ...], counts: tuple[tuple[int, ...], ...]) -> Side:
        rows = tuple(
            ClassRow(str(i), {"precision": 0.9, "recall": recall, "f1-score": 0.9}, 20 + i)
            for i, recall in enumerate(recalls)
        )
        one = run(
            0,
            commit=commit,
            fingerprint=commit,
            plots=(),
            tables=(ClassTable("out/report.json", rows),),
            matrices=(Matrix("out/matrix.json", ("0", "1", "2"), counts),),
        )
        return Side(commit, "main", "merge base with main", runs=(one,))

    base = side(BASE, (0.95, 0.91, 0.88), ((19, 1, 0), (1, 19, 1), (0, 2, 20)))
    head = side(HEAD, (0.95, 0.85, 0.9), ((19, 1, 0), (3, 17, 1), (0, 1, 21)))
    return build("wine", compare(base, head, [GATE]), reproduce="mcgitops train")


def many_classes() -> Report:
    """So many that a confusion matrix is shown by what is confused most; no base."""
    labels = tuple(f"class {i}" for i in range(40))
    counts = tuple(tuple((i * 7 + j * 3) % 11 for j in range(40)) for i in range(40))
    rows = tuple(ClassRow(name, {"recall": i / 40}, 11) for i, name in enumerate(labels))
    one = run(
        0,
        commit=HEAD,
        tables=(ClassTable("out/report.json", rows),),
        matrices=(Matrix("out/matrix.json", labels, counts),),
    )
    return build("birds", compare(None, Side(HEAD, "main", runs=(one,))))


def slices(report: Report) -> Report:
    """The report with slices: one worse, one better, one that tells nothing."""
    rows = (
        ("region", "EU", 412, 0.91, 0.87, 0.004, "worse", "p = 0.012 after Holm (McNemar)"),
        ("region", "US", 398, 0.90, 0.94, 0.02, "better", "p = 0.04 after Holm (McNemar)"),
        ("age", "18–25 | @all", 31, 0.8, 0.77, 0.7, "cannot tell", "p = 1.00 after Holm (McNemar)"),
    )
    return replace(
        report,
        slices=tuple(
            SliceChange(
                "train", "", "out/predictions.csv", column, value, "accuracy", n, base, head,
                Interval(base - 0.03, base + 0.03), Interval(head - 0.03, head + 0.03), p, 3 * p,
                verdict, evidence,
            )
            for column, value, n, base, head, p, verdict, evidence in rows
        ),
    )  # fmt: skip


def data_change(report: Report) -> Report:
    """The report where the data changed, file by file, and the code."""
    digests = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)
    files = FileChanges(
        added=("2026/extra.csv",),
        removed=("old.csv",),
        changed=("train.csv", "labels.csv"),
        count=4,
        base_size=3_300_000,
        head_size=3_700_000,
        sizes={
            "2026/extra.csv": (None, 250_000),
            "old.csv": (150_000, None),
            "train.csv": (3_100_000, 3_400_000),
            "labels.csv": (50_000, 50_001),
        },
    )
    code = FileChanges(changed=("train.py",), count=1, sizes={"train.py": (2_000, 2_400)})
    return replace(
        report,
        facts=(
            FactChange(("train",), "build context .", *digests, code),
            FactChange(("train",), "data", *digests, files),
        ),
        lineage=tuple(
            replace(made, inputs={"data": digests[1], "labels": digests[0]})
            for made in report.lineage
        ),
    )


def curves() -> Report:
    """Six curves: one chart is seen, two are folded, and all but the first are sparklines."""

    def side(commit: str, shift: float) -> Side:
        xs = tuple(float(x) for x in range(30))
        series = {
            name: tuple(shift * (i + 1) + 1 / (x + i + 1) for x in xs)
            for i, name in enumerate(("val_loss", "loss", "accuracy", "lr", "grad_norm"))
        }
        series["flat"] = (1.0,) * 30
        one = run(
            0,
            commit=commit,
            fingerprint=commit,
            plots=(Plot("out/history.csv", "epoch", xs, series),),
        )
        return Side(commit, "main", "merge base with main", runs=(one,))

    return build("wine", compare(side(BASE, 0.0), side(HEAD, 0.05), [GATE]))


def hostile() -> Report:
    """Every name and value is an attack; the same on both sides but for the numbers."""
    names = [name for name in HOSTILE if len(name) < 100]

    def side(commit: str, offset: float) -> Side:
        runs = tuple(
            RunView(
                f"</details>{i}",
                f"{commit}{i}",
                matrix={"@all": name},
                commit=commit,
                metrics={name: {name: 0.5 + offset, "@everyone": name + commit}},
                params={name: {name: offset}},
                facts={name: commit, "data|": "sha256:" + commit[0] * 64},
                upstream={name: name},
                image=name,
                image_size=int(1e6 * (1 + offset)),
                outputs=(Artifact(name, name, 10),),
                plots=(Plot(name, name, (1.0, 2.0), {name: (0.5, 0.6 + offset)}),),
                tables=(ClassTable(name, (ClassRow(name, {name: offset, "recall": offset}, 3),)),),
                matrices=(Matrix(name, (name, "<b>"), ((3, 1 + offset), (0, 4))),),
                warnings=(name,),
                log_tail=(name,),
            )
            for i, name in enumerate(names)
        )
        return Side(commit, "<!-- @main", "www.x.example", runs=runs)

    return replace(
        build("[x](http://x.example)", compare(side("b" * 40, 0.0), side("a" * 40, 0.3))),
        waivers=tuple(Waiver(n, n, "comment", n, "http://x.example") for n in names[:20]),
        full_report="javascript:alert(1)",
        slices=tuple(
            SliceChange(n, n, n, n, n, n, 3, 0.5, 0.4, p_adjusted=0.01, verdict="worse", evidence=n)
            for n in names
        ),
    )


def huge() -> Report:
    """5,000 of everything."""
    count = 5_000

    def side(commit: str, offset: float) -> Side:
        table = ClassTable(
            "r.json", tuple(ClassRow(f"c{i}", {"recall": offset}) for i in range(count))
        )
        one = RunView(
            "train",
            commit,
            commit=commit,
            metrics={"m.json": {f"class {i}.f1": offset + i / count for i in range(count)}},
            params={"p.yaml": {f"p{i}": offset + i for i in range(count)}},
            facts={f"data/{i}.csv": f"sha256:{commit[0] * 64}" for i in range(count)},
            outputs=tuple(Artifact(f"out/{i}.bin", commit * 2, 10) for i in range(count)),
            tables=(table,),
            warnings=tuple(f"file {i} is odd" for i in range(count)),
            log_tail=("x" * 300,) * count,
        )
        return Side(commit, "main", "merge base with main", runs=(one,))

    rule = MetricRule("*", "maximize", Gate(max_drop=0.001))
    report = build("wine", compare(side(BASE, 0.5), side(HEAD, 0.4), [rule]), reproduce="mcgitops")
    return slices(replace(report, full_report=LINK))


def wide_characters() -> Report:
    """Names of characters that take two cells, or none, in tables and in lines."""

    def side(commit: str, offset: float) -> Side:
        rows = tuple(
            ClassRow(name, {"精度": 0.9 - offset, "recall": 0.9 - offset}, 12)
            for name in ("猫", "犬🐕", "e\u0301léphant", "دب")
        )
        one = RunView(
            "訓練",
            commit,
            commit=commit,
            metrics={
                "結果.json": {"精度": 0.9 - offset, "損失🙂": 0.1 + offset, "note": f"注{offset}"}
            },
            params={"設定.yaml": {"学習率": offset}},
            plots=(Plot("履歴.csv", "周", (1.0, 2.0, 3.0), {"損失": (0.5, 0.3, 0.2 + offset)}),),
            tables=(ClassTable("報告.json", rows),),
            warnings=(("とても長い警告文" * 8),),
        )
        return Side(commit, "main", "merge base with main", runs=(one,))

    rules = [MetricRule("精度", "maximize", Gate(max_drop=0.01))]
    return build("ワイン", compare(side(BASE, 0.0), side(HEAD, 0.05), rules))
