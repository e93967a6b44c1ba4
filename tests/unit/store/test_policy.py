from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mcgitops.cli.main import cli
from mcgitops.cli.store import ROLES as OFFERED
from mcgitops.store import layout
from mcgitops.store.policy import ROLES, policy, role

TOPS = sorted(set(re.findall(r"^    ([a-z]+)/", layout.__doc__ or "", re.MULTILINE)))
"""All that a store has, by what the layout says."""


def allows(document: dict[str, Any], action: str, resource: str) -> bool:
    """Whether a policy with nothing but permissions allows it."""
    return any(
        action in statement["Action"]
        and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        for statement in document["Statement"]
    )


def may(name: str, action: str) -> set[str]:
    document = policy(role(name), "models", "wine/")
    return {top for top in TOPS if allows(document, action, f"arn:aws:s3:::models/wine/{top}/x")}


def test_the_command_offers_every_role() -> None:
    assert tuple(one.name for one in ROLES) == OFFERED


def test_a_role_may_do_what_it_is_for_and_no_more() -> None:
    assert {"objects", "packs", "journal", "runs", "releases", "marks"} <= set(TOPS)
    shared = {"objects", "packs", "journal", "marks", "doctor"}
    assert may("reader", "s3:PutObject") == set()
    assert may("trainer", "s3:PutObject") == {*shared, "runs", "attempts", "commits", "reports"}
    assert may("releaser", "s3:PutObject") == {*shared, "releases", "deployments", "wanted"}
    assert may("keeper", "s3:PutObject") == set(TOPS)
    for one in ROLES:
        assert may(one.name, "s3:GetObject") == set(TOPS)
    assert may("reader", "s3:DeleteObject") == set()
    assert may("trainer", "s3:DeleteObject") == may("releaser", "s3:DeleteObject") == {"doctor"}
    assert may("keeper", "s3:DeleteObject") == set(TOPS)


@pytest.mark.parametrize("name", OFFERED)
def test_other_prefixes_and_buckets_are_others(name: str) -> None:
    document: Any = policy(role(name), "models", "wine/")
    for resource in ("models/beer/runs/x", "models/winery/runs/x", "other/wine/runs/x"):
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
            assert not allows(document, action, f"arn:aws:s3:::{resource}")
    assert allows(document, "s3:ListBucket", "arn:aws:s3:::models")
    assert not allows(document, "s3:ListBucket", "arn:aws:s3:::other")


def test_a_policy_of_the_bucket_names_whom_it_is_for(tmp_path: Path) -> None:
    arn = "arn:aws:iam::123456789012:role/reader"
    argv = ["store", "policy", "reader", "--store", "s3://models/wine", "--principal", arn]
    done = CliRunner().invoke(cli, argv)
    assert done.exit_code == 0
    statements = json.loads(done.stdout)["Statement"]
    assert [one["Principal"] for one in statements] == [{"AWS": [arn]}] * 2
    assert [one["Sid"] for one in statements] == ["ReaderList", "ReaderRead"]
    assert statements[1]["Resource"] == ["arn:aws:s3:::models/wine/*"]


def test_a_folder_has_no_policy() -> None:
    done = CliRunner().invoke(cli, ["store", "policy", "reader", "--store", "/srv/store"])
    assert "is a folder, and policies are of buckets" in str(done.exception)
