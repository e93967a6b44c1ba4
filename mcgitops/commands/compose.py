"""`docker compose` on the project: run a stage, start what it needs, take it down."""

from __future__ import annotations

from mcgitops.commands.command import Command


def compose(
    *arguments: str, project_name: str = "", files: tuple[str, ...] = (), reason: str = ""
) -> Command:
    """`docker compose --project-name … --file … ARGUMENT…`, all profiles on."""
    argv = ["docker", "compose", "--profile", "*"]
    if project_name:
        argv += ["--project-name", project_name]
    for file in files:
        argv += ["--file", file]
    return Command((*argv, *arguments), reason=reason)


def run_detached(
    project_name: str, files: tuple[str, ...], service: str, container: str, *, reason: str = ""
) -> Command:
    """Start a stage's container and return at once; `mcgitops step collect` follows it."""
    return compose(
        "run", "--detach", "--no-deps", "--name", container, service,
        project_name=project_name, files=files, reason=reason,
    )  # fmt: skip


def up_companions(
    project_name: str, files: tuple[str, ...], services: tuple[str, ...], *, reason: str = ""
) -> Command:
    """Start the ordinary services that a stage needs, and wait until they are healthy."""
    return compose(
        "up", "--detach", "--wait", "--no-deps", "--no-build", *services,
        project_name=project_name, files=files, reason=reason,
    )  # fmt: skip


def down(project_name: str, files: tuple[str, ...], *, reason: str = "") -> Command:
    """Remove everything of a run's own project: containers, networks, volumes."""
    return compose(
        "down", "--volumes", "--remove-orphans", "--timeout", "10",
        project_name=project_name, files=files, reason=reason,
    )  # fmt: skip
