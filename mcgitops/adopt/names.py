"""What names of files and services tell: words of training, suffixes of models, well-known metrics.

Only guesses start here. Each is shown with its reason, and a person decides.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["metrics", "plots", "outputs"]

# fmt: off
STAGE_WORDS = frozenset((
    "train", "training", "trainer", "fit", "finetune", "tune", "evaluate", "evaluation", "eval",
    "validate", "score", "benchmark", "preprocess", "prepare", "featurize", "features", "distill",
    "quantize",
))
_EARLY_WORDS = frozenset(("preprocess", "prepare", "featurize", "features"))
_LATE_WORDS = frozenset((
    "evaluate", "evaluation", "eval", "validate", "score", "benchmark", "quantize", "distill",
))
_METRIC_WORDS = frozenset((
    "metric", "metrics", "eval", "evaluation", "score", "scores", "result", "results", "report",
    "summary",
))
_PLOT_WORDS = frozenset((
    "history", "curve", "curves", "loss", "losses", "epoch", "epochs", "roc", "learning", "log",
))
# fmt: on
_TABLES = (".csv", ".tsv")
_VALUES = (".json", ".yaml", ".yml", ".toml", *_TABLES)
_MODELS = (
    ".joblib", ".pkl", ".pickle", ".onnx", ".pt", ".pth", ".safetensors", ".h5", ".hdf5", ".keras",
    ".ckpt", ".cbm", ".ubj", ".pb", ".tflite", ".gguf", ".model", ".npz", ".mlmodel",
)  # fmt: skip
SUFFIXES = (*_VALUES, *_MODELS)
"""What a string in a script must end with to be taken for the name of a file."""

_PARAM_STEMS = ("params", "hparams", "hyperparameters", "hyperparams")
_PARAM_SUFFIXES = (".yaml", ".yml", ".json", ".toml")

# Direction by name, only for a first proposal; comparing has its own, longer table.
_HIGHER = ("accuracy", "auc", "f1", "precision", "recall", "r2", "map", "bleu")
_LOWER = ("loss", "rmse", "mse", "mae", "perplexity", "wer")


def words(name: str) -> frozenset[str]:
    """`train-model_v2.py` → train, model, v2, py."""
    return frozenset(part for part in re.split(r"[^a-z0-9]+", name.lower()) if part)


def turn(service: str, command: frozenset[str] = frozenset()) -> int:
    """When a stage has its turn, where nothing else says so: data first, judging last."""
    for tokens in (words(service), command):
        if tokens & _LATE_WORDS:
            return 2
        if tokens & _EARLY_WORDS:
            return 0
    return 1


def kind(path: str) -> Kind | None:
    """What a file that a stage writes is for, by its name; None where the name doesn't tell."""
    file = PurePosixPath(path)
    stem = words(file.stem)
    suffix = file.suffix.lower()
    if suffix in _MODELS:
        return "outputs"
    if suffix in (*_TABLES, ".json") and stem & _PLOT_WORDS:
        return "plots"
    if suffix in _VALUES and stem & _METRIC_WORDS:
        return "metrics"
    return (
        "outputs" if stem & {"model", "weights"} and suffix in (".json", ".txt", ".bin") else None
    )


def is_params(path: str, *, mounted: bool = False) -> bool:
    """Whether a file holds hyperparameters, by its name; one that is mounted by itself may also
    be called config or settings.
    """
    file = PurePosixPath(path)
    stems = (*_PARAM_STEMS, "config", "settings") if mounted else _PARAM_STEMS
    return file.stem.lower() in stems and file.suffix.lower() in _PARAM_SUFFIXES


def goal(metric: str) -> Literal["maximize", "minimize"] | None:
    """Which direction of a metric is better, where its name leaves no doubt."""
    parts = words(metric.rsplit(".", 1)[-1])
    higher, lower = parts & set(_HIGHER), parts & set(_LOWER)
    if bool(higher) == bool(lower):
        return None
    return "maximize" if higher else "minimize"
