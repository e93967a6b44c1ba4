"""Which images a host has, and what it lacks of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mcgitops.project.hosts import HostFacts, ImageFact, Pin

_CLASSIC = frozenset({"aufs", "devicemapper", "overlay", "overlay2", "vfs", "windowsfilter"})


def has_image(pin: Pin, facts: HostFacts) -> bool:
    """Whether a host holds the very image, under its name."""
    return any(
        pin.reference in image.references and same_image(pin, image) for image in facts.images
    )


def same_image(pin: Pin, image: ImageFact) -> bool:
    """Whether an image is the pinned one.

    A classic engine's image id is the digest of the configuration, which names the layers too. The
    containerd store's id is another digest; there the layers are compared, and the name, which
    holds the configuration's digest and was given after loading exactly that configuration.
    """
    if image.id == pin.config_digest:
        return True
    return image.driver not in _CLASSIC and image.diff_ids == pin.diff_ids


def lacking(pin: Pin, images: Iterable[ImageFact]) -> tuple[str, ...]:
    """The layers to send: all above the longest stack of layers that the host has."""
    known = 0
    for image in images:
        common = 0
        for ours, theirs in zip(pin.diff_ids, image.diff_ids, strict=False):
            if ours != theirs:
                break
            common += 1
        known = max(known, common)
    return pin.diff_ids[known:]
