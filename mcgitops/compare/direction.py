"""Which way a metric is better: as the project says, as the framework's own word says, by name.

A name tells only where it ends in a known measure, once words that merely qualify it are taken
away: `val_accuracy` and `recall_at_5` do, `accuracy_std` and `loss_scale` don't. Unknown names stay
neutral: a wrong arrow is worse than none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from mcgitops.compare.model import Direction

_HIGHER = """
accuracy acc balanced_accuracy top_accuracy f1 fbeta precision recall sensitivity specificity
tpr tnr auc auroc auprc roc_auc pr_auc average_precision ap map r2 r_squared
explained_variance iou miou jaccard dice bleu rouge meteor ndcg mrr hit_rate kappa mcc
matthews_corrcoef likelihood log_likelihood elbo ssim psnr silhouette rand adjusted_rand nmi
pearson spearman pearsonr spearmanr throughput win_rate pass success_rate reward
"""
_LOWER = """
loss logloss log_loss cross_entropy crossentropy nll negative_log_likelihood deviance hinge
error err mse rmse mae mape smape msle rmsle medae absolute_error squared_error error_rate
perplexity ppl wer cer ter brier ece calibration_error fpr fnr false_positive_rate
false_negative_rate fid kid latency regret
"""
_QUALIFIERS = """
train training val valid validation test testing eval evaluation dev holdout cv mean avg
average macro micro weighted samples ovr ovo final best last epoch step batch running total
score scores metric value pct percent percentage at k overall all class per topk top
p50 p90 p95 p99 p999 median ms us ns sec seconds
"""
HIGHER = frozenset(_HIGHER.split())
LOWER = frozenset(_LOWER.split())
QUALIFIERS = frozenset(_QUALIFIERS.split())
_ENDS = frozenset(name.rpartition("_")[2] for name in HIGHER | LOWER)
_GOALS: dict[str, Direction] = {"maximize": "higher", "minimize": "lower", "neutral": ""}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")
_NEGATED = ("neg_", "negative_mean", "negative_root", "negative_median")


@lru_cache(maxsize=65536)
def direction(
    name: str, goal: Literal["maximize", "minimize", "neutral"] | None = None
) -> Direction:
    """The direction of the metric called `name`; an explicit `goal` decides."""
    if goal is not None:
        return _GOALS[goal]
    words = _words(name)
    joined = "_".join(words)
    if "neg" in joined and any(f"_{negated}" in f"_{joined}" for negated in _NEGATED):
        return "higher"  # scikit-learn negates losses so that higher is better
    measure = _measure(words)
    if measure in HIGHER:
        return "higher"
    return "lower" if measure in LOWER else ""


def measure_of(name: str) -> tuple[str, list[str]]:
    """The known measure that a metric is of ("" where none), and all words of its name."""
    words = _words(name)
    return _measure(words), words


def _words(name: str) -> list[str]:
    name = name[:200]
    lower = name.lower()
    if lower != name:
        lower = _CAMEL.sub(" ", name).lower()  # valLoss, rocAUC
    return _WORD.findall(lower)


def _measure(words: list[str]) -> str:
    """The known measure at the end of the words, after qualifiers and numbers; else ""."""
    while words and (words[-1] in QUALIFIERS or words[-1].isdigit()):
        words = words[:-1]
    if not words or words[-1] not in _ENDS:
        return ""
    for length in (3, 2, 1):
        tail = "_".join(words[-length:])
        if len(words) >= length and (tail in HIGHER or tail in LOWER):
            return tail
    return ""
