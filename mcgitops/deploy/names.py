"""Names in one place: releases and the tags they come from, images, and folders on a host."""

from __future__ import annotations

import re

from mcgitops.errors import UsageError

# what git allows in a tag (git-check-ref-format), without what a shell or a path would trip over
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@/-]*")
_BRANCH_RELEASE = re.compile(r"(?P<branch>.+)-(?P<sha>[0-9a-f]{12})")


def check_release_name(name: str) -> str:
    """`name` itself where it can name a release; raises `UsageError` otherwise."""
    parts = name.split("/")
    fine = (
        _TAG.fullmatch(name)
        and len(name) <= 128
        and ".." not in name
        and "@{" not in name
        and not any(part.startswith(".") or part.endswith((".lock", ".")) for part in parts)
        and all(parts)
    )
    if not fine:
        raise UsageError(
            f"{name!r} can't name a release.",
            "Use a tag of letters, digits and . _ - + @ /, at most 128, such as v1.4.0.",
        )
    return name


def branch_release(branch: str, commit: str) -> str:
    """The release of a branch trigger: `main-1a2b3c4d5e6f`."""
    return check_release_name(f"{branch}-{commit[:12]}")


def commit_of_branch_release(name: str) -> str | None:
    """The abbreviated commit in `main-1a2b3c4d5e6f`, or None for a tag's name."""
    match = _BRANCH_RELEASE.fullmatch(name)
    return match["sha"] if match else None


def compose_project(project: str, environment: str) -> str:
    """The compose project on a host: two environments on one host don't share anything."""
    return f"{project}-{environment}"


def image_reference(project: str, service: str, config_digest: str) -> str:
    """An image's name on hosts. It tells the content, so that a name is never moved."""
    part = re.sub(r"[^a-z0-9]+", "-", service.lower()).strip("-") or "service"
    content = config_digest.replace(":", "-")[:23]
    return f"mcgitops/{_component(project)}/{part}:{content}"


def image_folder(project: str) -> str:
    """What the names of all images of a project begin with."""
    return f"mcgitops/{_component(project)}"


def build_tag(project: str, service: str, commit: str) -> str:
    """What a release's build is called in the engine that builds it."""
    part = re.sub(r"[^a-z0-9]+", "-", service.lower()).strip("-") or "service"
    return f"mcgitops/{_component(project)}/{part}:commit-{commit[:12]}"


def _component(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "project"
