"""Weights & Biases, offline: the log that its own program writes."""

import sys
from pathlib import Path

import wandb

folder = Path(sys.argv[1])


def train(where: str, name: str, steps: int, define: bool = False) -> None:
    (folder / where).mkdir(exist_ok=True)
    config = {"lr": 0.1, "model": {"layers": 3, "kind": "a b"}, "list": [1, 2]}
    with wandb.init(dir=folder / where, project="p", name=name, config=config) as run:
        if define:
            run.define_metric("val.accuracy", summary="max")
        for step in range(steps):
            run.log({"loss": 1 / (step + 1), "val": {"accuracy": 0.9 - step / 100}, "epoch": step})
        run.log({"odd": float("nan"), "text": "words", "big": float("inf")})
        run.summary["best"] = 0.75
        run.config.update({"late": 7})


train("single", "calm-lake-1", 30)
train("several", "first", 3)
train("several", "second", 2, define=True)
# longer than a block of 32 KiB, with a record that spans blocks
with wandb.init(dir=folder, project="p", name="long", config={"blob": "x" * 100_000}) as run:
    for step in range(800):
        run.log({f"metric{index}": step + index for index in range(5)})
