"""Which commit a head is compared with, on real histories: moved, squashed, shallow, merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcgitops.facts import base as bases
from mcgitops.facts import git
from tests.conftest import ProjectFactory


@dataclass
class History:
    """A repository whose commits are made by what they are called."""

    folder: Path
    factory: ProjectFactory

    def git(self, *arguments: str) -> str:
        return self.factory.git(self.folder, *arguments)

    def commit(self, name: str) -> str:
        return self.factory.commit(self.folder, {name: name}, name)

    def branch(self, name: str, at: str = "HEAD") -> None:
        self.git("checkout", "--quiet", "-b", name, at)

    def switch(self, name: str) -> None:
        self.git("checkout", "--quiet", name)

    def wanted(self, environ: Mapping[str, str] | None = None) -> bases.Base | None:
        return bases.wanted(self.folder, git.head(self.folder), environ or {})

    def trained(self, *commits: str) -> bases.Base | None:
        """The base once only these commits have runs."""
        found = self.wanted()
        assert found is not None
        return bases.with_runs(self.folder, found, lambda sha: sha in commits)


@pytest.fixture
def history(project_factory: ProjectFactory) -> History:
    return History(project_factory({"start": "start"}), project_factory)


PULL = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_BASE_REF": "main"}


def test_a_branch_is_compared_with_where_it_began_though_main_moved_on(history: History) -> None:
    fork = history.git("rev-parse", "HEAD")
    history.branch("feature")
    history.commit("a")
    history.switch("main")
    for name in ("m1", "m2"):
        history.commit(name)
    history.switch("feature")
    found = history.wanted()
    assert found == bases.Base(fork, "main", "merge base with main")


def test_githubs_merge_is_compared_with_the_main_that_it_was_made_with(history: History) -> None:
    history.branch("feature")
    history.commit("a")
    history.switch("main")
    moved = history.commit("m1")
    history.git("checkout", "--quiet", "--detach")
    history.git("merge", "--quiet", "--no-ff", "--no-edit", "feature")
    merge = history.git("rev-parse", "HEAD")
    found = history.wanted(PULL | {"GITHUB_SHA": merge})
    assert found == bases.Base(moved, "main", "main, which the pull request is merged with")


def test_a_branch_that_ends_with_a_merge_of_its_own_is_not_taken_for_githubs(
    history: History,
) -> None:
    """The workflow checked out the head, into which main was merged by hand."""
    history.branch("feature")
    mine = history.commit("a")
    history.switch("main")
    tip = history.commit("m1")
    history.switch("feature")
    history.git("merge", "--quiet", "--no-edit", "main")
    found = history.wanted(PULL | {"GITHUB_SHA": "f" * 40})
    assert found == bases.Base(tip, "main", "merge base with main")
    assert found.commit != mine


def test_main_merged_into_a_branch_moves_its_base(history: History) -> None:
    history.branch("feature")
    history.commit("a")
    history.switch("main")
    tip = history.commit("m1")
    history.switch("feature")
    history.git("merge", "--quiet", "--no-edit", "main")
    history.commit("b")
    found = history.wanted()
    assert found is not None
    assert found.commit == tip


def test_a_squashed_branch_is_compared_with_the_main_before_it(history: History) -> None:
    before = history.git("rev-parse", "HEAD")
    history.branch("feature")
    for name in ("a", "b"):
        history.commit(name)
    history.switch("main")
    history.git("merge", "--quiet", "--squash", "feature")
    squashed = history.commit("squashed")
    assert history.wanted() == bases.Base(before, "", "the commit before")
    # What goes on in the squashed branch still began before the squash.
    history.switch("feature")
    history.commit("c")
    assert history.wanted() == bases.Base(before, "main", "merge base with main")
    # Begun anew from main, it is compared with the squash.
    history.branch("feature2", "main")
    history.commit("d")
    found = history.wanted()
    assert found is not None
    assert found.commit == squashed


def test_a_rebased_branch_is_compared_with_its_new_start(history: History) -> None:
    history.branch("feature")
    history.commit("a")
    history.switch("main")
    tip = history.commit("m1")
    history.switch("feature")
    history.git("rebase", "--quiet", "main")
    found = history.wanted()
    assert found is not None
    assert found.commit == tip


def test_the_nearest_ancestor_with_runs_stands_in(history: History) -> None:
    trained = history.git("rev-parse", "HEAD")
    history.commit("m1")
    history.commit("m2")
    history.branch("feature")
    history.commit("a")
    found = history.trained(trained)
    assert found == bases.Base(
        trained, "main", "nearest ancestor with runs, 2 commits before the merge base with main"
    )
    assert history.trained() is None


def test_what_was_merged_into_main_is_no_ancestor_of_its_line(history: History) -> None:
    """Runs of a branch say nothing about main, though its commits are in main's history."""
    trained_main = history.git("rev-parse", "HEAD")
    history.branch("other")
    trained_branch = history.commit("o")
    history.switch("main")
    history.commit("m1")
    history.git("merge", "--quiet", "--no-edit", "other")
    history.branch("feature")
    history.commit("a")
    found = history.trained(trained_main, trained_branch)
    assert found is not None
    assert found.commit == trained_main


def test_the_target_is_the_pull_requests_own(history: History) -> None:
    history.branch("develop")
    tip = history.commit("d1")
    history.branch("feature")
    history.commit("a")
    found = history.wanted({"GITHUB_BASE_REF": "develop"})
    assert found == bases.Base(tip, "develop", "merge base with develop")


def test_a_shallow_clone_knows_what_it_lacks(history: History, tmp_path: Path) -> None:
    history.branch("feature")
    history.commit("a")
    clone = tmp_path / "clone"
    source = f"file://{history.folder}"
    history.git("clone", "--quiet", "--depth=1", "--branch", "feature", source, str(clone))
    assert git.is_shallow(clone)
    assert not git.is_shallow(history.folder)
    # Its one commit still names its parent, whose runs a store may have.
    head = git.head(clone)
    assert bases.wanted(clone, head, {}) == bases.Base(head.parents[0], "", "the commit before")


def test_without_common_history_there_is_no_merge_base(history: History) -> None:
    history.git("checkout", "--quiet", "--orphan", "alone")
    history.commit("x")
    assert history.wanted() is None


def test_names_of_branches_are_not_options(
    history: History, project_factory: Callable[..., Path]
) -> None:
    history.branch("feature")
    history.commit("a")
    assert history.wanted({"GITHUB_BASE_REF": "--upload-pack=evil"}) is not None
