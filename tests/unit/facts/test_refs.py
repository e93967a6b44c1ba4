"""Which commits branches, tags and pull requests need, asked of real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcgitops.errors import UsageError
from mcgitops.facts.refs import needed, pull_requests
from tests.conftest import ProjectFactory


@pytest.fixture
def repository(project_factory: ProjectFactory) -> Path:
    """Five commits on main, one of them tagged."""
    folder = project_factory({"file": "0"})
    for number in range(4):
        project_factory.git(folder, "commit", "--quiet", "--allow-empty", "-m", str(number))
    project_factory.git(folder, "tag", "-a", "v1", "HEAD~4", "-m", "v1")
    return folder


def ids(project_factory: ProjectFactory, folder: Path, *revisions: str) -> set[str]:
    return {project_factory.git(folder, "rev-parse", f"{one}^{{commit}}") for one in revisions}


def test_branches_need_their_last_commits_and_tags_theirs(
    repository: Path, project_factory: ProjectFactory
) -> None:
    git = project_factory.git
    found = needed(repository, 2)
    assert found.commits == ids(project_factory, repository, "HEAD", "HEAD~1", "v1")
    git(repository, "switch", "--quiet", "-c", "feature", "HEAD~2")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "feature")
    again = needed(repository, 1).commits
    assert again == ids(project_factory, repository, "feature", "main", "v1")


def test_a_clone_must_know_what_its_remote_has(
    repository: Path, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    git = project_factory.git
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    git(repository, "update-ref", "refs/pull/7/head", "HEAD~1")
    assert ids(project_factory, repository, "HEAD", "HEAD~1") <= needed(clone, 1).commits
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "more")
    with pytest.raises(UsageError, match=r"commits that are not here: of main\. Run git fetch"):
        needed(clone, 1)
    assert needed(clone, 1, offline=True).notes
    git(clone, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"could not be asked.*--offline"):
        needed(clone, 1)


def test_a_shallow_clone_is_refused(
    repository: Path, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    project_factory.git(
        tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", str(clone)
    )
    with pytest.raises(UsageError, match="fetch-depth: 0"):
        needed(clone, 1)


def test_outside_git_nothing_is_needed(tmp_path: Path) -> None:
    assert needed(tmp_path, 1).commits == frozenset()


def test_only_open_pull_requests_count_where_that_can_be_told() -> None:
    refs = {
        "refs/heads/main": "a", "refs/pull/1/head": "b", "refs/pull/2/head": "c",
        "refs/pull/2/merge": "d",
    }  # fmt: skip
    assert pull_requests(refs) == {"c", "d"}
    del refs["refs/pull/2/merge"]
    assert pull_requests(refs) == {"b", "c"}
