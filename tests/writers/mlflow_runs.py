"""MLflow: a database with several runs, and a file store, as an unchanged script leaves them."""

import os
import shutil
import sqlite3
import sys
from pathlib import Path

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

import mlflow
from mlflow.entities import Metric

folder = Path(sys.argv[1])


def train(name: str, rate: float, steps: int) -> None:
    with mlflow.start_run(run_name=name):
        mlflow.log_params({"lr": rate, "model": "a b/c", "empty": ""})
        for start in range(0, steps, 400):
            points = [
                Metric(key, value, 1_700_000_000_000 + step, step)
                for step in range(start, min(start + 400, steps))
                for key, value in (("loss", 1 / (step + 1)), ("val/accuracy", 0.5 + step / 10_000))
            ]
            mlflow.MlflowClient().log_batch(mlflow.active_run().info.run_id, points)
        mlflow.log_metric("ended.nan", float("nan"))
        mlflow.log_metric("ended.up", float("inf"))
        mlflow.log_metric("ended.down", float("-inf"))
        mlflow.log_metric("zero", 0.0)
        mlflow.set_tag("note", "tagged")


def everything() -> None:
    mlflow.set_experiment("one")
    train("first", 0.1, 5)
    train("second", 0.2, 3)
    mlflow.set_experiment("two")
    train("first", 0.3, 2)  # a name may occur twice
    with mlflow.start_run(run_name="thrown-away") as gone:
        mlflow.log_metric("loss", 99)
    mlflow.delete_run(gone.info.run_id)


mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
mlflow.search_experiments()
shutil.copy(folder / "mlflow.db", folder / "single.db")  # an empty one costs seconds to make
everything()

mlflow.set_tracking_uri(f"sqlite:///{folder / 'single.db'}")
mlflow.set_experiment("one")
train("only", 0.1, 1500)

mlflow.set_tracking_uri((folder / "mlruns").as_uri())
everything()

mlflow.set_tracking_uri((folder / "alone" / "mlruns").as_uri())
mlflow.set_experiment("one")
train("only", 0.1, 20)

# a process that was killed leaves its last rows in the log beside the database
wal = sqlite3.connect(folder / "single.db")
source = folder / "wal"
source.mkdir()
with sqlite3.connect(source / "copy.db") as copy:
    wal.backup(copy)
copy.close()
killed = sqlite3.connect(source / "copy.db", isolation_level=None)
killed.execute("PRAGMA journal_mode=WAL")
killed.execute("UPDATE latest_metrics SET value = 0.125, step = 1500 WHERE key = 'loss'")
killed.execute(
    "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
    "SELECT key, value, timestamp, run_uuid, step, is_nan FROM latest_metrics WHERE key = 'loss'"
)
for name in ("copy.db", "copy.db-wal"):
    target = folder / "killed" / name.replace("copy", "mlflow")
    target.parent.mkdir(exist_ok=True)
    target.write_bytes((source / name).read_bytes())
killed.close()
