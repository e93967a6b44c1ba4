"""Each format, on files that the usual writers wrote; and what is wrong with a file."""

from __future__ import annotations

import csv
import io
import json
import math
import re

import pytest
import tomli_w
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcgitops.metrics import read, read_params
from mcgitops.metrics.readers import ENDINGS

SIGNED_EXPONENT = re.compile(r"[-+]?[0-9.]+[eE][-+][0-9]+")  # which PyYAML writes unquoted

NESTED = {"macro avg": {"f1": 0.5, "support": 30}, "ok": True, "name": "rf", "per": [0.1, 0.2]}
FLAT = {
    "macro avg.f1": 0.5,
    "macro avg.support": 30,
    "ok": True,
    "name": "rf",
    "per.0": 0.1,
    "per.1": 0.2,
}


def values(path: str, content: str | bytes) -> dict:
    reading = read(path, stream(content))
    assert reading.warnings == ()
    return dict(reading.values)


def stream(content: str | bytes) -> io.BytesIO:
    return io.BytesIO(content.encode() if isinstance(content, str) else content)


def warning(path: str, content: str | bytes) -> str:
    """The one sentence about a file of which nothing is taken."""
    reading = read(path, stream(content))
    assert reading.values == {}
    assert len(reading.warnings) == 1
    return reading.warnings[0]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("m.json", json.dumps(NESTED)),
        ("m.json", "\ufeff" + json.dumps(NESTED, indent=2)),
        ("m.yaml", yaml.safe_dump(NESTED)),
        ("m.YML", yaml.safe_dump(NESTED, default_flow_style=True)),
        ("m.toml", tomli_w.dumps(NESTED)),
    ],
)
def test_nested_keys_are_flattened(path, content):
    assert values(path, content) == FLAT


def test_booleans_stay_booleans():
    assert values("m.json", '{"a": true, "b": 1}') == {"a": True, "b": 1}
    assert values("m.json", '{"a": true}')["a"] is True


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("m.json", json.dumps({"a": math.nan, "b": math.inf, "c": -math.inf})),
        ("m.yaml", yaml.safe_dump({"a": math.nan, "b": math.inf, "c": -math.inf})),
        ("m.toml", tomli_w.dumps({"a": math.nan, "b": math.inf, "c": -math.inf})),
        ("m.csv", "a,b,c\nnan,inf,-inf\n"),
    ],
)
def test_nan_and_infinities_are_kept(path, content):
    found = values(path, content)
    assert math.isnan(found["a"])
    assert (found["b"], found["c"]) == (math.inf, -math.inf)


def test_a_bare_number_is_named_after_its_file():
    assert values("out/accuracy.json", "0.93") == {"accuracy": 0.93}


def test_null_is_a_value():
    assert values("m.json", '{"a": null}') == {"a": None}


def test_yaml_reads_exponents_as_the_numbers_that_they_are():
    assert values("m.yaml", "lr: 1e-3\nwd: -5E+4\nsha: 12e5\n") == {
        "lr": 0.001,
        "wd": -50000.0,
        "sha": "12e5",
    }


def test_yaml_dates_become_text_and_anchors_work():
    text = "day: 2024-05-01\nbase: &b {lr: 1}\nmore: {<<: *b, x: 2}\n"
    assert values("p.yaml", text) == {
        "day": "2024-05-01",
        "base.lr": 1,
        "more.lr": 1,
        "more.x": 2,
    }


def test_yaml_constructs_no_objects():
    assert "not valid YAML" in warning("m.yaml", "a: !!python/object/apply:os.system ['true']")


def test_a_history_gives_the_last_row():
    text = "epoch,loss,phase\n1,0.5,train\n2,0.25,train\n3,0.125,val\n"
    assert values("h.csv", text) == {"epoch": 3, "loss": 0.125}
    assert values("h.tsv", text.replace(",", "\t")) == {"epoch": 3, "loss": 0.125}


def test_sparse_rows_give_the_last_value_of_each_column():
    assert values("h.csv", "step,train_loss,val_loss\n1,0.5,\n1,,0.6\n2,0.4,\n") == {
        "step": 2,
        "train_loss": 0.4,
        "val_loss": 0.6,
    }


def test_a_table_of_one_row_keeps_its_text():
    assert values("m.csv", 'model,acc\n"rf, big",0.9\n') == {"model": "rf, big", "acc": 0.9}


def test_long_lists_are_summarised():
    assert values("m.json", json.dumps({"roc": [0.5] * 99 + [2, 1]})) == {
        "roc.count": 101,
        "roc.first": 0.5,
        "roc.last": 1,
        "roc.min": 0.5,
        "roc.max": 2,
    }


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("m.json", "", "is empty"),
        ("m.json", '{"a": 1', "It seems to be cut off"),
        ("m.json", "{'a': 1}", "is not valid JSON"),
        ("m.json", b"\xff\xfe\x00", "is not UTF-8 text"),
        ("m.json", "[" * 100_000, "nested too deeply"),
        ("m.json", "{}", "holds no values"),
        ("m.yaml", "a: [1, 2", "is not valid YAML"),
        ("m.yaml", "[" * 100_000, "nested too deeply"),
        ("m.yaml", "? [1]\n: 2", "is not valid YAML"),
        ("m.yaml", "day: 2024-99-99", "is not valid YAML"),
        ("m.yaml", "a: \x00", "is not valid YAML"),
        ("m.toml", "a = ", "is not valid TOML"),
        ("m.toml", "a = " + "[" * 5000, "nested too deeply"),
        ("m.toml", "a = " + "9" * 5000, "is not valid TOML"),
        ("m.csv", "", "is empty"),
        ("m.csv", "a,b\n", "has a header and no rows"),
        ("m.csv", "1,2\n3,4\n", "has no header row"),
        ("m.csv", b"a,b\n\xff,1\n", "is not UTF-8 text"),
        ("m.csv", "a\n" + "x" * 200_000, "is not valid CSV"),
        ("m.bin", "x", "the ending .bin is not known"),
        ("metrics", "x", "a file without an ending is not known"),
    ],
)
def test_what_is_wrong_is_one_sentence(path, content, said):
    text = warning(path, content)
    assert text.startswith(f"{path}: ")
    assert said in text


def test_a_yaml_bomb_is_refused_before_it_goes_off():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "expands to more values" in warning("m.yaml", "\n".join(lines))
    merges = ["a0: &a0 {x: 1}"]
    merges += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 9)]
    assert "expands to more values" in warning("m.yaml", "\n".join(merges))


def test_yaml_that_refers_to_itself_ends():
    reading = read("m.yaml", stream("a: &a [*a]\nb: 1\n"))
    assert reading.values == {"b": 1}
    assert "nested deeper" in reading.warnings[0]


def test_a_file_too_large_for_its_format_is_a_sentence():
    assert "is larger than 32 MiB" in warning("m.json", b" " * (33 << 20))


def test_duplicate_keys_are_said_and_the_last_counts():
    for path, text in [
        ("m.json", '{"a": 1, "a": 2}'),
        ("m.yaml", "a: 1\na: 2\n"),
        ("m.csv", "a,a\n1,2\n"),
        ("m.json", '{"a.b": 1, "a": {"b": 2}}'),
    ]:
        reading = read(path, stream(text))
        assert list(reading.values.values()) == [2]
        assert "more than once" in reading.warnings[0]


def test_a_history_that_was_cut_off_gives_the_row_before():
    reading = read("h.csv", stream("epoch,loss\n1,0.5\n2,0.25\n3"))
    assert reading.values == {"epoch": 2, "loss": 0.25}
    assert "as if cut off" in reading.warnings[0]


def test_a_column_that_ends_in_text_is_said():
    reading = read("h.csv", stream("epoch,loss\n1,0.5\n2,oops\n"))
    assert reading.values == {"epoch": 2}
    assert "the last value of loss, 'oops', is not a number" in reading.warnings[0]


def test_huge_integers_and_long_texts_are_cut_and_still_tell_themselves_apart():
    digits = "9" * 5000
    one = values("m.json", f'{{"n": {digits}, "t": "{"x" * 5000}a"}}')
    two = values("m.json", f'{{"n": 1{digits}, "t": "{"x" * 5000}b"}}')
    assert one["n"] != two["n"]
    assert one["t"] != two["t"]
    assert len(str(one["t"])) <= 500
    assert values("m.json", '{"n": 12345678901234567890123}') == {"n": 12345678901234567890123}


def test_more_values_than_the_limit_are_left_out_with_a_sentence():
    reading = read("m.json", stream(json.dumps({str(i): i for i in range(100_010)})))
    assert len(reading.values) == 100_000
    assert "holds more than 100000 values" in reading.warnings[0]


def test_a_long_history_is_read_as_a_stream():
    class Endless(io.RawIOBase):
        """20 MB that are nowhere in memory."""

        left = 400_000

        def readable(self):
            return True

        def readinto(self, buffer):
            if self.left <= 0:
                return 0
            line = b"1,0.5,0.25,0.125,0.0625,0.03125,0.015625,0.0078125\n"
            count = len(buffer) // len(line)
            self.left -= count
            buffer[: count * len(line)] = line * count
            return count * len(line)

    head = io.BytesIO(b"epoch,a,b,c,d,e,f,g\n")

    class Both(Endless):
        def readinto(self, buffer):
            return head.readinto(buffer) or super().readinto(buffer)

    reading = read("h.csv", io.BufferedReader(Both()))
    assert reading.values["g"] == 0.0078125
    assert reading.warnings == ()


def test_params_can_be_narrowed_to_keys():
    text = "model: {lr: 0.1, depth: 3}\nseed: 1\n"
    assert read_params("p.yaml", stream(text), ["model"]).values == {
        "model.lr": 0.1,
        "model.depth": 3,
    }
    assert read_params("p.yaml", stream(text), ["*.lr"]).values == {"model.lr": 0.1}
    lost = read_params("p.yaml", stream(text), ["sed"])
    assert lost.warnings == ("p.yaml: has no parameter sed.",)


def test_the_stream_stays_the_callers():
    source = stream("a,b\n1,2\n")
    read("m.csv", source)
    assert not source.closed


@given(st.binary(max_size=300), st.sampled_from(sorted(ENDINGS)))
@settings(max_examples=150, deadline=None)
def test_no_bytes_raise(content, ending):
    reading = read(f"m{ending}", io.BytesIO(content))
    assert reading.values or reading.warnings
    json.dumps(dict(reading.values)).encode()  # no lone surrogates


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
            lambda name: "." not in name
        ),
        st.one_of(
            st.booleans(),
            st.integers(-(10**18), 10**18),
            st.floats(allow_nan=False),
            st.text(st.characters(codec="utf-8"), max_size=50),
            st.none(),
        ),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=150, deadline=None)
def test_what_was_written_is_what_is_read(data):
    assert values("m.json", json.dumps(data)) == data
    assert values("m.json", json.dumps(data, ensure_ascii=False)) == data
    assume(not any(SIGNED_EXPONENT.fullmatch(str(text)) for item in data.items() for text in item))
    found = values("m.yaml", yaml.safe_dump(data, allow_unicode=False))
    assert {k: (type(v), v) for k, v in found.items()} == {k: (type(v), v) for k, v in data.items()}


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
@settings(deadline=None)
def test_the_last_row_that_the_csv_writer_wrote(numbers):
    text = io.StringIO()
    writer = csv.DictWriter(text, ["step", "loss, total"])
    writer.writeheader()
    for step, number in enumerate(numbers):
        writer.writerow({"step": step, "loss, total": number})
    assert values("h.csv", text.getvalue()) == {
        "step": len(numbers) - 1,
        "loss, total": numbers[-1],
    }
