"""A user's hooks as commands: what runs around a phase of a rollout, where, and with what. Pure.

A hook is an argument list from the compose file to the program: no shell of ours reads it, neither
here nor on the host nor in a container.
"""

from __future__ import annotations

from mcgitops.commands.command import Command
from mcgitops.commands.compose_host import Argv, guarded
from mcgitops.commands.hook import in_folder, in_new_container, in_running_container, limited
from mcgitops.commands.ssh import SshOptions, on_host
from mcgitops.plan.steps import Phase, Step, Wanted
from mcgitops.project.base import seconds
from mcgitops.project.environment import Hook, Hooks
from mcgitops.project.environment import Phase as When
from mcgitops.project.hosts import HostFacts

PHASES: dict[When, Phase] = {
    "before_prepare": "prepare", "after_prepare": "prepare",
    "before_activate": "activate", "after_activate": "activate",
    "before_commit": "confirm", "after_commit": "finish",
    "before_rollback": "undo", "after_rollback": "undo",
}  # fmt: skip
"""The phase of the rollout that a hook's steps belong to."""

ONLY_WARN: frozenset[When] = frozenset({"after_commit", "before_rollback", "after_rollback"})
"""Where a hook that fails changes nothing: there is no way back, or this is the way back."""

_RUN_PULL = (2, 33)  # the first Compose whose `run` has --pull


def hook_steps(
    hooks: Hooks, when: When, wanted: Wanted, facts: HostFacts, options: SshOptions, *,
    is_first: bool,
) -> tuple[Step, ...]:  # fmt: skip
    """The steps of all hooks of one moment on one host.

    is_first: whether this is the rollout's first host, the only one for a hook with `once`.
    """
    return tuple(
        Step(PHASES[when], "hook", command)
        for hook in getattr(hooks, when)
        if is_first or not hook.once
        if (command := _command(hook, when, wanted, facts, options)) is not None
    )


def longest(hooks: Hooks) -> int:
    """The seconds that the most patient hook may take: a bound for whoever executes them.

    Where `timeout` exists, the command itself ends at its own hook's limit.
    """
    every = (hook for when in PHASES for hook in getattr(hooks, when))
    return max((seconds(hook.timeout) for hook in every), default=0)


def variables(wanted: Wanted, facts: HostFacts) -> dict[str, str]:
    """What a hook is told through its environment."""
    return {
        "MCGITOPS_ENVIRONMENT": wanted.environment,
        "MCGITOPS_RELEASE": wanted.release,
        "MCGITOPS_PREVIOUS": facts.current.release if facts.current else "",
        "MCGITOPS_HOST": facts.host.url,
    }


def _command(
    hook: Hook, when: When, wanted: Wanted, facts: HostFacts, options: SshOptions
) -> Command | None:
    reason = f"hook {when.replace('_', ' ')}: {_short(hook.argv)}"
    told = variables(wanted, facts)
    limit = seconds(hook.timeout)
    if hook.on == "local":
        return Command(limited(hook.argv, limit), told, reason=reason)
    if hook.on == "host":
        folder = "" if when == "before_prepare" else _folder(when, wanted, facts)[0]
        argv = in_folder(folder, told, hook.argv)
        if "timeout" in facts.tools:
            argv = limited(argv, limit)
    elif when == "after_rollback" and facts.current is None:
        return None  # nothing runs there again
    else:
        argv = _in_service(hook, when, wanted, facts, told)
    return on_host(facts.host.url, argv, options, tied=True, reason=reason)


def _in_service(
    hook: Hook, when: When, wanted: Wanted, facts: HostFacts, told: dict[str, str]
) -> Argv:
    folder, names = _folder(when, wanted, facts)
    service = hook.service or ""  # the model has refused a hook without one
    project, limit = wanted.compose_project, seconds(hook.timeout)
    if when not in ("after_prepare", "before_activate"):
        argv = in_running_container(folder, project, names, service, hook.argv, told)
        return guarded(facts.root, argv, seconds=limit, tools=facts.tools)
    argv = in_new_container(
        folder, project, names, service, hook.argv, told,
        seconds=limit if "timeout" in facts.tools else 0,
        # a first migration needs its database, which nothing has started yet
        alone=when == "after_prepare" or facts.current is not None,
        never_pull=_version(facts.compose) >= _RUN_PULL,
    )  # fmt: skip
    return guarded(facts.root, argv, seconds=limit, tools=facts.tools - {"timeout"})


def _folder(when: When, wanted: Wanted, facts: HostFacts) -> tuple[str, tuple[str, ...]]:
    """The release folder that a hook is about, and the variables of that release."""
    if when == "after_rollback" and facts.current is not None:
        return f"{facts.root}/releases/{facts.current.folder}", facts.current.variables
    return f"{facts.root}/releases/{wanted.placement}", wanted.variables


def _version(text: str) -> tuple[int, ...]:
    """`2.40.3-3` → (2, 40); () where it is none."""
    parts = text.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


def _short(argv: tuple[str, ...]) -> str:
    """The program and its arguments on one line, for people."""
    text = "".join(c if c.isprintable() else " " for c in " ".join(argv))
    return text if len(text) <= 60 else text[:59] + "…"
