"""The program's outside: verbs, help, completion, errors, and what each verb imports."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mcgitops import __version__
from mcgitops.cli.main import HIDDEN, VERBS, cli, run
from tests.conftest import ProjectFactory, Runner

COMPOSE = """\
name: wine
services:
  train:
    image: busybox
    volumes: ["./out:/app/out"]
    x-mcgitops: {metrics: [out/m.json]}
"""


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_line_of_help_is_its_own_first_line(verb: str) -> None:
    command = importlib.import_module(f"mcgitops.cli.{VERBS[verb][0]}").command
    assert isinstance(command, click.Command)
    assert (command.help or "").strip().splitlines()[0] == VERBS[verb][1]
    assert command.name == verb


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_every_verb_says_what_it_does(verb: str) -> None:
    command = importlib.import_module(f"mcgitops.cli.{VERBS[verb][0]}").command
    silent = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert silent == []


def test_help_lists_the_verbs_in_the_order_of_their_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    places = [shown.index(f"\n  {verb} ") for verb in VERBS if verb not in HIDDEN]
    assert places == sorted(places)
    assert "\n  step " not in shown
    for code in ("0 done", "1 failed", "2 wrong usage", "3 a gate", "4 training", "5 ", "6 "):
        assert code in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 100


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"mcgitops {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "no such verb: trian. Did you mean train?"),
        (["xyzzy"], "no such verb: xyzzy. See mcgitops --help."),
        (["train", "--jbos", "2"], "Did you mean one of: '--jobs'"),
        (["train", "--jobs", "0"], "0 is not in the range x>=1"),
        (["plan", "--event", "puush"], "'puush' is not one of"),
    ],
)
def test_wrong_usage_is_said_with_the_remedy_and_exits_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(arguments) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_mistake_is_a_sentence_and_with_debug_a_traceback(
    run_mcgitops: Runner, tmp_path: Path
) -> None:
    plain = run_mcgitops("plan", cwd=tmp_path, check=False)
    assert plain.code == 2
    assert len(plain.stderr.splitlines()) == 1
    assert "no compose file. Run mcgitops init" in plain.stderr
    assert plain.stdout == ""
    debug = run_mcgitops("--debug", "plan", cwd=tmp_path, check=False)
    assert "Traceback" in debug.stderr


def test_a_bug_says_that_it_is_one_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the moon")

    monkeypatch.setattr(cli, "main", broken)
    assert run(["plan"]) == 1
    said = capsys.readouterr().err
    assert "mcgitops failed unexpectedly: RuntimeError: the moon" in said
    assert "--debug" in said
    with pytest.raises(RuntimeError, match="the moon"):
        run(["--debug", "plan"])


def test_interrupted_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    assert run(["train"]) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m mcgitops schema | head -c 1"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_another_folder_and_files_are_named(
    run_mcgitops: Runner, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory({"compose.yml": "services: {}\n", "other.yml": COMPOSE}, git=False)
    done = run_mcgitops("-C", folder, "-f", "other.yml", "check", cwd=tmp_path)
    assert "wine: 1 stage: train. No problems." in done.stdout
    missing = run_mcgitops("-C", "nope", "check", cwd=tmp_path, check=False)
    assert missing.code == 2
    assert len(missing.stderr.splitlines()) == 1


# check and schema


def test_check_tells_all_problems_as_text_and_as_json(
    run_mcgitops: Runner, project_factory: ProjectFactory
) -> None:
    broken = COMPOSE.replace("{metrics: [out/m.json]}", "{metric: [a], timeout: soon}")
    folder = project_factory({"compose.yml": broken}, git=False)
    done = run_mcgitops("check", cwd=folder, check=False)
    assert done.code == 2
    assert done.stderr.splitlines()[-1] == "2 problems. Nothing was started."
    as_json = run_mcgitops("check", "--json", cwd=folder, check=False)
    assert as_json.code == 2
    problems = json.loads(as_json.stdout)["problems"]
    assert [problem["line"] for problem in problems] == [6, 6]
    assert problems[0]["service"] == "train"
    assert problems[0]["text"] in done.stderr


def test_check_names_what_compose_refuses_as_json_too(
    run_mcgitops: Runner, project_factory: ProjectFactory
) -> None:
    folder = project_factory({"compose.yml": "services: {a: {imagee: b}}\n"}, git=False)
    done = run_mcgitops("check", "--json", cwd=folder, check=False)
    assert done.code == 2
    assert "imagee" in json.loads(done.stdout)["problems"][0]["message"]


def test_check_refuses_outputs_that_reach_the_build_context(
    run_mcgitops: Runner, project_factory: ProjectFactory
) -> None:
    text = COMPOSE.replace("image: busybox", "build: .")
    folder = project_factory({"compose.yml": text, "Dockerfile": "FROM x:1\n"}, git=False)
    done = run_mcgitops("check", cwd=folder, check=False)
    assert done.code == 2
    assert (
        "compose.yml:4: service train: build: out/m.json is a declared output and in the build "
        "context. Add out to .dockerignore."
    ) in done.stderr
    (folder / ".dockerignore").write_text("out\n")
    fine = run_mcgitops("check", cwd=folder)
    assert "No problems." in fine.stdout
    assert "base image x:1 isn't pinned by digest" in fine.stderr


def test_schema_prints_one_json_document(run_mcgitops: Runner, tmp_path: Path) -> None:
    done = run_mcgitops("schema", cwd=tmp_path)
    assert json.loads(done.stdout)["title"] == "Compose file with x-mcgitops"
    assert done.stderr == ""


# completion

PROBE = """\
eval "$(mcgitops completion bash)"
complete -p mcgitops
COMP_WORDS=(mcgitops tr); COMP_CWORD=1; COMP_LINE="mcgitops tr"; COMP_POINT=11
_mcgitops_completion mcgitops tr mcgitops; echo "verb: ${COMPREPLY[*]}"
COMP_WORDS=(mcgitops train --j); COMP_CWORD=2
_mcgitops_completion mcgitops --j train; echo "option: ${COMPREPLY[*]}"
"""


def test_completion_works_in_bash(tmp_path: Path) -> None:
    program = tmp_path / "mcgitops"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mcgitops "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "--norc", "-c", PROBE], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "_mcgitops_completion" in done.stdout
    assert "verb: train" in done.stdout
    assert "--jobs" in done.stdout.split("option: ")[1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    assert run(["completion", shell]) == 0
    assert "_MCGITOPS_COMPLETE" in capsys.readouterr().out


# imports

HEAVY = ("boto3", "docker", "rich", "jinja2", "github", "tabulate", "pydantic", "yaml")
IMPORTED = """\
import sys
from mcgitops.cli.main import run
code = run(sys.argv[1:])
print("\\nMODULES", *sorted({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""
MAY_IMPORT = {
    ("--version",): set(),
    ("--help",): set(),
    ("completion", "bash"): set(),
    ("schema",): {"yaml"},
    ("check",): {"yaml"},
    ("plan",): {"yaml"},
    ("plan", "--json"): {"yaml"},
    ("plan", "--shell"): {"yaml"},
    ("runs",): {"yaml"},
    ("push",): {"yaml"},
}


@pytest.mark.parametrize("arguments", MAY_IMPORT, ids=" ".join)
def test_no_verb_imports_what_it_does_not_use(
    project_factory: ProjectFactory, arguments: tuple[str, ...]
) -> None:
    folder = project_factory({"compose.yml": COMPOSE})
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.rpartition("\nMODULES ")[2].split())
    assert modules & set(HEAVY) <= MAY_IMPORT[arguments]


def test_nothing_that_an_error_quotes_steers_the_terminal(
    project_factory: ProjectFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project_factory({"compose.yml": COMPOSE})
    (folder / "data").mkdir()
    (folder / "data/\x1b[31mred").symlink_to("/etc/\x1b]0;title\x07\x9b1m\u202e")
    assert run(["--directory", str(folder), "data", "add", "data"]) == 2
    said = capsys.readouterr().err
    assert "data/red is a symbolic link that leads out of data: /etc/\ufffd]0;title\ufffd" in said
    assert all(char.isprintable() or char == "\n" for char in said)


def test_a_folder_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    script = "import os, sys; os.rmdir(os.getcwd()); from mcgitops.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "plan"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("The folder that this was started in is not there any more.")
