"""`metrics` and `report` as people call them, on a real git repository and store."""

from __future__ import annotations

import json

import pytest

from mcgitops.report.json_view import from_data


def test_a_regression_on_a_branch_fails_its_gate_with_exit_3(wine, run_mcgitops):
    wine.train(0.97)
    wine.branch("feature/lr")
    wine.commit({"params.yaml": "lr: 0.05\ndepth: 3\n"})
    wine.train(0.94)
    result = run_mcgitops("report", "--format", "markdown", cwd=wine.folder, check=False)
    assert result.code == 3, result.stderr
    assert result.stdout.startswith("### 🔴 wine: accuracy fell below its gate\n")
    assert "merge base with main" in result.stdout
    assert "drop 0.03 > 0.005, gate failed" in result.stdout
    assert "params `lr` 0.1 → 0.05" in result.stdout
    assert "xychart-beta" in result.stdout
    assert "1 gate failed: accuracy." in result.stderr
    assert "Traceback" not in result.stderr


def test_a_fix_passes(wine, run_mcgitops):
    wine.train(0.97)
    wine.branch("fix")
    wine.commit({"train.py": "print('better')\n"})
    wine.train(0.99)
    result = run_mcgitops("report", cwd=wine.folder)
    assert result.stdout.startswith("✔ wine: accuracy is better\n")


def test_changed_files_are_named_and_parameters_not_twice(wine, run_mcgitops):
    wine.train(0.97)
    wine.branch("feature")
    wine.commit({"train.py": "print('x')\n", "params.yaml": "lr: 0.2\ndepth: 3\n", "new.py": ""})
    wine.train(0.97)
    text = run_mcgitops("report", "--format", "markdown", cwd=wine.folder).stdout
    (changed,) = [line for line in text.splitlines() if line.startswith("**Changed:**")]
    assert changed == "**Changed:** params `lr` 0.1 → 0.2 · code `train.py` · `new.py` added"


def test_the_first_report_has_nothing_to_compare_with(wine, run_mcgitops):
    wine.train(0.97)
    result = run_mcgitops("report", "--format", "markdown", cwd=wine.folder)
    assert "nothing to compare with yet" in result.stdout
    assert "0.971 ± 0.001" in result.stdout


def test_nothing_trained_says_what_to_do(wine, run_mcgitops):
    result = run_mcgitops("report", cwd=wine.folder, check=False)
    assert result.code == 2
    assert "Run mcgitops train" in result.stderr


def test_an_untrained_merge_base_gives_way_to_its_nearest_trained_ancestor(wine, run_mcgitops):
    wine.train(0.97)
    wine.commit({"README.md": "x"})
    wine.commit({"train.py": "print('untrained')\n"})
    wine.branch("feature")
    wine.commit({"train.py": "print('feature')\n"})
    wine.train(0.97)
    result = run_mcgitops("report", cwd=wine.folder)
    expected = "nearest ancestor with runs, 2 commits before the merge base with main"
    assert expected in result.stdout.replace("\n", " ")


def test_on_the_default_branch_the_base_is_the_commit_before(wine, run_mcgitops):
    wine.train(0.97)
    wine.commit({"train.py": "print('next')\n"})
    wine.train(0.97)
    assert "the commit before" in run_mcgitops("report", cwd=wine.folder).stdout


def test_uncommitted_changes_are_compared_with_the_last_commit(wine, run_mcgitops):
    wine.train(0.97)
    (wine.folder / "params.yaml").write_text("lr: 0.2\ndepth: 3\n")
    wine.train(0.98)
    result = run_mcgitops("report", cwd=wine.folder)
    assert "with uncommitted changes against" in result.stdout.replace("\n", " ")
    assert "the last commit" in result.stdout.replace("\n", " ")
    assert "lr 0.1 → 0.2" in result.stdout


def test_github_base_ref_names_the_target(wine, run_mcgitops):
    wine.train(0.97)
    wine.branch("release")
    wine.commit({"train.py": "print('release')\n"})
    wine.train(0.98)
    wine.branch("fix")
    wine.commit({"train.py": "print('fix')\n"})
    wine.train(0.981)
    env = {"GITHUB_BASE_REF": "release"}
    assert "merge base with release" in run_mcgitops("report", cwd=wine.folder, env=env).stdout


def test_a_pull_request_is_compared_with_the_first_parent_of_its_merge(wine, run_mcgitops):
    wine.train(0.97)
    wine.branch("feature")
    wine.commit({"train.py": "print('feature')\n"})
    wine.git(wine.folder, "switch", "--quiet", "main")
    wine.commit({"params.yaml": "lr: 0.3\ndepth: 3\n"})
    wine.train(0.96)
    wine.git(wine.folder, "switch", "--quiet", "--detach")
    wine.git(wine.folder, "merge", "--quiet", "--no-ff", "--message", "Merge", "feature")
    wine.train(0.95)
    env = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_BASE_REF": "main"}
    result = run_mcgitops("report", "--json", cwd=wine.folder, env=env, check=False)
    report = from_data(json.loads(result.stdout))
    assert report.base is not None
    assert report.base.commit == wine.git(wine.folder, "rev-parse", "HEAD^1")
    assert report.params == ()


def test_a_failed_run_is_in_the_report_and_fails_the_gate(wine, run_mcgitops):
    wine.train(0.97)
    wine.branch("feature")
    wine.commit({"train.py": "raise ValueError\n"})
    wine.train(0.97, state="failed")
    result = run_mcgitops("report", "--format", "markdown", cwd=wine.folder, check=False)
    assert result.code == 3
    assert "wine: train SEED=1, train SEED=2 failed" in result.stdout
    assert "ValueError: boom" in result.stdout


def test_a_missing_metric_fails_its_gate(wine, run_mcgitops):
    compose = (wine.folder / "compose.yml").read_text()
    wine.train(0.97)
    wine.branch("feature")
    wine.commit({"compose.yml": compose + "    'auc*': {gate: {min: 0.9}}\n"})
    wine.train(0.97)
    result = run_mcgitops("report", cwd=wine.folder, check=False)
    assert result.code == 3
    assert "auc* is missing, and its gate failed" in result.stdout


def test_metrics_shows_the_present_state_and_revisions(wine, run_mcgitops):
    wine.train(0.97)
    wine.commit({"params.yaml": "lr: 0.05\ndepth: 3\n"})
    wine.train(0.94)
    now = run_mcgitops("metrics", cwd=wine.folder).stdout
    assert "0.941 ± 0.001" in now
    assert "accuracy ↑" in now
    before = json.loads(run_mcgitops("metrics", "HEAD~1", "--json", cwd=wine.folder).stdout)
    assert {m["label"]: m["head_mean"] for m in before["metrics"]}["accuracy"] == 0.971
    assert json.loads(run_mcgitops("metrics", "--json", "HEAD~1", cwd=wine.folder).stdout) == before


def test_metrics_diff_compares_and_never_fails(wine, run_mcgitops):
    wine.train(0.97)
    wine.commit({"params.yaml": "lr: 0.05\ndepth: 3\n"})
    wine.train(0.94)
    shown = run_mcgitops("metrics", "diff", cwd=wine.folder).stdout
    assert "−0.030 (−3.1 %)" in shown
    assert "1 metric unchanged" in shown
    back = run_mcgitops("metrics", "diff", "HEAD", "HEAD~1", "--json", cwd=wine.folder).stdout
    metric = next(m for m in json.loads(back)["metrics"] if m["label"] == "accuracy")
    assert metric["difference"] == pytest.approx(0.03)
    assert metric["moved"] == "better"


def test_a_revision_without_runs_or_that_is_unknown_is_a_sentence(wine, run_mcgitops):
    wine.train(0.97)
    wine.commit({"train.py": "print('untrained')\n"})
    none = run_mcgitops("metrics", "HEAD", cwd=wine.folder, check=False)
    assert (none.code, none.stdout) == (2, "")
    assert "HEAD has no runs" in none.stderr
    unrelated = run_mcgitops("metrics", "diff", "HEAD~1", "HEAD", cwd=wine.folder, check=False)
    assert unrelated.code == 2
    unknown = run_mcgitops("metrics", "diff", "nope", cwd=wine.folder, check=False)
    assert unknown.code == 2
    assert "git knows no revision 'nope'" in unknown.stderr


def test_output_goes_to_a_file_and_json_is_the_report(wine, run_mcgitops):
    wine.train(0.97)
    result = run_mcgitops("report", "--format", "json", "--output", "report.json", cwd=wine.folder)
    assert result.stdout == ""
    report = from_data(json.loads((wine.folder / "report.json").read_text()))
    assert (report.project, report.format) == ("wine", 1)
    wrong = run_mcgitops("report", "--output", "no/such/x", cwd=wine.folder, check=False)
    assert wrong.code == 2


def test_no_color_is_written_to_a_pipe(wine, run_mcgitops):
    wine.train(0.97)
    assert "\x1b" not in run_mcgitops("report", cwd=wine.folder).stdout


def test_without_git_the_folder_stands_alone(wine, run_mcgitops):
    import shutil

    shutil.rmtree(wine.folder / ".git")
    wine.train(0.97)
    text = run_mcgitops("report", "--format", "markdown", cwd=wine.folder).stdout
    assert text.startswith("### ⚪ wine: nothing to compare with yet\n`working tree`")
    wrong = run_mcgitops("report", "--base", "main", cwd=wine.folder, check=False)
    assert wrong.code == 2
    assert "Traceback" not in wrong.stderr


def test_metrics_says_which_runs_failed(wine, run_mcgitops):
    wine.train(0.97, state="failed")
    text = run_mcgitops("metrics", cwd=wine.folder).stdout
    assert "accuracy ↑" in text
    assert "train SEED=1 failed with exit code 1" in text
