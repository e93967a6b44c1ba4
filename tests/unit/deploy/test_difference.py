"""What is said of two release folders, and that no value is in it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.deploy import yamlfile
from mcgitops.deploy.difference import leaves, values_of
from mcgitops.deploy.values import dotenv
from mcgitops.plan.difference import leaf_changes

API: dict[str, Any] = {
    "image": "mcgitops/p/api:1",
    "command": ["serve", "--port", "80"],
    "environment": {"TOKEN": "${TOKEN:?}", "LEVEL": "info", "PASSED": None},
    "env_file": [{"path": "./env/0-api.env"}],
    "volumes": [{"type": "bind", "source": "../../../files/aa/x", "target": "/x"}],
    "configs": [{"source": "banner", "target": "/b"}],
    "secrets": [{"source": "password"}],
    "labels": {"mcgitops.configuration": "1", "team": "a"},
    "deploy": {"replicas": 2, "resources": {"limits": {"memory": "1g"}}},
    "user": "1000",
}
SHARED = {
    "configs": {"banner": {"content": "by ${WHO}"}},
    "secrets": {"password": {"file": "../../../secrets/aa/password"}},
}


def folder(
    service: dict[str, Any], values: dict[str, str], env_file: str = "", **shared: Any
) -> dict[str, bytes]:
    document = {"services": {"api": service}, **SHARED, **shared}
    return {
        "compose.yml": yamlfile.write(document).encode(),
        ".env": dotenv(values).encode(),
        "env/0-api.env": env_file.encode(),
    }


VALUES = {"TOKEN": "old-token", "WHO": "old-who", "PASSED": "old-passed"}
OLD = folder(API, VALUES, "A=old-line\n")


def said(new: dict[str, bytes]) -> tuple[str, ...]:
    return leaf_changes(leaves(OLD)["api"], leaves(new)["api"])


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (folder(API, {**VALUES, "TOKEN": "new-token"}, "A=old-line\n"),
         "environment.TOKEN changed (value hidden)"),
        (folder(API, {**VALUES, "PASSED": "it's"}, "A=old-line\n"),
         "environment.PASSED changed (value hidden)"),
        (folder(API, {**VALUES, "WHO": "new\nwho"}, "A=old-line\n"),
         "config banner changed (value hidden)"),
        (folder(API, VALUES, "A=new-line\n"), "env_file api.env changed (value hidden)"),
        (folder({**API, "user": "0"}, VALUES, "A=old-line\n"), "user: 1000 → 0"),
        (folder({**API, "command": ["serve", "--token", "${TOKEN}"]}, VALUES, "A=old-line\n"),
         "command changed (value hidden)"),
        (folder({**API, "environment": {**API["environment"], "LEVEL": "debug"}}, VALUES,
                "A=old-line\n"), "environment.LEVEL changed (value hidden)"),
        (folder({**API, "init": True}, VALUES, "A=old-line\n"), "init is new"),
        (folder({k: v for k, v in API.items() if k != "user"}, VALUES, "A=old-line\n"),
         "user is gone"),
        (folder({**API, "volumes": [{**API["volumes"][0], "source": "../../../files/bb/x"}]},
                VALUES, "A=old-line\n"), "content of /x changed (value hidden)"),
        (folder(API, VALUES, "A=old-line\n",
                secrets={"password": {"file": "../../../secrets/bb/password"}}),
         "secret password changed (value hidden)"),
        (folder({**API, "labels": {"mcgitops.configuration": "2", "team": "b"}}, VALUES,
                "A=old-line\n"), "labels.team: a → b"),
    ],
)  # fmt: skip
def test_each_key_that_changed_is_named(new: dict[str, bytes], sentence: str) -> None:
    assert said(new) == (sentence,)


# longer than any word of a message, so that a match is no accident
texts = st.text(st.sampled_from("abcXYZ019'\"\\ \n$={}:#"), min_size=1, max_size=30).map(
    lambda text: f"canary{text}"
)


@settings(deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(VALUES, texts)), texts, texts)
def test_a_folder_does_not_differ_from_itself_and_no_value_is_told(
    values: dict[str, str], env_file: str, literal: str
) -> None:
    service = {**API, "environment": {**API["environment"], "LITERAL": literal},
               "command": ["serve", values["TOKEN"].replace("$", "$$")]}  # fmt: skip
    new = folder(service, values, f"A={env_file}\n")
    mine, old = leaves(new)["api"], leaves(OLD, values_of(new))["api"]
    assert leaf_changes(mine, mine) == ()
    told = [*leaf_changes(old, mine), *leaf_changes(mine, old), repr(mine)]
    assert len(told) > 2
    assert not re.search("canary", " ".join(told))
