"""Classes and confusion matrices of both sides, beside each other."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mcgitops.compare import RunView, Side, compare
from mcgitops.compare.classes import classes, matrices
from mcgitops.metrics.values import ClassRow, ClassTable, Matrix


def run(*rows: ClassRow, source: str = "r.json", **changes) -> RunView:
    values = {"stage": "train", "fingerprint": "1", "tables": (ClassTable(source, rows),)}
    return RunView(**{**values, **changes})


def test_what_lost_most_comes_first_and_a_class_may_be_on_one_side():
    before = run(
        ClassRow("a", {"recall": 0.9}, 10), ClassRow("b", {"recall": 0.9}),
        ClassRow("gone", {"recall": 0.5}), ClassRow("c", {"error": 0.1}),
    )  # fmt: skip
    after = run(
        ClassRow("a", {"recall": 0.95}, 12), ClassRow("b", {"recall": 0.8}),
        ClassRow("new", {"recall": 0.5}), ClassRow("c", {"error": 0.4}),
    )  # fmt: skip
    found = classes([before], [after])
    assert [change.name for change in found] == ["c", "b", "a", "new", "gone"]
    assert found[2].values == {"recall": (0.9, 0.95)}
    assert (found[2].base_support, found[2].head_support) == (10, 12)
    assert found[3].values == {"recall": (None, 0.5)}
    assert found[4].values == {"recall": (0.5, None)}


def test_one_run_speaks_for_a_combination_the_selected_one():
    head = [
        run(ClassRow("a", {"recall": 0.1})),
        run(ClassRow("a", {"recall": 0.2}), selected=True),
        run(ClassRow("a", {"recall": 0.3})),
        run(ClassRow("a", {"recall": 0.4}), matrix={"MODEL": "rf"}),
        run(ClassRow("a", {"recall": 0.5}), state="failed", matrix={"MODEL": "svm"}),
    ]
    found = classes([], head)
    assert [(c.variant, c.values["recall"]) for c in found] == [
        ("", (None, 0.2)),
        ("MODEL=rf", (None, 0.4)),
    ]


def test_a_matrix_has_a_base_where_the_classes_are_the_same():
    same = Matrix("m.json", ("a", "b"), ((1, 0), (0, 1)))
    other = Matrix("n.json", ("a", "c"), ((1, 0), (0, 1)))
    head = run(matrices=(same, Matrix("n.json", ("a", "b"), ((2, 0), (0, 2)))))
    found = matrices([run(matrices=(same, other))], [head])
    assert [(pair.head.source, pair.base) for pair in found] == [("m.json", same), ("n.json", None)]


def test_they_are_part_of_a_comparison():
    head = run(ClassRow("a", {"recall": 1}), matrices=(Matrix("m", ("a",), ((1.0,),)),))
    found = compare(None, Side(runs=(head,)))
    assert len(found.classes) == len(found.matrices) == 1


numbers = st.one_of(st.just(math.nan), st.floats())
rows = st.lists(
    st.builds(
        ClassRow,
        name=st.sampled_from("abcd"),
        values=st.dictionaries(st.sampled_from(["recall", "error", "x"]), numbers),
    )
)


@given(rows, rows)
def test_any_tables_can_be_compared(left, right):
    found = classes([run(*left)], [run(*right)])
    assert {c.name for c in found} == {r.name for r in (*left, *right)}
    assert len({c.name for c in found}) == len(found)
