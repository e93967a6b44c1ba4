"""Where things are in a store: the keys, and how names become parts of keys. Pure.

    objects/sha256/ab/<64 hex>                          artifacts by content, a file each
    packs/ab/<64 hex>                                   many small artifacts after one another
    packs/ab/<64 hex>.index                             what is in that pack, and where
    journal/<number>.json                               what came into the store, counted from 1
    journal/spans/<number>-<length>.json                so many of these from that number on
    runs/<project>/<stage>/<fingerprint>.json           succeeded runs
    attempts/<project>/<stage>/<fingerprint>/<id>.json  runs that failed
    commits/<sha>/<project>/<stage>.json                which runs a commit has
    releases/<project>/<name>.json
    deployments/<project>/<environment>/<id>.json
    wanted/<project>/<environment>/<number>.json        what its agent is to deploy, counted from 1
    reports/<project>/<sha>/<key>.html                  the HTML report of a commit, for browsers
    marks/<time>-<random>.json                          what garbage collection found unneeded
    trash/<id>…                                         what it is removing, until that is safe
    damaged/<key>                                       what `verify --repair` set aside
    doctor/<random>/<name>                              what `store doctor` tries, while it does

A name (of a project, a stage, a tag) may hold any character. As a segment of a key everything but
`A-Z a-z 0-9 . _ -` is percent-encoded, `.` and `..` too, and a name whose encoding is longer than
a file name may be is cut and ends in `~` and its digest (`~` itself is encoded elsewhere, so that
the two kinds can't be mistaken for each other). Records hold their names themselves: no name is
ever read back from a key.
"""

from __future__ import annotations

import hashlib
import re

from mcgitops.errors import StoreError

DOCTOR = "doctor/"
LONGEST_SEGMENT = 200  # bytes; file systems allow 255, and ".json" and temporary names need room
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_SHORT = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST_SEGMENT}}}\Z")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
_OBJECT = re.compile(r"objects/sha256/([0-9a-f]{2})/([0-9a-f]{64})\Z")
_INDEX = re.compile(r"packs/([0-9a-f]{2})/([0-9a-f]{64})\.index\Z")
_KEY = re.compile(r"(?!\.{1,2}(/|\Z))[A-Za-z0-9._%~-]+(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._%~-]+)*\Z")


def segment(name: str) -> str:
    """A name as one segment of a key. Different names give different segments."""
    if not name:
        raise StoreError("A record needs a name, and this one is empty.")
    if name in (".", ".."):
        return "%2E" * len(name)
    if _SHORT.match(name):
        return name  # as nearly all are; there may be tens of thousands
    raw = name.encode("utf-8", "surrogatepass")
    encoded = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)
    if len(encoded) <= LONGEST_SEGMENT:
        return encoded
    digest = hashlib.sha256(raw).hexdigest()
    return f"{encoded[: LONGEST_SEGMENT - 65]}~{digest}"


def object_key(digest: str) -> str:
    """The key of the object with this digest (`sha256:<64 hex>`)."""
    hexadecimal = hex_of(digest)
    return f"objects/sha256/{hexadecimal[:2]}/{hexadecimal}"


def digest_of(key: str) -> str | None:
    """The digest of the object that has this key of its own; None where the key is no object's."""
    match = _OBJECT.match(key)
    return f"sha256:{match[2]}" if match and match[2].startswith(match[1]) else None


def pack_key(name: str) -> str:
    """The key of the pack whose bytes have this SHA-256 (64 hex digits)."""
    hexadecimal = hex_of(f"sha256:{name}")
    return f"packs/{hexadecimal[:2]}/{hexadecimal}"


def index_key(name: str) -> str:
    """The key of what says what is in that pack."""
    return f"{pack_key(name)}.index"


def pack_of(key: str) -> str | None:
    """The name of the pack whose index has this key; None where it is no index of a pack."""
    match = _INDEX.match(key)
    return match[2] if match and match[2].startswith(match[1]) else None


def journal_key(number: int) -> str:
    """What came into the store, the `number`th entry."""
    return f"journal/{number:010}.json"


def span_key(first: int, length: int) -> str:
    """`length` entries of the journal in one, from number `first` on."""
    return f"journal/spans/{first:010}-{length}.json"


def hex_of(digest: str) -> str:
    """The 64 hexadecimal digits of `sha256:…`; anything else is refused."""
    match = _DIGEST.match(digest)
    if match is None:
        raise StoreError(f"{digest[:100]!r} is not a digest. Expected sha256: and 64 hex digits.")
    return match[1]


def is_json(key: str) -> bool:
    """Whether it can be the key of a record or of anything else of ours that is JSON."""
    return key.endswith(".json") and is_key(key)


def is_digest(digest: str) -> bool:
    """Whether it is `sha256:` and 64 hexadecimal digits."""
    return _DIGEST.match(digest) is not None


def run_key(project: str, stage: str, fingerprint: str) -> str:
    """The record of a succeeded run."""
    return f"{runs_prefix(project, stage)}{segment(fingerprint)}.json"


def runs_prefix(project: str, stage: str = "") -> str:
    """All runs of a project, or of one of its stages."""
    return f"runs/{segment(project)}/" + (f"{segment(stage)}/" if stage else "")


def attempt_key(project: str, stage: str, fingerprint: str, id: str) -> str:  # noqa: A002
    """The record of a run that failed."""
    return f"{attempts_prefix(project, stage)}{segment(fingerprint)}/{segment(id)}.json"


def attempts_prefix(project: str, stage: str = "") -> str:
    """All failed runs of a project, or of one of its stages."""
    return f"attempts/{segment(project)}/" + (f"{segment(stage)}/" if stage else "")


def commit_key(sha: str, project: str, stage: str) -> str:
    """The record of a commit's runs of one stage."""
    return f"{commit_prefix(sha, project)}{segment(stage)}.json"


def commit_prefix(sha: str, project: str) -> str:
    """The records of a commit's runs."""
    return f"commits/{segment(sha)}/{segment(project)}/"


def release_key(project: str, name: str) -> str:
    """The record of a release."""
    return f"{releases_prefix(project)}{segment(name)}.json"


def releases_prefix(project: str) -> str:
    """All releases of a project."""
    return f"releases/{segment(project)}/"


def deployment_key(project: str, environment: str, id: str) -> str:  # noqa: A002
    """The record of one rollout."""
    return f"{deployments_prefix(project, environment)}{segment(id)}.json"


def deployments_prefix(project: str, environment: str = "") -> str:
    """All rollouts of a project, or to one of its environments."""
    return f"deployments/{segment(project)}/" + (f"{segment(environment)}/" if environment else "")


def wanted_key(project: str, environment: str, number: int) -> str:
    """What an environment was told to run, the `number`th time."""
    return f"wanted/{segment(project)}/{segment(environment)}/{number:08}.json"


def report_key(project: str, sha: str, key: str) -> str:
    """A commit's HTML report; `key` tells apart jobs that report side by side."""
    return f"reports/{segment(project)}/{segment(sha)}/{segment(key)}.html"


def check_key(key: str) -> str:
    """The key itself where it is a well-formed one: a backend never leaves its own place."""
    if not is_key(key):
        raise StoreError(f"{key[:200]!r} is not a key of a store.")
    return key


def is_key(key: str) -> bool:
    """Whether it can be a key of ours; others may put other things beside them."""
    return _KEY.match(key) is not None
