"""Removing what the lab made in the engine, found by label and name."""

from __future__ import annotations

from tests.lab.program import LABEL, REPOSITORY, output, run, say


def remove(label: str = LABEL, *, with_images: bool = False) -> None:
    """Remove containers, networks and volumes with `label`, and images where asked."""
    filter_ = ("--filter", f"label={label}")
    if containers := output("docker", "ps", "--all", "--quiet", *filter_).split():
        run("docker", "rm", "--force", "--volumes", *containers)
    for kind in ("network", "volume"):
        if names := output("docker", kind, "ls", "--quiet", *filter_).split():
            run("docker", kind, "rm", *names, check=False)
    if with_images and (tags := [tag for tag in _tags() if tag.startswith(f"{REPOSITORY}/")]):
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
    images = [tag for tag in _tags() if name in tag]
    # An image that was built anew for the same name has lost it, but not the label of Compose.
    if nameless := output("docker", "image", "ls", "--quiet", "--filter", "dangling=true").split():
        template = '{{.Id}} {{index .Config.Labels "com.docker.compose.project"}}'
        labels = output("docker", "image", "inspect", "--format", template, *nameless)
        pairs = (line.partition(" ") for line in labels.splitlines())
        images += [image for image, _, project in pairs if project.startswith(name)]
    if images:
        run("docker", "image", "rm", "--force", *images, check=False)


def _tags() -> list[str]:
    listed = output("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    return [tag for tag in listed if "<none>" not in tag]
