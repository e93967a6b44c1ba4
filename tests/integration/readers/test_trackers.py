"""Runs that the real MLflow, TensorBoard and W&B wrote are read as they are."""

from __future__ import annotations

import math
import shutil
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from mcgitops.metrics import detect
from mcgitops.metrics.files import Folder
from mcgitops.metrics.values import Findings, Plot
from tests.lab import writers

ENDED = {"ended.down": -math.inf, "ended.up": math.inf, "zero": 0.0}


def found(folder: Path) -> Findings:
    return detect.find(Folder.of(folder))


def clean(folder: Path) -> Findings:
    findings = found(folder)
    assert findings.warnings == ()
    return findings


def plot(findings: Findings, name: str) -> Plot:
    (one,) = [plot for plot in findings.plots if plot.name == name]
    return one


@pytest.fixture
def mlflow(tmp_path: Path) -> Path:
    return Path(shutil.copytree(writers.written("mlflow_runs"), tmp_path / "mlflow"))


@pytest.fixture
def tensorboard(tmp_path: Path) -> Path:
    return Path(shutil.copytree(writers.written("tensorboard_runs"), tmp_path / "tensorboard"))


@pytest.fixture
def wandb(tmp_path: Path) -> Path:
    return Path(shutil.copytree(writers.written("wandb_runs"), tmp_path / "wandb"))


def test_mlflows_database_of_one_run(mlflow: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (mlflow / "single.db").rename(tmp_path / "out" / "mlflow.db")
    findings = clean(tmp_path / "out")
    metrics = dict(findings.metrics["mlflow.db"])
    assert math.isnan(metrics.pop("ended.nan"))  # kept as 0 with a flag
    assert metrics == {**ENDED, "loss": 1 / 1500, "val/accuracy": 0.6499}
    assert findings.params == {"mlflow.db": {"empty": "", "lr": 0.1, "model": "a b/c"}}
    assert {plot.name for plot in findings.plots} == {"mlflow.db/loss", "mlflow.db/val/accuracy"}
    loss = plot(findings, "mlflow.db/loss")
    assert loss.x == "step"
    assert loss.xs == tuple(range(1500))
    assert loss.series["loss"] == tuple(1 / (step + 1) for step in range(1500))


@pytest.mark.parametrize("which", ["mlflow.db", "mlruns"])
def test_several_runs_of_mlflow_have_their_names_before_their_metrics(
    mlflow: Path, which: str
) -> None:
    for other in set(mlflow.iterdir()) - {mlflow / which}:
        shutil.rmtree(other) if other.is_dir() else other.unlink()
    findings = clean(mlflow)
    metrics = findings.metrics[which]
    # the second run called first is told apart; the one that was deleted isn't read
    assert {name.split("/")[0] for name in metrics} == {"first", "second", "first 2"}
    assert metrics["first/loss"] == 0.2
    assert metrics["second/loss"] == 1 / 3
    assert metrics["first 2/loss"] == 0.5
    assert findings.params[which]["second/lr"] == 0.2
    curve = plot(findings, f"{which}/second/val/accuracy")
    assert curve.series == {"second/val/accuracy": (0.5, 0.5001, 0.5002)}


def test_mlflows_file_store_of_one_run(mlflow: Path) -> None:
    findings = clean(mlflow / "alone")
    metrics = dict(findings.metrics["mlruns"])
    assert math.isnan(metrics.pop("ended.nan"))
    assert metrics == {**ENDED, "loss": 0.05, "val/accuracy": 0.5019}
    assert findings.params == {"mlruns": {"empty": "", "lr": 0.1, "model": "a b/c"}}
    assert plot(findings, "mlruns/loss").xs == tuple(range(20))


def test_what_is_in_the_log_beside_a_database_counts(mlflow: Path) -> None:
    assert clean(mlflow / "killed").metrics["mlflow.db"]["loss"] == 0.125
    (mlflow / "killed" / "mlflow.db-wal").unlink()
    assert clean(mlflow / "killed").metrics["mlflow.db"]["loss"] == 1 / 1500


def test_a_run_that_failed_says_so(mlflow: Path) -> None:
    with closing(connect(mlflow / "killed" / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET status = 'FAILED'")
    assert found(mlflow / "killed").warnings == ("mlflow.db: the run only ended as FAILED.",)
    (meta,) = (mlflow / "alone").glob("mlruns/*/*/meta.yaml")
    meta.write_text(meta.read_text().replace("status: 3", "status: 5"))
    assert found(mlflow / "alone").warnings == ("mlruns: the run only ended as KILLED.",)


def test_a_latest_value_that_was_never_logged_is_a_warning(mlflow: Path) -> None:
    with closing(connect(mlflow / "killed" / "mlflow.db")) as database, database:
        database.execute("UPDATE latest_metrics SET value = 0.9 WHERE key = 'zero'")
    (said,) = found(mlflow / "killed").warnings
    assert said.startswith("mlflow.db: the latest value of zero is not in its history")


def test_a_view_in_place_of_a_table_is_refused(mlflow: Path) -> None:
    with closing(connect(mlflow / "killed" / "mlflow.db")) as database, database:
        database.execute("ALTER TABLE params RENAME TO others")
        database.execute(
            "CREATE VIEW params AS WITH RECURSIVE n(i) AS "
            "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS key FROM n"
        )
    findings = found(mlflow / "killed")
    assert findings.metrics == {}
    assert findings.warnings == ("mlflow.db: is not of MLflow: it has no table params.",)


def test_what_is_called_like_a_database_and_is_none(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"")
    (tmp_path / "mlflow-2.db").write_text("text")
    with closing(connect(tmp_path / "other.db")) as database, database:
        database.execute("CREATE TABLE study (id INTEGER)")
    assert set(found(tmp_path).warnings) == {
        "mlflow.db: is empty.",
        "mlflow-2.db: is not a SQLite database.",
    }


def test_events_of_one_folder(tensorboard: Path) -> None:
    findings = clean(tensorboard / "single")
    (source,) = findings.metrics
    metrics = dict(findings.metrics[source])
    assert math.isnan(metrics.pop("nan"))
    # floats of 32 bits as the shortest text that stands for them; pictures and texts are none
    assert metrics == {"train/loss": 0.025, "val/accuracy": 0.88, "inf": math.inf}
    loss = plot(findings, f"{source}/train/loss")
    assert loss.xs == tuple(range(40))
    assert loss.series["train/loss"] == pytest.approx([1 / (s + 1) for s in range(40)], rel=1e-6)
    assert plot(findings, f"{source}/val/accuracy").xs == tuple(range(0, 40, 2))


def test_tensors_as_tensorflow_writes_scalars(tensorboard: Path) -> None:
    findings = clean(tensorboard / "tf")
    assert findings.metrics == {"train": {"epoch_loss": 0.33333334, "epoch_precise": 0.5}}
    assert plot(findings, "train/epoch_precise").series["epoch_precise"] == (
        pytest.approx([0.1 * step for step in range(6)])
    )


def test_hyperparameters_belong_to_the_run_above(tensorboard: Path) -> None:
    findings = clean(tensorboard / "hparams")
    ((_, params),) = findings.params.items()
    assert params == {"lr": 0.1, "layers": 3, "name": "a b", "on": True}
    ((_, metrics),) = findings.metrics.items()
    assert metrics["best"] == 0.75
    assert metrics["train/loss"] == 0.25  # no prefix: it is one run


def test_several_folders_of_events(tensorboard: Path) -> None:
    ((_, metrics),) = clean(tensorboard / "several").metrics.items()
    assert metrics["a/train/loss"] == 0.2
    assert metrics["b/train/loss"] == 0.33333334


def test_a_folder_named_after_the_time_keeps_its_sources_name(tensorboard: Path) -> None:
    (event,) = (tensorboard / "several" / "a").iterdir()
    place = tensorboard / "named" / "runs" / "Nov21_16-34-56_host"
    place.mkdir(parents=True)
    event.rename(place / event.name)
    assert set(clean(tensorboard / "named").metrics) == {"runs"}


def test_a_log_of_wandb(wandb: Path) -> None:
    findings = clean(wandb / "single")
    metrics = dict(findings.metrics["wandb"])
    assert math.isnan(metrics.pop("odd"))
    assert metrics == {
        "loss": 1 / 30,
        "val.accuracy": pytest.approx(0.61),
        "epoch": 29,
        "big": math.inf,
        "best": 0.75,
    }
    assert findings.params["wandb"] == {
        "lr": 0.1,
        "model.layers": 3,
        "model.kind": "a b",
        "list.0": 1,
        "list.1": 2,
        "late": 7,
    }
    loss = plot(findings, "wandb/loss")
    assert loss.xs == tuple(range(30))
    assert loss.series == {"loss": tuple(1 / (step + 1) for step in range(30))}


def test_several_logs_of_wandb_in_the_order_of_their_start(wandb: Path) -> None:
    findings = clean(wandb / "several")
    metrics = findings.metrics["wandb"]
    assert list(dict.fromkeys(name.split("/")[0] for name in metrics)) == ["first", "second"]
    assert metrics["first/loss"] == 1 / 3
    assert metrics["second/val.accuracy.max"] == 0.9


def test_records_of_wandb_that_span_blocks(wandb: Path) -> None:
    findings = clean(wandb / "wandb")
    ((source, metrics),) = findings.metrics.items()
    assert metrics == {f"metric{index}": 799 + index for index in range(5)}
    assert "sha256" in findings.params[source]["blob"]  # 100,000 characters, cut
    assert len(plot(findings, f"{source}/metric0").xs) == 800


def test_a_process_that_was_killed_leaves_a_log_without_an_end(wandb: Path) -> None:
    (log,) = (wandb / "single").rglob("*.wandb")
    content = log.read_bytes()
    log.write_bytes(content[:-100])
    (said,) = [s for s in found(wandb / "single").warnings if "killed" in s]
    assert "what is there counts" in said


DECLARED = (
    ("mlflow_runs", "single.db", "mlflow_db"),
    ("tensorboard_runs", "single", "tensorboard"),
    ("wandb_runs", "single", "wandb"),
)


@pytest.mark.parametrize(("script", "part", "reader"), DECLARED)
def test_a_declared_reader_goes_by_content_where_the_name_says_nothing(
    script: str, part: str, reader: str, tmp_path: Path
) -> None:
    source = writers.written(script) / part
    files = [source] if source.is_file() else [p for p in source.rglob("*") if p.is_file()]
    (wanted,) = [p for p in files if p.suffix in (".db", ".wandb") or "tfevents" in p.name]
    shutil.copy(wanted, tmp_path / "unnamed")
    detected = found(tmp_path)
    findings = detect.find(Folder.of(tmp_path), {"unnamed": reader})
    assert detected.metrics == {}
    assert findings.warnings == ()
    assert "loss" in str(findings.metrics)
