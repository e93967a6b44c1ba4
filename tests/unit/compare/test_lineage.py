"""Where an artifact comes from: the data that its run read, without what isn't data."""

from __future__ import annotations

from mcgitops.compare import RunView, Side, compare
from mcgitops.compare.model import Artifact

DIGEST = "sha256:" + "a" * 64


def test_the_data_that_a_run_read_is_in_its_lineage():
    names = (
        "data", "data/train.csv", "./environment", "/mnt/corpus",  # paths
        "command", "environment", "declared", "build", "build context .", "Dockerfile",
        "docker/train.Dockerfile", "config app", "service db", "variable SEED", "upstream prepare",
        "params.yaml", "out", "report",
    )  # fmt: skip
    run = RunView(
        "train",
        "f" * 64,
        facts={**dict.fromkeys(names, DIGEST), "image": "python:3.12", "other": "latest"},
        params={"params.yaml": {}},
        metrics={"report/m.json": {}},
        outputs=(Artifact("out/model.bin", DIGEST, 1),),
    )
    (made,) = compare(None, Side(runs=(run,))).lineage
    assert dict(made.inputs) == dict.fromkeys(names[:4], DIGEST)
