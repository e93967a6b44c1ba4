"""A command as a value: no secret leaves it, and its line means in bash what its words mean."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.commands import compose, ours
from mcgitops.commands.command import Command, Secret

# anything a program can be given: all but NUL
WORDS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=30)
HOSTILE = (
    "", " ", "a b", "it's", '"', "$HOME", "$(touch /tmp/x)", "`id`", "\\", "\n", "a\nb", "#x", "~",
    "*", "!x", "-n", "--", "é数", "\t", "\r", "&&", "|", ";", "<", ">", "\x01", "{a,b}", "a=b",
)  # fmt: skip


def in_bash(line: str) -> list[str]:
    """The words that bash makes of a line whose program prints its arguments."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@given(st.lists(st.one_of(WORDS, st.sampled_from(HOSTILE)), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_bash_sees_the_very_words(words: list[str]) -> None:
    line = Command(("printf", "%s\\0", *words)).shell_line()
    assert in_bash(line) == words


@given(st.lists(st.sampled_from(HOSTILE), max_size=5), st.sampled_from(HOSTILE))
@settings(max_examples=60, deadline=None)
def test_bash_sees_the_very_environment(words: list[str], value: str) -> None:
    script = 'printf "%s\\0" "$VALUE" "$@"'
    command = Command(("sh", "-c", script, "sh", *words), env={"VALUE": value})
    assert in_bash(command.shell_line()) == [value, *words]


def test_folder_and_standard_input_are_quoted(tmp_path: pytest.TempPathFactory) -> None:
    command = Command(("cat",), cwd="a b'c", stdin="in $x")
    assert command.shell_line() == "(cd 'a b'\"'\"'c' && cat < 'in $x')"


def test_a_secret_in_the_environment_is_named_in_the_line_and_taken_from_there() -> None:
    command = Command(("sh", "-c", 'printf "%s\\0" "$T"'), env={"T": Secret("TOKEN", "geheim")})
    assert command.shell_line() == """T="$TOKEN" sh -c 'printf "%s\\0" "$T"'"""
    assert in_bash("TOKEN=\"a 'b' \\$c\"; " + command.shell_line()) == ["a 'b' $c"]


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("TOKEN", "geheim")
    command = Command(("x",), env={"T": secret})
    shown = [
        str(secret), repr(secret), f"{secret}", f"{secret!s}", repr([secret]), repr(command),
        command.shell_line(), json.dumps(command.to_json()), str(command), repr({secret: 1}),
    ]  # fmt: skip
    assert not [text for text in shown if "geheim" in text]
    assert secret.reveal() == "geheim"
    for serialise in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="the secret TOKEN can't be serialised"):
            serialise(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert not hasattr(secret, "__dict__")


def test_a_secret_in_the_arguments_is_refused() -> None:
    with pytest.raises(TypeError, match=r"argument \$TOKEN is not text"):
        Command(("x", Secret("TOKEN", "geheim")))  # type: ignore[arg-type]


def test_secrets_compare_by_name_and_value() -> None:
    assert Secret("A", "x") == Secret("A", "x")
    assert Secret("A", "x") != Secret("A", "y")
    assert Secret("A", "x") != "x"
    assert len({Secret("A", "x"), Secret("A", "x"), Secret("A", "y")}) == 2


def test_a_command_is_a_value() -> None:
    command = Command(("a", "b"), env={"X": "1"}, reason="why")
    assert command == Command(("a", "b"), env={"X": "1"}, reason="why")
    assert command.because("else").reason == "else"
    assert command.reason == "why"
    with pytest.raises(FrozenInstanceError):
        command.reason = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        command.env["X"] = "2"  # type: ignore[index]
    with pytest.raises(ValueError, match="needs a program"):
        Command(())


def test_json_holds_only_what_is_said() -> None:
    assert Command(("a",)).to_json() == {"argv": ["a"]}
    full = Command(("a",), env={"X": "1"}, cwd="c", host="ssh://h", stdin="i", reason="r")
    assert full.to_json() == {
        "argv": ["a"], "env": {"X": "1"}, "cwd": "c", "host": "ssh://h", "stdin": "i",
        "reason": "r",
    }  # fmt: skip


# compose and our own verbs: the exact words

PROJECT = ("--project-name", "wine-4be1c0", "--file", "compose.yml", "--file", "o.yml")
ALL = ("docker", "compose", "--profile", "*")


def test_the_exact_words_of_compose() -> None:
    files = ("compose.yml", "o.yml")
    name = "wine-4be1c0"
    assert compose.run_detached(name, files, "train", "c1", reason="r") == Command(
        (*ALL, *PROJECT, "run", "--detach", "--no-deps", "--name", "c1", "train"), reason="r"
    )
    assert compose.run_detached(name, files, "train", "c1", with_dependencies=True) == Command(
        (*ALL, *PROJECT, "run", "--detach", "--name", "c1", "train")
    )
    assert compose.build_services(name, files, ("db", "mq")) == Command(
        (*ALL, *PROJECT, "build", "db", "mq")
    )
    assert compose.compose("ps").argv == (*ALL, "ps")


def test_our_own_verbs_are_known_as_ours() -> None:
    command = ours.verb("step", "prepare", "train", "4be1c0", reason="volumes")
    assert command.shell_line() == "mcgitops step prepare train 4be1c0"
    assert command.is_ours
    assert not Command(("docker", "ps")).is_ours
    assert not Command(("mcgitops", "agent"), host="ssh://a").is_ours
