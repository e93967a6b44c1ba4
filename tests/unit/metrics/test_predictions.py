"""Files of predictions: which columns are which, and which files are refused as a whole."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.metrics import detect, predictions
from mcgitops.metrics.files import Folder
from mcgitops.metrics.predictions import Columns, Predictions, looks_like
from mcgitops.metrics.values import UnreadableError, Warnings

PLAIN = "id,y_true,y_pred,y_score,slice_age\n1,0,1,0.7,old\n2,1,1,0.9,young\n"


def read(text: str | bytes, path: str = "p.csv", columns: Columns | None = None) -> Predictions:
    data = text if isinstance(text, bytes) else text.encode()
    return predictions.read(path, io.BytesIO(data), Warnings(), columns)


def test_columns_are_known_by_their_names():
    found = read(PLAIN)
    assert found == Predictions(
        ("0", "1"), ("1", "1"), (0.7, 0.9), ("1", "2"), None, {"slice_age": ("old", "young")}
    )
    assert read(PLAIN.replace(",", "\t"), "p.tsv") == found


def test_json_lines():
    text = (
        '{"id": 1, "label": true, "prediction": 1, "slices": {"age": "old"}, "tokens": [1]}\n'
        '\n{"id": 2, "label": false, "prediction": 0.0, "slices": {"age": "young"}}\n'
    )
    found = read(text, "p.jsonl")
    assert (found.truth, found.prediction) == (("true", "false"), ("1", "0"))
    assert (found.ids, found.slices) == (("1", "2"), {"age": ("old", "young")})


def test_declared_columns():
    text = "uid;x,answer,guess,who,segment\na,cat,dog,p1,s\nb,dog,dog,p2,t\n"
    columns = Columns(truth="answer", prediction="guess", group="who", slices=("segment",),
                      positive="cat")  # fmt: skip
    found = read(text, columns=columns)
    assert (found.truth, found.groups, found.positive) == (("cat", "dog"), ("p1", "p2"), "cat")
    with pytest.raises(UnreadableError, match="has no column nope"):
        read(text, columns=Columns(truth="nope"))


@pytest.mark.parametrize(
    ("truth", "prediction", "task"),
    [
        ("1", "0", "classification"), ("1.0", "2", "classification"),
        ("cat", "2.5", "classification"),
        ("1", "0.5", "regression"), ("-1e3", "1.5", "regression"), ("nan", "0.5", "regression"),
    ],
)  # fmt: skip
def test_numbers_that_aren_t_whole_are_a_regression(truth, prediction, task):
    assert read(f"y_true,y_pred\n{truth},{prediction}\n").task == task


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column of truths"),
        ("y_true,y_pred\n", "holds no examples"),
        ("y_true,y_pred\n1,0\n1", "row 3 has 1 cells instead of 2; is it cut off?"),
        ("y_true,y_pred\n1,\n", "row 2 has no y_pred"),
        ("y_true,y_pred,y_pred\n1,0,0\n", "names a column twice"),
        ("y_true\n1\n", "no column of predictions"),
        (b"y_true,y_pred\n\xff,1\n", "not UTF-8"),
    ],
)
def test_what_isn_t_complete_is_refused(text, said):
    with pytest.raises(UnreadableError, match=said.replace("?", r"\?")):
        read(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"label": 1, "pred": 1}\n{"label": 1, "pr', "line 2 is not JSON; is it cut off?"),
        ("[1]\n", "line 1 is not an object"),
        ('{"label": 1, "pred": 1}\n{"label": 1}\n', "row 2 has no pred"),
    ],
)
def test_what_isn_t_complete_is_refused_as_lines(text, said):
    with pytest.raises(UnreadableError, match=said.replace("?", r"\?")):
        read(text, "p.jsonl")


def test_more_examples_than_are_compared(monkeypatch):
    monkeypatch.setattr(predictions, "MOST_EXAMPLES", 3)
    with pytest.raises(UnreadableError, match="more than 3 examples"):
        read("y_true,y_pred\n" + "1,0\n" * 4)
    monkeypatch.setattr(predictions, "MOST_BYTES", 10)
    with pytest.raises(UnreadableError, match="is larger than"):
        read(PLAIN)


def test_scores_and_ids_that_can_t_be_used_are_said():
    warnings = Warnings()
    text = b"id,y_true,y_pred,score\n1,0,1,0.5\n1,0,1,nan\n"
    found = predictions.read("p.csv", io.BytesIO(text), warnings)
    assert (found.score, found.ids) == (None, None)
    assert warnings.all() == (
        "score isn't a number in 1 rows: no scores are compared.",
        "id names an example twice: rows are joined by their order.",
    )


@pytest.mark.parametrize(
    ("path", "head", "found"),
    [
        ("p.csv", b"y_true,y_pred\n", True),
        ("p.csv", b"index,label,prediction,x\n0", True),
        ("p.jsonl", b'{"target": 1, "pred": 2}\n', True),
        ("p.csv", b"epoch,loss,val_loss\n", False),
        ("p.csv", b"prediction\n", False),
        ("p.txt", b"y_true,y_pred\n", False),
        ("p.jsonl", b'{"target": 1, "pr', False),
        ("p.csv", b"\xff\xfe\x00", False),
    ],
)
def test_what_looks_like_predictions(path, head, found):
    assert looks_like(path, head) is found


def test_predictions_are_no_history_of_metrics(tmp_path):
    (tmp_path / "predictions.csv").write_text(PLAIN)
    (tmp_path / "loss.csv").write_text("step,loss\n0,1\n1,0.5\n")
    found = detect.find(Folder.of(tmp_path))
    assert set(found.metrics) == {"loss.csv"}
    assert not found.warnings


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
       st.sampled_from(["p.csv", "p.tsv", "p.jsonl", "p.bin"]), st.booleans())  # fmt: skip
def test_nothing_but_a_sentence_comes_of_any_bytes(data, path, headed):
    if headed:
        data = b"y_true,y_pred\n" + data
    try:
        found = read(data, path)
    except UnreadableError as error:
        assert str(error)
    else:
        assert len(found) >= 1
    looks_like(path, data)
