"""Which way is better: an arrow only where the name tells, or somebody said so."""

from __future__ import annotations

import pytest

from mcgitops.compare.direction import direction

HIGHER = """
accuracy val_accuracy test/acc f1 f1-score macro_avg.f1-score F1Score rocAUC roc_auc
train.top_5_accuracy recall_at_10 ndcg@10 mAP r2 R2_score validation.balanced_accuracy
precision.1 neg_mean_squared_error test_neg_log_loss eval/bleu iou mean_iou
log_likelihood average_precision accuracy_pct neg_root_mean_squared_error
"""
LOWER = """
loss val_loss valLoss log_loss test.mse rmse_mean MAE perplexity eval/wer brier_score
negative_log_likelihood bbox_loss max_error error_rate expected_calibration_error
train/loss_epoch cross_entropy
"""
NEUTRAL = """
accuracy_std loss_scale epoch step lr support macro_avg.support confusion.0.1 seconds
n_samples classes accuracy.low loss_weight map_size threshold score bias x precision_mode
"""


@pytest.mark.parametrize(
    "name",
    HIGHER.split(),
)
def test_higher_is_better(name):
    assert direction(name) == "higher"


@pytest.mark.parametrize(
    "name",
    LOWER.split(),
)
def test_lower_is_better(name):
    assert direction(name) == "lower"


@pytest.mark.parametrize(
    "name",
    [*NEUTRAL.split(), "", "🙂", "...", "1.0", "macro avg.support"],
)
def test_unknown_names_stay_neutral(name):
    assert direction(name) == ""


def test_an_explicit_goal_decides():
    assert direction("loss", "maximize") == "higher"
    assert direction("accuracy", "minimize") == "lower"
    assert direction("accuracy", "neutral") == ""
    assert direction("anything", "minimize") == "lower"
