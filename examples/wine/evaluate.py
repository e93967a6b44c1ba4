"""Judge the trained model on the held-out test set, in all and for each cultivar."""

import json
from pathlib import Path

import joblib
from dataset import COLUMNS, held_out, load
from sklearn.metrics import classification_report

OUT = Path("out")


def main():
    trained = joblib.load(OUT / "model.joblib")
    features, cultivars = load()
    _, features, _, cultivars = held_out(features, cultivars)
    features = features[:, [COLUMNS.index(name) for name in trained["columns"]]]
    predicted = trained["model"].predict(trained["scaler"].transform(features))
    report = classification_report(cultivars, predicted, output_dict=True, zero_division=0)
    report["test_accuracy"] = report.pop("accuracy")
    (OUT / "eval.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"test_accuracy {report['test_accuracy']:.4f} on {len(cultivars)} examples")


if __name__ == "__main__":
    main()
