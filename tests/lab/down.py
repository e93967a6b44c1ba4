"""Removing what the lab made in the engine, found by label and name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING

from tests.lab.program import LABEL, REPOSITORY, output, run, say

if TYPE_CHECKING:
    from docker.api.client import APIClient


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
    """Remove what stands under a test's own name: its compose projects, containers, images.

    Through the engine's API: a program for each question and each answer would take ten times as
    much of the processor, after each of a thousand tests.
    """
    from docker.errors import APIError

    engine = api()

    def mine(names: Iterable[str], labels: Mapping[str, str] | None) -> bool:
        project = (labels or {}).get("com.docker.compose.project", "")
        return any(one.startswith(name) for one in (*names, project))

    def away(what: Callable[[], object]) -> None:
        with suppress(APIError):  # gone already, or in use by what isn't ours
            what()

    for found in engine.containers(all=True):
        names = [each.lstrip("/") for each in found["Names"] or ()]
        if mine(names, found["Labels"]):
            away(partial(engine.remove_container, found["Id"], v=True, force=True))
    for found in engine.networks():
        if mine([found["Name"]], found["Labels"]):
            away(partial(engine.remove_network, found["Id"]))
    for found in engine.volumes()["Volumes"] or ():
        if mine([found["Name"]], found["Labels"]):
            away(partial(engine.remove_volume, found["Name"], force=True))
    for found in engine.images(all=False):
        tags = [tag for tag in found["RepoTags"] or () if tag != "<none>:<none>"]
        for tag in tags:
            if name in tag:
                away(partial(engine.remove_image, tag, force=True))
        # An image that was built anew for the same name has lost it, but not the label of Compose.
        if not tags and mine((), found["Labels"]):
            away(partial(engine.remove_image, found["Id"], force=True))


def api() -> APIClient:
    """The engine's API, with one client for all who ask."""
    return _api(os.environ.get("DOCKER_HOST", ""))


@cache
def _api(host: str) -> APIClient:
    """The engine as the `docker` program reaches it: by DOCKER_HOST (`host`), or the context."""
    from mcgitops.run.engine import Engine

    return Engine().client.api


def _tags() -> list[str]:
    listed = output("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    return [tag for tag in listed if "<none>" not in tag]
