"""The fake GitHub for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.github import FakeGitHub


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    """A repository with pull request 7; leaving the test checks all that passed."""
    with FakeGitHub() as github:
        github.add_pull(7)
        yield github
