"""Lines are inserted and nothing else changes, however the compose file is written."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcgitops.adopt.lines import insert, insertions, only_inserts, stage_lines
from mcgitops.adopt.model import Proposal, Stage
from mcgitops.adopt.write import without_ours
from mcgitops.project.spec import MetricSpec, StageSpec

STAGE = Stage(
    "train",
    StageSpec(metrics=("out/metrics.json",), outputs=("out/model.pkl",)),
    "its name",
    {"out/metrics.json": "holds auc"},
    seed="SEED",
)
PROPOSAL = Proposal(stages=(STAGE,), metrics={"auc": MetricSpec(goal="maximize")})

FILES = {
    "last service": "services:\n  train:\n    image: x\n",
    "no newline at the end": "services:\n  train:\n    image: x",
    "windows line endings": "services:\r\n  train:\r\n    image: x\r\n  web:\r\n    image: y\r\n",
    "followed by another": "services:\n  train:\n    image: x\n\n  # web\n  web:\n    image: y\n",
    "comment inside": "services:\n  train:\n    image: x\n    # of train\n  web:\n    image: y\n",
    "block scalar": (
        "services:\n  train:\n    command: |\n      a\n\n      # not a comment\n\n\n"
        "  web:\n    image: y\n"
    ),
    "folded at the end": "services:\n  train:\n    command: >\n      a\n      b\n\n",
    "list at the end": "services:\n  train:\n    volumes:\n    - a:/b\n    - c:/d\nname: a\n",
    "flow list": "services:\n  train:\n    volumes: [a:/b,\n      c:/d]\nvolumes: {a: }\n",
    "anchor": "services:\n  train: &t\n    image: x\n  web:\n    image: y\n",
    "merge key": "x-a: &a\n  image: x\nservices:\n  train:\n    <<: *a\n    command: b\n",
    "wide indentation": "services:\n        train:\n                image: x\n# end\n",
    "indented comment after": "services:\n  train:\n    image: x\n        # deeper\nname: a\n",
    "quoted name": "services:\n  'train':\n    image: x\n",
    "document end": "---\nservices:\n  train:\n    image: x\n",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_the_file_means_the_same_and_has_our_keys(text):
    additions, homeless = insertions(text, PROPOSAL, "shop")
    after = insert(text, additions)
    assert homeless == []
    assert only_inserts(text, after)
    loaded = yaml.safe_load(after)
    assert without_ours(loaded) == yaml.safe_load(text)
    assert loaded["services"]["train"]["x-mcgitops"] == {
        "metrics": ["out/metrics.json"],
        "outputs": ["out/model.pkl"],
    }
    assert loaded["x-mcgitops"] == {"metrics": {"auc": {"goal": "maximize"}}}
    assert ("\r\n" in text) == ("\r\n" in after)
    assert "\n\r" not in after.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "text",
    [
        "services: {train: {image: x}}\n",
        "services:\n  train: {image: x}\n",
        "x-a: &a\n  image: x\nservices:\n  train: *a\n",
        "services:\n  web:\n    image: x\n",
        "include: [other.yml]\n",
        "services:\n",
        "",
    ],
)
def test_a_service_without_a_place_is_left_to_be_pasted(text):
    additions, homeless = insertions(text, PROPOSAL, "shop")
    assert (additions, homeless) == ([], ["train"])


def test_a_stage_that_needs_more_than_our_key_is_left_to_be_pasted():
    stage = Stage("train", STAGE.spec, "", waits_for=("prepare",))
    proposal = Proposal(stages=(stage,))
    assert insertions(FILES["last service"], proposal, "shop") == ([], ["train"])
    assert "depends_on" in yaml.safe_load("\n".join(stage_lines(stage)))


def test_a_top_level_block_that_is_there_is_left_alone():
    text = "services:\n  train:\n    image: x\nx-mcgitops:\n  store: s3://b/p\n"
    additions, _ = insertions(text, PROPOSAL, "shop")
    assert len(additions) == 1


def test_without_a_sure_direction_the_top_level_block_is_all_comment():
    additions, _ = insertions(FILES["last service"], Proposal(stages=(STAGE,)), "shop")
    loaded = yaml.safe_load(insert(FILES["last service"], additions))
    assert "x-mcgitops" not in loaded


KEYS = st.sampled_from(["image", "command", "volumes", "environment", "x-note", "labels"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | TEXTS
    | TEXTS.map(lambda text: f"{text}\n# {text}\n"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    st.dictionaries(KEYS, VALUES, min_size=1),
    st.dictionaries(st.sampled_from(["a", "web", "z"]), st.dictionaries(KEYS, VALUES), max_size=2),
    st.integers(2, 6),
    st.sampled_from([None, "|", ">", '"']),
    st.booleans(),
)
def test_whatever_is_in_the_file_stays_as_it_was(train, others, indent, style, cut):
    # A block text that ends the file without a newline has one afterwards: write.replace refuses.
    assume(not (cut and style in ("|", ">")))
    document = {"services": {"train": train, **others}}
    text = yaml.safe_dump(document, indent=indent, default_style=style, allow_unicode=True)
    text = text.rstrip("\n") if cut else text
    additions, homeless = insertions(text, PROPOSAL, "shop")
    after = insert(text, additions)
    assert only_inserts(text, after)
    loaded = yaml.safe_load(after)
    assert without_ours(loaded) == yaml.safe_load(text)
    assert homeless == []
    assert loaded["services"]["train"]["x-mcgitops"]["outputs"] == ["out/model.pkl"]


PATHS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).map(
    lambda text: "out/" + text.replace("/", "_").replace("$", "").strip() + "x"
)


@settings(deadline=None)
@given(st.lists(PATHS, min_size=1, max_size=3, unique=True), st.text())
def test_hostile_names_and_reasons_stay_what_they_are(paths, reason):
    stage = Stage("train", StageSpec(outputs=tuple(paths)), "", dict.fromkeys(paths, reason))
    loaded = yaml.safe_load("\n".join(stage_lines(stage)))
    assert loaded == {"x-mcgitops": {"outputs": list(stage.spec.outputs)}}


def test_a_dollar_in_a_name_is_doubled_for_compose():
    stage = Stage("train", StageSpec(outputs=("out/$HOME.pkl",)), "")
    assert "out/$$HOME.pkl" in "\n".join(stage_lines(stage))


@pytest.mark.parametrize(
    ("before", "after"),
    [("a\nb\n", "a\nb"), ("a\nb\n", "b\na\n"), ("a\nb\n", "a\n B\n"), ("a\n", "")],
)
def test_other_changes_than_insertions_are_seen(before, after):
    assert only_inserts("a\nb\n", "x\na\ny\nb\nz\n")
    if after.splitlines() != before.splitlines():
        assert not only_inserts(before, after)
