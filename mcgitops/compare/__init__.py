"""Differences, directions and gates between two sets of runs. Pure.

Its names are imported when they are first asked for: a list of runs needs its numbers only, and the
models of a comparison would be a tenth of the time that it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcgitops.compare.compare import compare
    from mcgitops.compare.model import Comparison, Gate, MetricRule, RunView, Side

__all__ = ["Comparison", "Gate", "MetricRule", "RunView", "Side", "compare"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "compare":
        from mcgitops.compare.compare import compare

        # the import has put the module of that name here
        globals()[name] = compare
        return compare
    from mcgitops.compare import model

    return getattr(model, name)
