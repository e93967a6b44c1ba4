"""Series for plots: which column is x, sparse rows, thinning."""

from __future__ import annotations

import io
import json

import pytest

from mcgitops.metrics import read_plot
from mcgitops.metrics.formats.series import MAX_POINTS


def plot(path: str, content: str):
    reading = read_plot(path, io.BytesIO(content.encode()))
    assert reading.warnings == ()
    assert reading.plot is not None
    return reading.plot


def test_x_is_the_first_of_step_epoch_iteration():
    found = plot("h.csv", "loss,epoch,step\n0.5,1,10\n0.25,2,20\n")
    assert (found.x, found.xs, found.series) == ("step", (10, 20), {"loss": (0.5, 0.25)})
    assert plot("h.csv", "Epoch,loss\n3,0.5\n4,0.25\n").x == "Epoch"


def test_without_one_the_rows_are_numbered():
    found = plot("h.tsv", "loss\tacc\n0.5\t0.1\n0.25\t0.2\n")
    assert (found.x, found.xs) == ("row", (0, 1))


def test_sparse_rows_leave_gaps():
    found = plot("h.csv", "step,a,b\n1,0.5,\n1,,0.6\n")
    assert found.series == {"a": (0.5, None), "b": (None, 0.6)}


@pytest.mark.parametrize(
    "data",
    [
        [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}],
        {"epoch": [1, 2], "loss": [0.5, 0.25]},
        {"log_history": [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}], "best": "x"},
    ],
)
def test_json_as_rows_as_lists_and_below_one_key(data):
    found = plot("h.json", json.dumps(data))
    assert (found.x, found.xs, found.series) == ("epoch", (1, 2), {"loss": (0.5, 0.25)})


def test_a_long_history_is_thinned_and_keeps_both_ends():
    rows = "".join(f"{i},{i * 2}\n" for i in range(123_457))
    found = plot("h.csv", f"step,loss\n{rows}")
    assert MAX_POINTS <= len(found.xs) <= 2 * MAX_POINTS + 2
    assert (found.xs[0], found.xs[-1]) == (0, 123_456)
    assert found.series["loss"][-1] == 246_912
    assert list(found.xs) == sorted(found.xs)


def test_what_has_no_series_says_so():
    reading = read_plot("h.json", io.BytesIO(b'{"a": 1}'))
    assert reading.plot is None
    assert "holds no series" in reading.warnings[0]
