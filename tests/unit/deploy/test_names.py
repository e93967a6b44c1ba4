"""Names of releases, images and folders."""

from __future__ import annotations

import pytest

from mcgitops.deploy import names
from mcgitops.errors import UsageError
from mcgitops.project.hosts import segment


@pytest.mark.parametrize("name", ["v1", "v1.2.3-rc.1", "team/v1", "2024.1+build", "main-0a1b2c"])
def test_tags_name_releases(name: str) -> None:
    assert names.check_release_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-v", "v 1", "a..b", ".v", "a/.b", "v1.lock", "v1.", "a//b", "a/", "x" * 129, "$(id)",
     "v1\n", "a@{1}", "ü", "../v1", "--release"],
)  # fmt: skip
def test_what_a_shell_or_a_path_would_trip_over_does_not(name: str) -> None:
    with pytest.raises(UsageError, match="can't name a release"):
        names.check_release_name(name)


def test_a_branch_release_tells_its_commit() -> None:
    sha = "1a2b3c4d5e6f" + "0" * 28
    name = names.branch_release("feature/x", sha)
    assert name == "feature/x-1a2b3c4d5e6f"
    assert names.commit_of_branch_release(name) == "1a2b3c4d5e6f"
    assert names.commit_of_branch_release("v1.0") is None


def test_a_release_is_one_segment_of_a_path() -> None:
    assert segment("team/v1+x") == "team%2Fv1+x"


@pytest.mark.parametrize(
    ("service", "expected"),
    [("api", "api"), ("API_v2.x", "api-v2-x"), ("__", "service")],
)
def test_image_names_are_valid_and_tell_the_content(service: str, expected: str) -> None:
    reference = names.image_reference("wine", service, "sha256:" + "ab" * 32)
    assert reference == f"mcgitops/wine/{expected}:sha256-abababababababab"
