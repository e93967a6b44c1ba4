"""The actions against the program: each input reaches an option, and nothing else does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mcgitops.adopt import workflow
from mcgitops.cli import hand_over, rerun
from mcgitops.cli.ci import command
from mcgitops.cli.html_report import artifacts_address
from mcgitops.forge.settings import Settings

ROOT = Path(__file__).parents[3]
ACTIONS = {
    "": ROOT / "action.yml",
    "train": ROOT / "actions/train/action.yml",
    "report": ROOT / "actions/report/action.yml",
    "deploy": ROOT / "actions/deploy/action.yml",
}
# Verbs of their own, for workflows on the default branch: they need no project.
ALONE = {
    "hand-over": (ROOT / "actions/hand-over/action.yml", hand_over.command),
    "rerun": (ROOT / "actions/rerun/action.yml", rerun.command),
}
# Inputs that are no options of `mcgitops ci`: what takes them instead.
ELSEWHERE = {
    "working-directory": None,  # the step's own key
    "files": "MCGITOPS_INPUT_FILES",
    "store": "MCGITOPS_INPUT_STORE",
    "leg": "MCGITOPS_INPUT_LEG",
    "html-artifact": "MCGITOPS_INPUT_HTML_ARTIFACT",
    "known-hosts": "MCGITOPS_INPUT_KNOWN_HOSTS",
    "ssh-key": "MCGITOPS_INPUT_SSH_KEY",
    "github-token": "GITHUB_TOKEN",
}
# Options that no action offers: event is the workflow's own, --json is for programs, and
# --no-comment is short for --comment false.
NOT_OFFERED = {"event", "json", "no-comment"}


def load(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text())
    assert isinstance(loaded, dict)
    return loaded


def options() -> dict[str, click.Option]:
    """The options of `mcgitops ci` by their long name."""
    return {
        parameter.opts[0].removeprefix("--"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
    }


def step(action: dict[str, Any]) -> dict[str, Any]:
    """The step that calls the program: the only one, but for an upload of what it left."""
    only, *more = action["runs"]["steps"]
    assert isinstance(only, dict)
    assert len(more) == ("html-artifact" in action["inputs"])
    assert all(one["uses"].startswith("actions/upload-artifact@") for one in more)
    return only


@pytest.fixture(params=ACTIONS, ids=lambda name: name or "root")
def action(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load(ACTIONS[request.param]) | {"verb": request.param}


def test_each_input_reaches_its_option(action: dict[str, Any]) -> None:
    env = step(action)["env"]
    for name in action["inputs"]:
        variable = ELSEWHERE[name] if name in ELSEWHERE else options()[name].envvar
        if variable is None:
            assert step(action)["working-directory"] == f"${{{{ inputs.{name} }}}}"
        else:
            assert env.pop(variable) == f"${{{{ inputs.{name} }}}}"
    assert env == {}


def test_the_root_action_offers_every_option() -> None:
    offered = set(load(ACTIONS[""])["inputs"]) - set(ELSEWHERE)
    assert offered == set(options()) - NOT_OFFERED


def test_defaults_are_the_options_own(action: dict[str, Any]) -> None:
    for name in set(action["inputs"]) - set(ELSEWHERE):
        option = options()[name]
        given = action["inputs"][name]["default"]
        if option.is_flag:
            assert given == str(bool(option.get_default(click.Context(command)))).lower()
        else:
            assert given == ""


def test_an_empty_input_is_as_if_it_were_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    context = click.Context(command)
    without = {p.name: p.handle_parse_result(context, {}, [])[0] for p in command.params}
    for name in set(options()) - NOT_OFFERED:
        if not options()[name].is_flag:
            monkeypatch.setenv(str(options()[name].envvar), "")
    with_empty = {p.name: p.handle_parse_result(context, {}, [])[0] for p in command.params}
    assert with_empty == without


def test_the_same_input_means_the_same_in_each_action(action: dict[str, Any]) -> None:
    root = load(ACTIONS[""])["inputs"]
    for name, described in action["inputs"].items():
        assert described["default"] == root[name]["default"]
        if name != "github-token":
            assert described == root[name]


def test_a_part_is_the_whole_with_only(action: dict[str, Any]) -> None:
    run = step(action)["run"].strip()
    if action["verb"]:
        assert run == f'exec "$GITHUB_ACTION_PATH/../launcher" ci --only {action["verb"]}'
        assert action["verb"] in options()["only"].type.choices  # type: ignore[attr-defined]
    else:
        assert run == 'exec "$GITHUB_ACTION_PATH/actions/launcher" ci'


def test_outputs_are_those_of_the_step_and_exist(action: dict[str, Any]) -> None:
    source = (ROOT / "mcgitops/cli/job.py").read_text()
    set_by_job = set(re.findall(r'(?:output|_keep)\(\s*"([a-z-]+)"', source)) | {
        "release",
        "deploy",
    }
    for name, described in action["outputs"].items():
        assert described["value"] == f"${{{{ steps.{step(action)['id']}.outputs.{name} }}}}"
        assert name in set_by_job


def test_nothing_is_interpolated_and_nothing_else_is_used(action: dict[str, Any]) -> None:
    assert action["runs"]["using"] == "composite"
    only = step(action)
    assert "uses" not in only
    assert "${{" not in only["run"]
    assert only["shell"] == "sh"
    assert all(
        re.fullmatch(r"\$\{\{ inputs\.[a-z-]+ \}\}", value) for value in only["env"].values()
    )


@pytest.mark.parametrize("name", ["", "report"])
def test_the_upload_is_pinned_has_known_inputs_and_what_the_program_left(name: str) -> None:
    action = load(ACTIONS[name])
    _, upload = action["runs"]["steps"]
    assert re.fullmatch(r"actions/upload-artifact@[0-9a-f]{40}", upload["uses"])
    assert upload["if"] == "${{ !cancelled() && steps.mcgitops.outputs.html != '' }}"
    known = load(ROOT / "tests/lab/upload_artifact/action.yml")["inputs"]
    assert set(upload["with"]) <= set(known)
    outputs = {name: f"${{{{ steps.mcgitops.outputs.{name} }}}}" for name in ("html", "html-name")}
    assert (upload["with"]["path"], upload["with"]["name"]) == tuple(outputs.values())
    assert action["inputs"]["html-artifact"]["default"] == "true"


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("https://github.com", "https://github.com/octo/wine/actions/runs/7#artifacts"),
        ("https://acme.ghe.com", "https://acme.ghe.com/octo/wine/actions/runs/7#artifacts"),
        ("https://github.example.com", ""),
        ("https://codeberg.org", ""),
    ],
)
def test_artifacts_are_linked_where_their_service_is_githubs_own(server: str, address: str) -> None:
    settings = Settings(server_url=server, repository="octo/wine", run_id=7)
    assert artifacts_address(settings) == address
    assert artifacts_address(Settings(server_url=server)) == ""


def test_everything_is_described(action: dict[str, Any]) -> None:
    for entry in (*action["inputs"].values(), *action["outputs"].values(), action):
        assert len(entry["description"].split()) > 3


@pytest.mark.parametrize("verb", ALONE)
def test_an_action_without_a_project_is_held_against_its_verb(verb: str) -> None:
    path, verbs_command = ALONE[verb]
    action = {"outputs": {}} | load(path) | {"verb": verb}
    offered = {
        parameter.opts[0].removeprefix("--"): parameter.envvar
        for parameter in verbs_command.params
        if isinstance(parameter, click.Option) and parameter.envvar
    }
    env = dict(step(action)["env"])
    assert env.pop("GITHUB_TOKEN") == "${{ inputs.github-token }}"
    assert env == {variable: f"${{{{ inputs.{name} }}}}" for name, variable in offered.items()}
    assert set(action["inputs"]) == {*offered, "github-token"}
    assert all(action["inputs"][name]["default"] == "" for name in offered)
    assert step(action)["run"].strip() == f'exec "$GITHUB_ACTION_PATH/../launcher" {verb}'
    source = (ROOT / f"mcgitops/cli/{verb.replace('-', '_')}.py").read_text()
    for name, described in action["outputs"].items():
        assert described["value"] == f"${{{{ steps.{step(action)['id']}.outputs.{name} }}}}"
        assert f'output("{name}"' in source
    test_nothing_is_interpolated_and_nothing_else_is_used(action)
    test_everything_is_described(action)


PINNED = "acme/mcgitops@" + "a" * 40


@pytest.mark.parametrize("render", [workflow.render_forks, workflow.render_waivers])
def test_the_workflows_of_the_default_branch_check_nothing_out(
    tmp_path: Path, render: Callable[[str], str]
) -> None:
    file = tmp_path / ".github/workflows/mcgitops-more.yml"
    file.parent.mkdir(parents=True)
    file.write_text(render(PINNED))
    loaded = load(file)
    assert loaded["permissions"] == {}
    (job,) = loaded["jobs"].values()
    (only,) = job["steps"]
    assert re.fullmatch(r"acme/mcgitops/actions/(hand-over|rerun)@a{40}", only["uses"])
    assert "contents" not in job["permissions"]
    path, _ = ALONE[only["uses"].split("/")[3].split("@")[0]]
    assert set(only.get("with", {})) <= set(load(path)["inputs"])
    done = zizmor(file)
    assert done.returncode == 0, done.stdout


def zizmor(*paths: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("zizmor")
    return subprocess.run(
        [
            program,
            "--offline",
            "--no-progress",
            "--persona",
            "auditor",
            "--format",
            "plain",
            *paths,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def test_zizmors_strictest_persona_finds_nothing() -> None:
    done = zizmor(ROOT / "action.yml", ROOT / "actions")
    assert done.returncode == 0, done.stdout
    assert "No findings" in done.stdout
    assert done.stderr.count("completed") == len(ACTIONS) + len(ALONE), done.stderr


def test_nor_in_the_workflow_that_the_documentation_shows(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/github-actions.md").read_text()
    shown = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert shown
    file = tmp_path / ".github/workflows/mcgitops.yml"
    file.parent.mkdir(parents=True)
    file.write_text(shown[1])
    done = zizmor(file)
    assert done.returncode == 0, done.stdout


def test_the_documentation_names_only_inputs_and_outputs_that_exist() -> None:
    page = (ROOT / "docs/how-to/github-actions.md").read_text()
    root = load(ACTIONS[""])
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        steps = r"- (?:id: \w+\n +)?uses: mcgitops/mcgitops(/\S+)?@.*?\n((?: {8,}.*\n)*)"
        for name, step in re.findall(steps, block):
            given = re.findall(r"^ {10}([a-z-]+):", step, re.MULTILINE)
            alone = ALONE.get(name.removeprefix("/actions/"))
            assert set(given) <= set(load(alone[0])["inputs"] if alone else root["inputs"]), given
        for output in re.findall(r"steps\.\w+\.outputs\.([a-z-]+)", block):
            assert output in root["outputs"]
