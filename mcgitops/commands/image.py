"""`docker image …`: take an image out of an engine, put it into one, name it, send it by registry.

Each function returns an argument list, since the same runs here or on a host.
"""

from __future__ import annotations

Argv = tuple[str, ...]


def save(*images: str) -> Argv:
    """The images as one archive on standard output: what they share is in it once."""
    return ("docker", "image", "save", *images)


def load() -> Argv:
    """Images from an archive on standard input (gzip is recognised)."""
    return ("docker", "image", "load", "--quiet")


def inspect(*images: str, template: str = "") -> Argv:
    """What the engine knows of images."""
    shown = ("--format", template) if template else ()
    return ("docker", "image", "inspect", *shown, *images)


def tag(image: str, reference: str) -> Argv:
    """Another name for an image."""
    return ("docker", "image", "tag", image, reference)


def pull(reference: str) -> Argv:
    """Fetch an image from its registry."""
    return ("docker", "image", "pull", "--quiet", reference)


def push(reference: str) -> Argv:
    """Send an image to its registry."""
    return ("docker", "image", "push", "--quiet", reference)
