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
    project_name: str,
    files: tuple[str, ...],
    service: str,
    container: str,
    *,
    with_dependencies: bool = False,
    reason: str = "",
) -> Command:
    """Start a stage's container and return at once; `mcgitops step collect` follows it.

    with_dependencies: start what it depends on first, and wait for its conditions.
    """
    options = () if with_dependencies else ("--no-deps",)
    return compose(
        "run", "--detach", *options, "--name", container, service,
        project_name=project_name, files=files, reason=reason,
    )  # fmt: skip


def build_services(
    project_name: str, files: tuple[str, ...], services: tuple[str, ...], *, reason: str = ""
) -> Command:
    """Build the images of services that run along with a stage."""
    return compose("build", *services, project_name=project_name, files=files, reason=reason)
