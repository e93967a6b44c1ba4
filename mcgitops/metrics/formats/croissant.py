"""Croissant, a data set's description as JSON-LD: its name and version, and its files' checksums.

As one of a stage's files it gives the data set's name and version as parameters. As an input
(`croissant:` in the compose file) its files are held against their checksums before training:
`mcgitops.run.croissant`. Specification: Croissant 1.0, MLCommons, `FileObject`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching
from mcgitops.metrics.formats.parsed import HEAD, data_of, parsed
from mcgitops.metrics.values import Findings, UnreadableError, Warnings, scalar, text

_VOCABULARY = "mlcommons.org/croissant"
_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "md5": re.compile(r"[0-9a-f]{32}")}
_NAMED = ("name", "version", "datePublished")


@dataclass(frozen=True)
class FileObject:
    """A file of the data set. `digests`: algorithm (`sha256`, `md5`) → hex digits.

    `inside` is true for a file in an archive, whose content can't be held against anything here.
    """

    name: str
    url: str
    digests: Mapping[str, str]
    inside: bool = False


def claims(files: Files) -> Iterator[Claim]:
    """JSON that says that it conforms to Croissant."""
    for path in matching(files, "*.json", "*.jsonld", "*.JSON"):
        if _VOCABULARY.encode() not in head(files, path, HEAD):
            continue
        claim = parsed(files, path) if not path.endswith(".jsonld") else None
        if claim is None or conforms(claim.data):
            yield claim or Claim(path, (path,))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Name and version."""
    data = data_of(files, claim, warnings)
    if not conforms(data):
        raise UnreadableError("doesn't say that it conforms to Croissant.")
    return Findings(params={claim.source: described(data, warnings)})


def described(data: Mapping[str, Any], warnings: Warnings) -> dict[str, Any]:
    """What the description says of the data set as a whole."""
    shown = {key: data.get(key, data.get(f"sc:{key}")) for key in _NAMED}
    return {
        key: scalar(value, key, warnings)
        for key, value in shown.items()
        if value is not None and not isinstance(value, (Mapping, list))
    }


def conforms(data: Any) -> bool:
    """Whether loaded JSON-LD is a Croissant description."""
    if not isinstance(data, Mapping):
        return False
    said = data.get("conformsTo", data.get("dct:conformsTo"))
    return any(_VOCABULARY in part for part in _texts(said))


def file_objects(data: Mapping[str, Any]) -> tuple[FileObject, ...]:
    """The files that the description names; what isn't formed like one is left out.

    A checksum that is no hex digits is none: some writers put a link there.
    """
    found = []
    listed = data.get("distribution", data.get("sc:distribution"))
    for item in listed if isinstance(listed, list) else [listed]:  # JSON-LD: one needs no list
        if not isinstance(item, Mapping) or "FileObject" not in str(item.get("@type")):
            continue
        url = item.get("contentUrl", item.get("sc:contentUrl"))
        digests = {
            name: value.strip().lower()
            for name, digits in _HEX.items()
            if isinstance(value := item.get(name, item.get(f"sc:{name}")), str)
            and digits.fullmatch(value.strip().lower())
        }
        name = text(str(item.get("name") or item.get("@id") or url or "a file"), 200)
        inside = item.get("containedIn") is not None
        found.append(FileObject(name, url if isinstance(url, str) else "", digests, inside))
    return tuple(found)


def _texts(value: Any) -> Iterable[str]:
    """The texts of a JSON-LD value: alone, in a list, or as `{"@id": …}`."""
    for part in value if isinstance(value, list) else [value]:
        inner = part.get("@id") if isinstance(part, Mapping) else part
        if isinstance(inner, str):
            yield inner
