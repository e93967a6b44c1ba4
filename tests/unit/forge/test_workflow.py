"""What is said to the runner: nothing that a script prints may become a command of it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from mcgitops.forge import workflow


def parsed_commands(text: str) -> list[str]:
    """The commands that a runner would carry out, by its own rules."""
    commands, stop = [], ""
    for line in text.replace("\r", "\n").split("\n"):
        if stop:
            stop = "" if line.strip() == f"::{stop}::" else stop
        elif line.lstrip().startswith("::stop-commands::"):
            stop = line.strip().removeprefix("::stop-commands::")
        elif line.lstrip().startswith("::"):
            commands.append(line)
    assert not stop, "commands stay stopped"
    return commands


@pytest.mark.parametrize(
    "log",
    [
        "::set-output name=x::y",
        "  ::add-path::/evil",
        "::stop-commands::abc\n::abc::\n::error::x",
        "fine\r::error::x",
        "::endgroup::",
    ],
)
def test_a_log_carries_no_commands(log: str) -> None:
    assert parsed_commands(workflow.untrusted(log)) == []


def test_each_log_is_ended_by_a_word_of_its_own() -> None:
    assert workflow.untrusted("x") != workflow.untrusted("x")
    assert workflow.untrusted("") == ""


def test_a_title_stays_on_its_line() -> None:
    assert workflow.group("a\n::error::b 100%") == "::group::a%0A::error::b 100%25"


def test_annotations_are_escaped() -> None:
    made = workflow.annotation(
        "error", "50 %\r\n::error::x", title="a,b: c", file="train,1.py", line=3
    )
    assert made == "::error title=a%2Cb%3A c,file=train%2C1.py,line=3::50 %25%0D%0A::error::x"
    assert workflow.annotation("notice", "x") == "::notice::x"
    assert parsed_commands(made) == [made]


def test_no_more_annotations_than_the_runner_shows() -> None:
    annotate = workflow.Annotations()
    made = [annotate("error", f"message {n}") for n in range(15)]
    assert sum(line.startswith("::error::") for line in made) == 10
    assert "message 14" in made[-1]
    assert parsed_commands(made[-1]) == []
    assert annotate("warning", "w") == "::warning::w"


def test_a_secret_is_hidden_line_by_line_and_encoded() -> None:
    commands = workflow.mask("first line\nsecond/50%\n\nab")
    assert "::add-mask::first line" in commands
    assert "::add-mask::second/50%25" in commands
    assert f"::add-mask::{base64.b64encode(b'first line').decode()}" in commands
    assert "::add-mask::second%252F50%2525" in commands
    assert not any(command.endswith("::ab") for command in commands)
    assert all("\n" not in command for command in commands)


def test_an_outputs_value_cant_begin_another_output(tmp_path: Path) -> None:
    path = tmp_path / "output"
    workflow.write_output(path, "a", "1\nEOF\nb=2")
    workflow.write_output(path, "c", "")
    first, last = path.read_text().splitlines()[0].split("<<"), path.read_text().splitlines()
    assert first[0] == "a"
    assert last.index(first[1]) == 4
    assert len({line.split("<<")[1] for line in last if "<<" in line}) == 2


@pytest.mark.parametrize(("name", "value"), [("a", "x\nDELIM\n"), ("a\nb", "x"), ("", "x")])
def test_what_would_break_the_file_of_outputs_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"delimiter|not a name"):
        workflow.output(name, value, "DELIM")


def test_the_summary_stays_below_the_runners_limit(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    workflow.append_summary(path, "| 🔴 | row |\n" * 40_000)
    before = path.stat().st_size
    workflow.append_summary(path, "| 🔴 | row |\n" * 40_000)
    workflow.append_summary(path, "more\n" * 10_000)
    assert before < path.stat().st_size <= workflow.SUMMARY_BYTES
    assert "cut here" in path.read_text()


def test_a_short_summary_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    workflow.append_summary(path, "one")
    workflow.append_summary(path, "two\n")
    assert path.read_text() == "one\ntwo\n"
