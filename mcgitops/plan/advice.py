"""Advice that needs no look at the disk: what works, and is better done otherwise."""

from __future__ import annotations

from mcgitops.commands.build import looks_secret
from mcgitops.project.model import Project


def secret_arguments(project: Project) -> tuple[str, ...]:
    """Warnings for build arguments that look secret: an image keeps them for everybody to read."""
    return tuple(
        f"service {service.name}: the build argument {name} looks like a secret, and the image's "
        "history keeps it. Use build.secrets."
        for service in project.services.values()
        for name in ((service.build or {}).get("args") or {})
        if looks_secret(str(name))
    )
