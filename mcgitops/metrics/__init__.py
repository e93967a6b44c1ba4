"""Reads what training scripts leave behind: one file format a module; values, params, plots.

Nothing in here trusts a file: whatever is wrong with one ends as a sentence in `Reading.warnings`,
never as an exception and never as a silent zero.
"""

from __future__ import annotations

from mcgitops.metrics.readers import read, read_params, read_plot
from mcgitops.metrics.values import Plot, PlotReading, Reading, Scalar

__all__ = ["Plot", "PlotReading", "Reading", "Scalar", "read", "read_params", "read_plot"]
