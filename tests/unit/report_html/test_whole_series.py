"""The way of whole series from a file to the page: up to 10,000 points, and bounded."""

from __future__ import annotations

import io

from mcgitops.compare import RunView, Side, compare
from mcgitops.compare.curves import MOST_CURVES, MOST_PAIRS
from mcgitops.metrics import Plot, read_plot
from mcgitops.metrics.formats import series
from mcgitops.report import json_view
from mcgitops.report.build import build


def view(*plots: Plot, commit: str = "a") -> Side:
    return Side(commit, runs=(RunView("train", commit * 64, selected=True, plots=plots),))


def csv(rows: int, columns: int) -> Plot:
    head = "step," + ",".join(f"c{i}" for i in range(columns))
    body = "".join(f"{row}{',0.5' * columns}\n" for row in range(rows))
    plot = read_plot("h.csv", io.BytesIO(f"{head}\n{body}".encode())).plot
    assert plot is not None
    return plot


def test_ten_thousand_points_are_kept_as_they_are():
    assert csv(10_000, 2).xs == tuple(range(10_000))
    assert series.MAX_CELLS // 51 >= series.MAX_POINTS  # of 50 series and their axis, too
    assert len(csv(10_001, 2).xs) <= 5_002


def test_a_file_with_many_columns_keeps_fewer_points():
    assert len(csv(3000, 200).xs) <= 2 * series.MAX_CELLS // 200 + 1
    assert len(csv(3000, 2000).xs) <= 2 * series.LEAST_POINTS + 1


def test_both_sides_stand_beside_each_other_without_a_copy():
    head = Plot("h.csv", "step", (0.0, 1.0, 2.0), {"loss": (3.0, 2.0, 1.0), "lr": (1.0, 1.0, 1.0)})
    base = Plot("h.csv", "step", (0.0, 5.0), {"loss": (4.0, 2.0)})
    loss, lr = compare(view(base, commit="b"), view(head)).plots
    assert (loss.series, loss.x, loss.stage, loss.plot) == ("loss", "step", "train", "h.csv")
    assert loss.head_xs is head.xs
    assert loss.head is head.series["loss"]
    assert (loss.base_xs, loss.base) == (base.xs, (4.0, 2.0))
    assert (lr.base_xs, lr.base) == ((), ())


def test_another_axis_is_no_base():
    head = Plot("h.csv", "step", (0.0, 1.0), {"loss": (3.0, 2.0)})
    base = Plot("h.csv", "epoch", (0.0, 1.0), {"loss": (3.0, 2.0)})
    (pair,) = compare(view(base, commit="b"), view(head)).plots
    assert pair.base == ()


def test_validation_comes_first_and_there_is_an_end():
    names = [f"s{i}" for i in range(300)]
    plot = Plot("h.csv", "step", (0.0, 1.0), dict.fromkeys((*names, "val_loss"), (0.0, 1.0)))
    report = build("wine", compare(None, view(plot)))
    assert len(report.plots) == MOST_PAIRS
    assert len(report.curves) == MOST_CURVES
    assert report.plots[0].series == report.curves[0].series == "val_loss"
    assert "plots" not in json_view.to_data(report)
