"""Train a linear classifier by stochastic gradient descent; SEED decides on split and order."""

import csv
import json
import os
from pathlib import Path

import joblib
import numpy as np
import yaml
from dataset import COLUMNS, held_out, load
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

OUT = Path("out")


def main():
    params = yaml.safe_load(Path("params.yaml").read_text())
    seed = int(os.environ.get("SEED", "0"))
    columns = COLUMNS if params["features"] == "all" else params["features"]

    features, cultivars = load()
    features = features[:, [COLUMNS.index(name) for name in columns]]
    features, _, cultivars, _ = held_out(features, cultivars)
    x, x_val, y, y_val = train_test_split(
        features, cultivars, test_size=0.3, stratify=cultivars, random_state=seed
    )
    scaler = StandardScaler().fit(x)
    x, x_val = scaler.transform(x), scaler.transform(x_val)

    model = SGDClassifier(
        loss="log_loss", learning_rate="constant", eta0=params["lr"], alpha=params["l2"],
        random_state=seed,
    )  # fmt: skip
    classes = np.unique(cultivars)
    rng = np.random.default_rng(seed)
    history = []
    for epoch in range(1, params["epochs"] + 1):
        order = rng.permutation(len(x))
        model.partial_fit(x[order], y[order], classes=classes)
        losses = [log_loss(b, model.predict_proba(a)) for a, b in ((x, y), (x_val, y_val))]
        history.append((epoch, *losses))
        if epoch % 10 == 0 or epoch == params["epochs"]:
            print(f"epoch {epoch}/{params['epochs']} loss {losses[0]:.4f} val_loss {losses[1]:.4f}")

    predicted = model.predict(x_val)
    metrics = {
        "accuracy": accuracy_score(y_val, predicted),
        "macro_f1": f1_score(y_val, predicted, average="macro"),
        "log_loss": history[-1][2],
    }
    OUT.mkdir(exist_ok=True)
    joblib.dump({"columns": columns, "scaler": scaler, "model": model}, OUT / "model.joblib")
    (OUT / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    with (OUT / "history.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("epoch", "train_loss", "val_loss"), *history])
    print(" ".join(f"{name} {value:.4f}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
