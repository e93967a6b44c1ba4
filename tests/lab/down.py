"""Removing what the lab made in the engine, found by its label."""

from __future__ import annotations

from tests.lab.program import LABEL, output, run, say


def remove(label: str = LABEL, *, with_images: bool = False) -> None:
    """Remove containers, networks and volumes with `label`, and images where asked."""
    filter_ = ("--filter", f"label={label}")
    if containers := output("docker", "ps", "--all", "--quiet", *filter_).split():
        run("docker", "rm", "--force", "--volumes", *containers)
    for kind in ("network", "volume"):
        if names := output("docker", kind, "ls", "--quiet", *filter_).split():
            run("docker", kind, "rm", *names, check=False)
    if with_images:
        listed = output("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", *filter_)
        if tags := [name for name in listed.split() if "<none>" not in name]:
            say(f"Removing the images {', '.join(tags)}.")
            run("docker", "image", "rm", "--force", *tags, check=False)


def remove_named(name: str) -> None:
    """Remove what stands under a test's own name: its compose projects, containers, images."""
    for kind, listing, removal in (
        ("container", ("ps", "--all"), ("rm", "--force", "--volumes")),
        ("network", ("network", "ls"), ("network", "rm")),
        ("volume", ("volume", "ls"), ("volume", "rm", "--force")),
    ):
        field = "Names" if kind == "container" else "Name"
        project = '{{.Label "com.docker.compose.project"}}'
        lines = output("docker", *listing, "--format", f"{{{{.{field}}}}} {project}").splitlines()
        doomed = [
            words[0]
            for words in (line.split() for line in lines)
            if any(word.startswith(name) for word in words)
        ]
        if doomed:
            run("docker", *removal, *doomed, check=False)
    listed = output("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    if tags := [tag for tag in listed if name in tag.split("/")[-1] or name in tag]:
        run("docker", "image", "rm", "--force", *tags, check=False)
