"""Models: keys, checks, JSON and its schema."""

from __future__ import annotations

import copy
import json
import pickle

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.project.environment import Environment, Hook
from mcgitops.project.spec import Gate, MetricSpec, ProjectSpec, StageSpec
from mcgitops.store.records import FileRef, ImageRef, RunRecord
from mcgitops.typed.mistakes import ValidationError

RUN = {
    "project": "wine", "stage": "train", "fingerprint": "ab" * 32, "state": "succeeded",
    "started": "2026-01-02T03:04:05.000006+02:00", "image": {"reference": "i", "later": 1},
}  # fmt: skip
# as an earlier version wrote it, with its library
WRITTEN = (
    '{"format":1,"project":"wine","stage":"train","fingerprint":"' + "ab" * 32 + '",'
    '"state":"succeeded","matrix":{},"replicate":{"SEED":"0"},"exit_code":0,"commit":"",'
    '"dirty":false,"started":"2026-01-02T03:04:05.120000Z","image":{"reference":"i","digest":"",'
    '"size":null,"base":""},"resources":{"wall_seconds":0.00001,"cpu_seconds":2e-6,'
    '"peak_memory_bytes":null,"peak_memory_sampled":false},"facts":{"a/\\"b\\"":"é\\u001f"},'
    '"metrics":{"m.json":{"nan":{"float":"nan"},"inf":{"float":"-inf"},"big":2e+16,'
    '"small":-1.5e-7,"whole":5,"one":1.0,"no":null,"yes":true}},"params":{},"checks":[],'
    '"plots":[],"outputs":[{"path":"out/m.bin","digest":"sha256:0","size":3,"executable":true}],'
    '"metric_files":[],"predictions":[],"manifests":[],"upstream":{},"warnings":[],"log":null,'
    '"log_tail":["1e-05"],"tool":""}'
)


def test_a_record_is_written_as_it_was_byte_by_byte():
    record = RunRecord.model_validate(json.loads(WRITTEN))
    assert record.model_dump_json() == WRITTEN
    assert json.loads(record.model_dump_json(indent=2)) == json.loads(WRITTEN)
    assert record.model_dump() == json.loads(WRITTEN)


@given(st.dictionaries(st.text(max_size=5), st.floats() | st.integers() | st.text() | st.none()))
def test_a_record_comes_back_as_it_was(values):
    record = RunRecord.model_validate({**RUN, "metrics": {"m.json": values}})
    text = record.model_dump_json()
    again = RunRecord.model_validate(json.loads(text))
    assert repr(again) == repr(record)  # NaN isn't equal to itself
    assert again.model_dump_json() == text


def test_all_mistakes_of_an_object_are_named_and_unknown_keys_last():
    with pytest.raises(ValidationError) as caught:
        ProjectSpec.model_validate({
            "stor": "x",
            "checks": "maybe",
            "environments": {"a": {}, "b": {"hosts": [1]}},
        })  # fmt: skip
    assert [(one.kind, one.place) for one in caught.value.mistakes] == [
        ("literal_error", ("checks",)),
        ("missing", ("environments", "a", "hosts")),
        ("string_type", ("environments", "b", "hosts", 0)),
        ("extra_forbidden", ("stor",)),
    ]


def test_checks_of_the_whole_wait_until_its_keys_are_right():
    with pytest.raises(ValidationError, match="names no bound"):
        Gate()
    with pytest.raises(ValidationError) as caught:
        Gate(min="x")
    assert [one.kind for one in caught.value.mistakes] == ["float_parsing"]


def test_text_loses_its_blanks_but_not_in_the_arguments_of_a_hook():
    assert StageSpec(metrics=[" a "], matrix={" A ": [" x "]}).matrix == {"A": ("x",)}
    assert Hook(run=["echo", " a "], on="local").run == ("echo", " a ")


def test_an_object_is_a_value():
    one = MetricSpec(goal="maximize", gate={"min": 1})
    assert one == MetricSpec.model_validate({"goal": "maximize", "gate": Gate(min=1)})
    assert hash(one) == hash(copy.deepcopy(one))
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != one.model_copy(update={"goal": None})
    assert one.gate is MetricSpec.model_validate(one).gate
    with pytest.raises(AttributeError, match="can't be changed"):
        one.goal = "minimize"
    with pytest.raises(AttributeError, match="can't be removed"):
        del one.goal


def test_defaults_are_not_shared():
    first, second = (RunRecord.model_validate(RUN) for _ in range(2))
    assert first.metrics == {}
    assert first.metrics is not second.metrics
    assert StageSpec().matrix is not StageSpec().matrix


def test_what_is_so_anyway_can_be_left_out():
    spec = ProjectSpec(metrics={"a": {"goal": "maximize"}})
    assert spec.model_dump(exclude_defaults=True) == {"metrics": {"a": {"goal": "maximize"}}}


def test_a_path_out_of_the_project_is_refused_in_a_record():
    file = FileRef(path="../x", digest="sha256:0", size=0)
    with pytest.raises(ValidationError, match="no path inside"):
        RunRecord(**{**RUN, "image": ImageRef(reference="i")}, outputs=(file,))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "hosts": st.lists(st.sampled_from(["ssh://a", "ssh://u@b:22", "local://"]),
                              unique=True, min_size=1),
            "parallel": st.integers(1, 9) | st.just("all"),
            "retain": st.integers(2, 9),
            "canary": st.none() | st.integers(1, 3),
            "monitor": st.sampled_from(["30s", "1h30m"]),
            "hooks": st.just({"before_commit": [{"run": ["true"], "on": "host"}]}),
            "trigger": st.sampled_from([{"tag": "v*"}, {"branch": "main"}]),
        },
    )
)  # fmt: skip
def test_the_schema_accepts_what_the_model_does(data):
    schema = Environment.model_json_schema()
    valid = jsonschema.Draft202012Validator(schema).is_valid
    assert valid(data) == ("hosts" in data)
    if "hosts" in data:
        made = Environment.model_validate(data)
        assert valid(made.model_dump())
        assert Environment.model_validate(made.model_dump()) == made
