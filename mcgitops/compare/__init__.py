"""Differences, directions and gates between two sets of runs. Pure."""

from __future__ import annotations

from mcgitops.compare.compare import compare
from mcgitops.compare.model import Comparison, Gate, MetricRule, RunView, Side

__all__ = ["Comparison", "Gate", "MetricRule", "RunView", "Side", "compare"]
