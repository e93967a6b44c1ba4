"""Train a classifier on scikit-learn's wine data; SEED decides which bottles are held out."""

import json
import os
from pathlib import Path

import joblib
import yaml
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OUT = Path("out")


def main():
    params = yaml.safe_load(Path("params.yaml").read_text())
    wine = load_wine()
    names = list(wine.feature_names)
    if params["columns"] == "alphabetical":
        names.sort()
    features = wine.data[:, [wine.feature_names.index(name) for name in names]]
    x, x_test, y, y_test = train_test_split(
        features, wine.target, test_size=0.3, stratify=wine.target,
        random_state=int(os.environ.get("SEED", "0")),
    )  # fmt: skip

    model = make_pipeline(StandardScaler(), LogisticRegression(C=params["C"])).fit(x, y)
    metrics = {
        "accuracy": accuracy_score(y_test, model.predict(x_test)),
        "log_loss": log_loss(y_test, model.predict_proba(x_test)),
    }
    OUT.mkdir(exist_ok=True)
    joblib.dump(model, OUT / "model.joblib")
    (OUT / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(" ".join(f"{name} {value:.4f}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
