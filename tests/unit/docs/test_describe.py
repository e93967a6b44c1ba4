"""Keys are explained under the names that people write in their files."""

from __future__ import annotations

import pytest

from mcgitops.project import describe
from mcgitops.project.load import known_keys
from mcgitops.project.spec import ProjectSpec, StageSpec


@pytest.mark.parametrize(
    ("asked", "paths"),
    [
        ("replicates", ["services.NAME.x-mcgitops.replicates"]),
        ("services.train.x-mcgitops.replicates", ["services.NAME.x-mcgitops.replicates"]),
        ("metrics.accuracy.gate", ["x-mcgitops.metrics.NAME.gate"]),
        ("metrics.gate", ["x-mcgitops.metrics.NAME.gate"]),
        ("metrics", ["services.NAME.x-mcgitops.metrics", "x-mcgitops.metrics"]),
        ("environments.production.hosts", ["x-mcgitops.environments.NAME.hosts"]),
        ("hosts.", ["x-mcgitops.environments.NAME.hosts"]),
        ("nothing", []),
        ("", []),
        ("...", []),
    ],
)
def test_a_key_is_found_by_the_end_of_its_path(asked, paths):
    assert [key.path for key in describe.find(asked)] == paths


def test_every_key_of_the_models_is_described_in_words():
    named = {key.path for place, model in describe.PLACES for key in describe.keys(place, model)}
    for model, place in ((StageSpec, "services.NAME.x-mcgitops"), (ProjectSpec, "x-mcgitops")):
        assert {f"{place}.{key}" for key in known_keys(model, ())} <= named
    for place, model in describe.PLACES:
        assert describe.meaning(model)
        for key in describe.keys(place, model):
            assert key.description.endswith("."), key.path
            assert key.takes


def test_a_mapping_names_the_keys_below_it():
    (gate,) = describe.find("metrics.NAME.gate")
    assert "max_drop" in {key.name for key in describe.below(gate)}


def test_a_misspelt_key_gets_the_nearest_name():
    assert describe.nearest("x-mcgitops.metrcs") == "metrics"
    assert describe.nearest("zzzzzz") is None
