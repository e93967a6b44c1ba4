"""Hooks of the file → the exact commands, and arguments that reach their program as they are."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.commands import hook
from mcgitops.commands.ssh import SshOptions
from mcgitops.plan.hooks import ONLY_WARN, PHASES, hook_steps, longest
from mcgitops.plan.steps import Wanted
from mcgitops.project.environment import Hooks
from mcgitops.project.hosts import Host, HostFacts, Placement, WantedService

WANTED = Wanted(
    project="shop", environment="production", compose_project="shop-production", release="v2",
    digest="2222", services=(WantedService("web"),), variables=("TOKEN",),
)  # fmt: skip
V1 = Placement("v1", "1111", (WantedService("web"),), ("PORT",))
REMOTE = Host.parse("ssh://deploy@a.example.com:2222")
LOCAL = Host.parse("local://")
TOOLS = frozenset({"flock", "timeout"})
ON_V1 = HostFacts(REMOTE, root="/r", compose="2.40.3-3", tools=TOOLS, current=V1)
EMPTY = replace(ON_V1, current=None)

TOLD = (
    "--env MCGITOPS_ENVIRONMENT=production --env MCGITOPS_RELEASE=v2 "
    "--env MCGITOPS_PREVIOUS=v1 --env MCGITOPS_HOST=ssh://deploy@a.example.com:2222"
)
VARIABLES = TOLD.replace("--env ", "")


def compose(folder: str, name: str = "TOKEN") -> str:
    return (
        f"env -u COMPOSE_PROFILES -u {name} docker compose --ansi never "
        f"--project-name shop-production --project-directory /r/releases/{folder} "
        f"--env-file /r/releases/{folder}/.env --file /r/releases/{folder}/compose.yml"
    )


V2_COMPOSE = compose("v2/2222")
SERVICE = {"run": "migrate --to 'head now'", "service": "web", "timeout": "90s"}
ON_HOST = {"run": ["./backup", "a b"], "on": "host"}
HERE = {"run": "ops/announce.sh", "on": "local"}


def words(keys: dict[str, object], when: str, facts: HostFacts = ON_V1) -> str:
    """What the host's shell is given, or this machine's process."""
    hooks = Hooks.model_validate({when: [keys]})
    [step] = hook_steps(hooks, when, WANTED, facts, SshOptions(), is_first=True)  # type: ignore[arg-type]
    assert step.phase == PHASES[when]  # type: ignore[index]
    assert step.name == "hook"
    if step.command.host:
        assert step.command.argv[:2] == ("ssh", "-tt")
        assert step.command.argv[-3:-1] == ("--", "deploy@a.example.com")
        return step.command.argv[-1]
    return step.command.shell_line()


ALONE = f"sh -c {shlex.quote(hook._ALONE)} sh shop-production-web-hook"
RUN = "run --rm --no-TTY --interactive=false --name shop-production-web-hook"
EXEC = "exec --no-TTY --interactive=false"
GUARD = "flock /r/compose.lock timeout 90"
OWN = f"flock /r/compose.lock {ALONE} timeout -s KILL 90"

CASES: dict[str, tuple[dict[str, object], str, HostFacts, str]] = {
    "a migration before the new release": (
        SERVICE, "before_activate", ON_V1,
        f"{OWN} {V2_COMPOSE} {RUN} --no-deps --pull never {TOLD} web migrate --to 'head now'",
    ),
    "the first migration of all starts its database": (
        SERVICE, "before_activate", EMPTY,
        f"{OWN} {V2_COMPOSE} {RUN} --pull never {TOLD.replace('=v1', '=')} "
        "web migrate --to 'head now'",
    ),
    "a look at the new configuration starts nothing": (
        SERVICE, "after_prepare", EMPTY,
        f"{OWN} {V2_COMPOSE} {RUN} --no-deps --pull never {TOLD.replace('=v1', '=')} "
        "web migrate --to 'head now'",
    ),
    "a Compose that knows no --pull of run": (
        SERVICE, "before_activate", replace(ON_V1, compose="2.17.2", tools=frozenset()),
        f"{ALONE} {V2_COMPOSE} {RUN} --no-deps {TOLD} web migrate --to 'head now'",
    ),
    "in what runs": (
        SERVICE, "after_activate", ON_V1,
        f"{GUARD} {V2_COMPOSE} {EXEC} {TOLD} web migrate --to 'head now'",
    ),
    "before it goes back, in what runs then": (
        SERVICE, "before_rollback", ON_V1,
        f"{GUARD} {V2_COMPOSE} {EXEC} {TOLD} web migrate --to 'head now'",
    ),
    "back again, in the former release": (
        SERVICE, "after_rollback", ON_V1,
        f"{GUARD} {compose('v1/1111', 'PORT')} {EXEC} {TOLD} web migrate --to 'head now'",
    ),
    "on the host, in the release's folder": (
        ON_HOST, "after_commit", ON_V1,
        "timeout 600 sh -c 'cd -- \"$1\" && shift && \"$@\" </dev/null' sh /r/releases/v2/2222 "
        f"env {VARIABLES} ./backup 'a b'",
    ),
    "on the host, before there is a folder": (
        ON_HOST, "before_prepare", replace(ON_V1, tools=frozenset()),
        f"sh -c '\"$@\" </dev/null' sh env {VARIABLES} ./backup 'a b'",
    ),
    "on the host that is back, in its folder": (
        ON_HOST, "after_rollback", ON_V1,
        "timeout 600 sh -c 'cd -- \"$1\" && shift && \"$@\" </dev/null' sh /r/releases/v1/1111 "
        f"env {VARIABLES} ./backup 'a b'",
    ),
    "here": (HERE, "before_commit", ON_V1, f"{VARIABLES} timeout 600 ops/announce.sh"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_hook_is_this_command(case: str) -> None:
    keys, when, facts, expected = CASES[case]
    assert words(keys, when, facts) == expected


def test_a_hook_in_a_service_has_nowhere_to_run_where_nothing_ran_before() -> None:
    hooks = Hooks.model_validate({"after_rollback": [SERVICE, HERE]})
    [step] = hook_steps(hooks, "after_rollback", WANTED, EMPTY, SshOptions(), is_first=True)
    assert step.command.argv == ("timeout", "600", "ops/announce.sh")


def test_once_is_the_first_host_only_and_the_order_is_the_file_s() -> None:
    hooks = Hooks.model_validate({"before_activate": [{**HERE, "once": True}, ON_HOST, HERE]})
    on = {
        first: [
            step.command.reason
            for step in hook_steps(
                hooks, "before_activate", WANTED, ON_V1, SshOptions(), is_first=first
            )
        ]
        for first in (True, False)
    }
    reason = "hook before activate: "
    others = [reason + "./backup a b", reason + "ops/announce.sh"]
    assert on == {True: [reason + "ops/announce.sh", *others], False: others}


def test_the_most_patient_hook_bounds_all() -> None:
    assert longest(Hooks()) == 0
    hooks = Hooks.model_validate({"before_activate": [SERVICE], "after_commit": [HERE]})
    assert longest(hooks) == 600


def test_only_hooks_that_come_too_late_to_refuse_only_warn() -> None:
    refusing = set(PHASES) - ONLY_WARN
    assert refusing == {
        "before_prepare", "after_prepare", "before_activate", "after_activate", "before_commit",
    }  # fmt: skip


def test_a_reason_is_one_short_line_whatever_the_arguments() -> None:
    hooks = Hooks.model_validate(
        {"after_commit": [{"run": ["a\nb\x1b[31m", "c" * 99], "on": "host"}]}
    )
    [step] = hook_steps(hooks, "after_commit", WANTED, ON_V1, SshOptions(), is_first=True)
    assert step.command.reason == "hook after commit: a b [31m " + "c" * 50 + "…"


# what ssh, env and exec can carry at all
HOSTILE = st.lists(
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=12)
    | st.sampled_from(["$(id)", "`id`", "$HOME", "'", '"', "\\", "-x", "--", "*", "a=b", " \n"]),
    max_size=6,
)  # fmt: skip


@given(HOSTILE)
def test_hostile_arguments_survive_the_shell_behind_ssh(arguments: list[str]) -> None:
    for place in ({"on": "host"}, {"service": "web"}):
        text = words({**place, "run": ["program", *arguments]}, "after_activate")
        assert shlex.split(text)[-len(arguments) - 1 :] == ["program", *arguments]


@given(HOSTILE)
def test_hostile_arguments_reach_the_program(arguments: list[str]) -> None:
    # the very line that sshd gives to a login shell, as far as a program that tells what it got
    facts = replace(ON_V1, tools=TOOLS, root="/tmp")
    hooks = Hooks.model_validate({
        "before_prepare": [{"run": ["printf", "%s\\0", "-", *arguments], "on": "host"}]
    })  # fmt: skip
    [step] = hook_steps(hooks, "before_prepare", WANTED, facts, SshOptions(), is_first=True)
    done = subprocess.run(
        ["sh", "-c", step.command.argv[-1]], capture_output=True, check=True, timeout=20
    )
    assert done.stdout.decode().split("\0")[1:-1] == arguments
