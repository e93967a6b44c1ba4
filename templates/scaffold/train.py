"""Fit a logistic regression to data/flowers.csv; SEED decides on the split and the order."""

import csv
import json
import math
import os
import random
import tomllib
from pathlib import Path

OUT = Path("out")


def predict(weights, row):
    """The probability of class 1."""
    score = weights[0] + sum(w * x for w, x in zip(weights[1:], row, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def log_loss(weights, rows):
    """The mean negative log likelihood."""
    total = 0.0
    for features, label in rows:
        probability = predict(weights, features)
        total -= math.log(max(probability if label else 1 - probability, 1e-12))
    return total / len(rows)


def main():
    """Train, then write the model, its metrics and the history."""
    params = tomllib.loads(Path("params.toml").read_text())
    rng = random.Random(int(os.environ.get("SEED", "0")))

    with Path("data/flowers.csv").open(newline="") as file:
        table = [list(map(float, row)) for row in list(csv.reader(file))[1:]]
    rows = [(row[:-1], int(row[-1])) for row in table]
    rng.shuffle(rows)
    cut = len(rows) * 7 // 10
    train, held_out = rows[:cut], rows[cut:]

    weights = [0.0] * (len(rows[0][0]) + 1)
    history = []
    for epoch in range(1, params["epochs"] + 1):
        rng.shuffle(train)
        for features, label in train:
            error = predict(weights, features) - label
            steps = [error, *(error * x for x in features)]
            weights = [
                w - params["learning_rate"] * (s + params["l2"] * w)
                for w, s in zip(weights, steps, strict=True)
            ]
        history.append((epoch, log_loss(weights, train), log_loss(weights, held_out)))
        if epoch % 10 == 0:
            print(f"epoch {epoch}/{params['epochs']} val_loss {history[-1][2]:.4f}")

    right = sum((predict(weights, features) >= 0.5) == bool(label) for features, label in held_out)
    metrics = {"accuracy": right / len(held_out), "log_loss": history[-1][2]}

    OUT.mkdir(exist_ok=True)
    (OUT / "model.json").write_text(json.dumps({"weights": weights}) + "\n")
    (OUT / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    with (OUT / "history.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("epoch", "train_loss", "val_loss"), *history])
    print(f"accuracy {metrics['accuracy']:.4f} log_loss {metrics['log_loss']:.4f}")


if __name__ == "__main__":
    main()
