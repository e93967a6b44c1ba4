"""A hook's program where it belongs: on this machine, in a folder of a host, in a service.

Each function returns an argument list in which the hook's own arguments stand unchanged. None of
them has anything to read: on a host a program that reads its terminal from the background, where
`timeout` puts it, would be stopped for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mcgitops.commands.compose_host import Argv, compose


def limited(argv: Argv, seconds: int) -> Argv:
    """`argv`, ended after so many seconds."""
    return ("timeout", str(seconds), *argv)


def in_folder(folder: str, environment: Mapping[str, str], argv: Argv) -> Argv:
    """`argv` with these variables in a folder of the host; "" is the one that ssh starts in."""
    told = tuple(f"{name}={value}" for name, value in environment.items())
    if not folder:
        return ("sh", "-c", '"$@" </dev/null', "sh", "env", *told, *argv)
    text = 'cd -- "$1" && shift && "$@" </dev/null'
    return ("sh", "-c", text, "sh", folder, "env", *told, *argv)


_ALONE = """\
name=$1; shift
docker rm --force "$name" >/dev/null 2>&1
"$@" </dev/null; code=$?
[ -z "$(docker rm --force "$name" 2>/dev/null)" ] || { echo "It did not end in time."; code=124; }
exit $code"""
"""A container whose first process knows no SIGTERM outlives the Compose that waits for it. What an
earlier call left, cut off from its connection, goes first: a migration never runs beside itself."""


def in_new_container(
    folder: str, project_name: str, variables: Iterable[str], service: str, argv: Argv,
    environment: Mapping[str, str], *, seconds: int = 0, alone: bool = True,
    never_pull: bool = True,
) -> Argv:  # fmt: skip
    """`argv` in a container of its own, made from a service of the folder and removed afterwards.

    seconds: how long it may take; 0 where the host has no `timeout`. alone: what the service
    depends on isn't started. never_pull: unknown to Compose before 2.33.
    """
    name = f"{project_name}-{service}-hook"
    run = compose(
        folder, project_name, variables,
        "run", "--rm", "--no-TTY", "--interactive=false", "--name", name,
        *(("--no-deps",) if alone else ()), *(("--pull", "never") if never_pull else ()),
        *_told(environment), service, *argv,
    )  # fmt: skip
    bounded = ("timeout", "-s", "KILL", str(seconds), *run) if seconds else run
    return ("sh", "-c", _ALONE, "sh", name, *bounded)


def in_running_container(
    folder: str, project_name: str, variables: Iterable[str], service: str, argv: Argv,
    environment: Mapping[str, str],
) -> Argv:  # fmt: skip
    """`argv` in a container of the service that runs."""
    return compose(
        folder, project_name, variables,
        "exec", "--no-TTY", "--interactive=false", *_told(environment), service, *argv,
    )  # fmt: skip


def _told(environment: Mapping[str, str]) -> Argv:
    return tuple(
        word for name, value in environment.items() for word in ("--env", f"{name}={value}")
    )
