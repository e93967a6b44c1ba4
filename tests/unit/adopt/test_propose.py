"""Which services are proposed as stages, and with which keys."""

from __future__ import annotations

import pytest

from mcgitops.adopt import names
from mcgitops.adopt.propose import propose, size

OUT = ["./out:/app/out"]


def test_a_one_shot_training_service_gets_what_lies_in_its_folder(seen):
    proposal = propose(
        seen(
            {"train": {"volumes": OUT}, "web": {"ports": [{"target": 80}]}},
            files={
                "out/metrics.json": ("accuracy", "loss"),
                "out/model.joblib": (),
                "out/history.csv": (),
                "out/notes.txt": (),
            },
        )
    )
    (stage,) = proposal.stages
    assert stage.spec.metrics == ("out/metrics.json",)
    assert stage.spec.outputs == ("out/model.joblib",)
    assert stage.spec.plots == ("out/history.csv",)
    assert stage.reasons["out/metrics.json"] == "holds accuracy, loss"
    assert proposal.ordinary == ("web",)
    assert {name: spec.goal for name, spec in proposal.metrics.items()} == {
        "accuracy": "maximize",
        "loss": "minimize",
    }


@pytest.mark.parametrize(
    "serving",
    [
        {"ports": [{"target": 80}]},
        {"healthcheck": {"test": ["CMD", "true"]}},
        {"restart": "unless-stopped"},
        {"restart": "always"},
    ],
)
def test_what_serves_is_no_stage_even_if_its_name_says_so(seen, serving):
    facts = seen({"train-api": {"volumes": OUT, **serving}}, files={"out/model.pkl": ()})
    assert propose(facts).stages == ()
    assert propose(facts).ordinary == ("train-api",)


def test_a_command_can_tell_a_stage_where_the_name_does_not(seen):
    facts = seen(
        {"job": {"command": ["python3", "-u", "fit.py"], "volumes": OUT}},
        files={"out/model.pkl": ()},
    )
    (stage,) = propose(facts).stages
    assert "its command (fit)" in stage.why


def test_a_value_of_an_option_is_not_taken_for_the_program(seen):
    facts = seen(
        {"migrate": {"command": ["manage", "db", "upgrade", "--then", "train"], "volumes": OUT}},
        files={"out/model.pkl": ()},
    )
    assert propose(facts).stages == ()


def test_a_service_that_another_waits_for_is_a_stage_only_if_it_writes_in_the_folder(seen):
    waiting = {"depends_on": ["job"], "volumes": ["./out:/app/out:ro"]}
    writes = seen({"job": {"volumes": OUT}, "web": waiting}, files={"out/model.pkl": ()})
    assert [stage.service for stage in propose(writes).stages] == ["job"]
    migrates = seen({"job": {"volumes": ["data:/x"]}, "web": waiting})
    assert propose(migrates).stages == ()


def test_two_stages_share_a_folder_and_each_gets_its_own_files(seen):
    facts = seen(
        {
            "evaluate": {"volumes": OUT, "depends_on": ["train"]},
            "train": {"volumes": OUT},
        },
        files={"out/metrics.json": ("loss",), "out/eval.json": ("auc",), "out/model.pkl": ()},
        named={"evaluate": ("out/model.pkl",), "train": ("out/model.pkl",)},
    )
    by_name = {stage.service: stage.spec for stage in propose(facts).stages}
    assert by_name["train"].outputs == ("out/model.pkl",)
    assert by_name["train"].metrics == ("out/metrics.json",)
    assert by_name["evaluate"].metrics == ("out/eval.json",)
    assert by_name["evaluate"].outputs == ()


def test_a_reader_without_depends_on_is_told_and_comes_after_the_writer(seen):
    facts = seen(
        {"score": {"volumes": OUT}, "train": {"volumes": OUT}},
        files={"out/model.pkl": (), "out/eval.json": ("auc",)},
        named={"score": ("out/model.pkl", "out/eval.json"), "train": ("out/model.pkl",)},
    )
    proposal = propose(facts)
    assert [stage.service for stage in proposal.stages] == ["train", "score"]
    assert proposal.stages[1].waits_for == ("train",)
    assert any("doesn't depend on it" in note for note in proposal.notes)


def test_a_stage_that_can_write_nowhere_is_named_with_the_remedy(seen):
    proposal = propose(seen({"train": {"volumes": ["models:/models"]}}))
    assert proposal.stages == ()
    assert "./out:/app/out" in proposal.notes[0]


def test_metrics_without_a_number_are_not_proposed(seen):
    facts = seen({"train": {"volumes": OUT}}, files={"out/results.json": (), "out/model.pkl": ()})
    assert propose(facts).stages[0].spec.metrics == ()


def test_params_are_proposed_where_the_stage_can_read_them(seen):
    build = {"build": {"context": "/nowhere/shop"}, "volumes": OUT}
    files = {"out/model.pkl": ()}
    read = propose(seen({"train": build}, files=files, params=("params.yaml",)))
    assert read.stages[0].spec.params == ("params.yaml",)
    not_read = propose(
        seen({"train": {"image": "x", "volumes": OUT}}, files=files, params=("params.yaml",))
    )
    assert not_read.stages[0].spec.params == ()


def test_deciding_twice_gives_the_same(seen):
    facts = seen(
        {"train": {"volumes": OUT}, "eval": {"volumes": OUT}},
        files={"out/eval.json": ("auc",), "out/model.pkl": (), "out/metrics.json": ("loss",)},
    )
    assert propose(facts) == propose(facts)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("out/metrics.json", "metrics"),
        ("out/eval_metrics.yaml", "metrics"),
        ("model.safetensors", "outputs"),
        ("training_history.csv", "plots"),
        ("train_loss.tsv", "plots"),
        ("model.json", "outputs"),
        ("data.csv", None),
        ("notes.txt", None),
        ("", None),
    ],
)
def test_names_of_files_tell_what_they_are_for(path, kind):
    assert names.kind(path) == kind


@pytest.mark.parametrize(
    ("metric", "goal"),
    [
        ("accuracy", "maximize"),
        ("val.log_loss", "minimize"),
        ("f1", "maximize"),
        ("precision_loss", None),
        ("n_rows", None),
    ],
)
def test_a_direction_is_proposed_only_where_the_name_leaves_no_doubt(metric, goal):
    assert names.goal(metric) == goal


def test_sizes_read_well():
    assert [size(n) for n in (0, 999, 1500, 250_000, 11_200_000, 3_000_000_000)] == [
        "0 B", "999 B", "1.5 kB", "250 kB", "11.2 MB", "3.0 GB",
    ]  # fmt: skip
