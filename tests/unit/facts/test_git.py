"""What git says, in the states that repositories really are in."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcgitops.errors import McgitopsError, UsageError
from mcgitops.facts import git
from tests.conftest import ProjectFactory


@pytest.fixture
def repo(project_factory: ProjectFactory) -> Path:
    """A repository with one commit on main."""
    return project_factory({"a.txt": "1", "sub/b.txt": "1", "out/m.json": "{}"})


def test_a_clean_head_names_commit_tree_and_branch(
    repo: Path, project_factory: ProjectFactory
) -> None:
    second = project_factory.commit(repo, {"a.txt": "2"})
    head = git.head(repo)
    assert head.commit == second
    assert head.tree == project_factory.git(repo, "rev-parse", "HEAD^{tree}")
    assert head.branch == "main"
    assert head.parents == (project_factory.git(repo, "rev-parse", "HEAD^"),)
    assert not head.dirty


def test_outside_git_and_before_the_first_commit_there_is_no_head(
    tmp_path: Path, project_factory: ProjectFactory
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    assert git.head(outside) == git.Head()
    assert git.root(outside) is None
    project_factory.git(outside, "init", "--quiet", "--initial-branch=main")
    (outside / "a").write_text("")
    assert git.head(outside) == git.Head()
    assert git.default_branch(outside) is None
    assert git.root(outside) == outside


def test_a_detached_head_has_no_branch(repo: Path, project_factory: ProjectFactory) -> None:
    project_factory.git(repo, "checkout", "--quiet", "--detach")
    head = git.head(repo)
    assert head.commit
    assert head.branch == ""


@pytest.mark.parametrize("name", ["out/m.json", 'out/q"uo te\t.json', "out/é\nn.json"])
def test_a_tracked_output_that_changed_does_not_make_it_dirty(
    repo: Path, project_factory: ProjectFactory, name: str
) -> None:
    project_factory.commit(repo, {name: "{}"})
    (repo / name).write_text("changed")
    assert git.head(repo).dirty
    assert not git.head(repo, frozenset({name})).dirty
    assert not git.head(repo, frozenset({"out"})).dirty
    assert git.head(repo, frozenset({"ou"})).dirty
    (repo / "a.txt").write_text("changed")
    assert git.head(repo, frozenset({"out"})).dirty


def test_an_output_that_was_renamed_in_the_index_does_not_make_it_dirty(
    repo: Path, project_factory: ProjectFactory
) -> None:
    project_factory.git(repo, "mv", "out/m.json", "out/n.json")
    assert git.head(repo).dirty
    assert not git.head(repo, frozenset({"out"})).dirty
    project_factory.git(repo, "mv", "a.txt", "out/a.txt")
    assert git.head(repo, frozenset({"out"})).dirty


def test_a_deleted_file_makes_it_dirty(repo: Path) -> None:
    (repo / "a.txt").unlink()
    assert git.head(repo).dirty


def test_a_project_below_the_repositorys_root_sees_its_own_part(
    repo: Path, project_factory: ProjectFactory
) -> None:
    (repo / "a.txt").write_text("changed, but above")
    assert not git.head(repo / "sub").dirty
    (repo / "sub/b.txt").write_text("changed")
    assert git.head(repo / "sub").dirty
    assert not git.head(repo / "sub", frozenset({"b.txt"})).dirty
    assert git.root(repo / "sub") == repo


def test_a_shallow_clone_still_knows_its_parent(
    repo: Path, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    first = project_factory.git(repo, "rev-parse", "HEAD")
    second = project_factory.commit(repo, {"a.txt": "2"})
    project_factory.git(
        repo, "clone", "--quiet", "--depth=1", f"file://{repo}", str(tmp_path / "clone")
    )
    head = git.head(tmp_path / "clone")
    assert head.commit == second
    assert head.parents == (first,)
    assert git.first_parents(tmp_path / "clone", second) == [second]
    with pytest.raises(UsageError, match=r"in a shallow clone fetch it first"):
        git.resolve(tmp_path / "clone", first)


def test_a_merge_has_its_first_parent_first(repo: Path, project_factory: ProjectFactory) -> None:
    project_factory.git(repo, "checkout", "--quiet", "-b", "feature")
    feature = project_factory.commit(repo, {"f.txt": "1"})
    project_factory.git(repo, "checkout", "--quiet", "main")
    main = project_factory.commit(repo, {"a.txt": "3"})
    project_factory.git(repo, "merge", "--quiet", "--no-edit", "feature")
    assert git.head(repo).parents == (main, feature)
    assert git.merge_base(repo, main, feature) == project_factory.git(repo, "rev-parse", "main~2")
    assert git.first_parents(repo, "main", 2) == [git.head(repo).commit, main]


def test_unrelated_histories_have_no_merge_base(
    repo: Path, project_factory: ProjectFactory
) -> None:
    project_factory.git(repo, "checkout", "--quiet", "--orphan", "other")
    other = project_factory.commit(repo, {"x": "1"})
    assert git.merge_base(repo, other, "main") is None


def test_revisions_resolve_and_what_looks_like_an_option_is_refused(
    repo: Path, project_factory: ProjectFactory
) -> None:
    project_factory.git(repo, "tag", "-a", "-m", "x", "v1.0")
    commit = git.head(repo).commit
    assert git.resolve(repo, "v1.0") == git.resolve(repo, "main") == commit
    assert git.tag_commit(repo, "v1.0") == commit
    assert git.tag_commit(repo, "v2") is None
    for revision in ("--output=/tmp/x", "-h", "nope", "main:a.txt", ""):
        with pytest.raises(McgitopsError):
            git.resolve(repo, revision)
    assert not git.exists(repo, "--all")


def test_paths_that_differ_between_commits_are_relative_to_the_project(
    repo: Path, project_factory: ProjectFactory
) -> None:
    first = git.head(repo).commit
    second = project_factory.commit(repo, {"a.txt": "2", "sub/b b.txt": "2"})
    assert git.changed_between(repo, first, second) == ["a.txt", "sub/b b.txt"]
    assert git.changed_between(repo / "sub", first, second) == ["b b.txt"]


def test_the_remotes_default_branch_wins(
    repo: Path, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    project_factory.git(repo, "branch", "--move", "main", "trunk")
    assert git.default_branch(repo) is None
    project_factory.git(repo, "clone", "--quiet", str(repo), str(tmp_path / "clone"))
    assert git.default_branch(tmp_path / "clone") == "origin/trunk"


def test_files_that_git_does_not_know_are_named_and_ignored_ones_are_not(repo: Path) -> None:
    (repo / ".gitignore").write_text("*.log\n")
    for name in ("x.log", "new é.txt", "sub/n\n.txt"):
        (repo / name).write_text("")
    assert set(git.untracked(repo)) == {".gitignore", "new é.txt", "sub/n\n.txt"}
    assert git.untracked(repo / "sub") == ("n\n.txt",)
