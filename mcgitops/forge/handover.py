"""What a fork's own run hands over, and how little of it is believed. Pure.

That run has a read-only token, so it can't comment. It leaves its report as data, in an artifact
that whoever sent the pull request controls entirely: the archive, its member, each byte of it. Here
an archive becomes a report or a refusal. Nothing is unpacked onto a disk, nothing is read beyond a
bound, and what the data says of its own place (which pull request, which repository) isn't read.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.forge.event import FinishedRun
from mcgitops.report import json_view, markdown
from mcgitops.report.escape import code, prose
from mcgitops.report.model import Report
from mcgitops.report.waived import without_waivers

ARTIFACT = "mcgitops-report"
"""The artifact's name, to the letter."""
MEMBER = "mcgitops-report.json"
"""Its only member."""
MOST_ZIPPED = 8 << 20
"""Bytes of the archive. A report of 10,000 metrics over 5 seeds has about 3 MB."""
MOST_BYTES = 24 << 20
"""Bytes of the member. That report has about 12 MB."""
TARGETS = ("issue", "number", "pull_request", "repository")
"""What no report of ours has: whoever writes it there wants to say where it is posted."""

_STORED_OR_DEFLATED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


class HandOverError(UsageError):
    """What was handed over is refused; the message says why."""


@dataclass(frozen=True)
class Artifact:
    """One of a run's artifacts, as GitHub lists it."""

    id: int
    name: str
    size: int
    run_id: int
    head_sha: str
    expired: bool = False


def packed(report: Report) -> str:
    """What the fork's run hands over: the report as JSON, without a blank too many."""
    return json_view.text_of(json_view.to_data(report), indent=None)


def artifact_name(text: str) -> str:
    """A name that an artifact may have; raises `ValueError`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError(f"{text!r} is no artifact's name. Use letters, digits, `.`, `_`, `-`.")
    return text


def chosen(artifacts: Iterable[Artifact], run: FinishedRun, name: str) -> Artifact | None:
    """The artifact that this run handed over; None where it handed over none.

    Attempts of a run may have left one each: the last counts. Raises `HandOverError` where it is
    another run's or head's, gone, or too large to be fetched at all.
    """
    named = [artifact for artifact in artifacts if artifact.name == name]
    if not named:
        return None
    found = max(named, key=lambda artifact: artifact.id)
    if (found.run_id, found.head_sha) != (run.id, run.head_sha):
        raise HandOverError(
            f"The artifact {name} is of run {found.run_id} at {found.head_sha[:12] or 'no commit'},"
            f" not of run {run.id} at {run.head_sha[:12]}."
        )
    if found.expired:
        raise HandOverError(f"The artifact {name} has expired.", "Run the fork's workflow again.")
    if not 0 < found.size <= MOST_ZIPPED:
        raise HandOverError(
            f"The artifact {name} has {found.size:,} bytes. {_at_most(MOST_ZIPPED)}"
        )
    return found


def member(archive: bytes) -> bytes:
    """The archive's one member, read in memory; raises `HandOverError`."""
    if len(archive) > MOST_ZIPPED:
        raise HandOverError(f"The archive is too large. {_at_most(MOST_ZIPPED)}")
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            info = _only(opened.infolist())
            # The size that the archive claims is checked first, the bytes that come out then.
            with opened.open(info) as stream:
                content = stream.read(MOST_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
            ValueError, OverflowError, OSError) as error:  # fmt: skip
        raise HandOverError(f"The archive is damaged ({type(error).__name__}).") from None
    if len(content) > MOST_BYTES:
        raise HandOverError(f"{MEMBER} is larger than the archive says. {_at_most(MOST_BYTES)}")
    return content


def report_of(content: bytes, run: FinishedRun) -> Report:
    """The report that the bytes hold, freed of what only we may say; raises `HandOverError`."""
    try:
        data = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
        if isinstance(data, dict) and (claims := data.keys() & TARGETS):
            raise HandOverError(
                f"{MEMBER} has {min(claims)!r}. Where a report is posted isn't for it to say."
            )
        report = json_view.from_data(data)
    except RecursionError:
        raise HandOverError(f"{MEMBER} is nested too deeply.") from None
    except ValueError as error:
        kind = (
            "no report"
            if not isinstance(error, json.JSONDecodeError | UnicodeError)
            else "not JSON"
        )
        raise HandOverError(f"{MEMBER} is {kind}: {_first_line(error)}") from None
    if report.head.commit != run.head_sha:
        raise HandOverError(
            f"{MEMBER} reports on {report.head.commit[:12] or 'no commit'}, and the run was of "
            f"{run.head_sha[:12]}."
        )
    # A waiver is a word of somebody who may write here, and a link is ours to give.
    artifacts = tuple(replace(artifact, link="") for artifact in report.artifacts)
    return replace(without_waivers(report), full_report="", fetch="", artifacts=artifacts)


def comment(report: Report, run_url: str) -> str:
    """The comment's text: whose report this is, then the report."""
    first = (
        "> [!WARNING]\n"
        f"> **Made by the fork's own run, and not checked.** [That run]({run_url}) was of the "
        "pull request's code: numbers, gates and verdict are what it says of itself. Nothing was "
        "trained or judged here, and no status was set.\n\n"
    )
    try:
        return first + markdown.render(report, markdown.BUDGET - len(first))
    except Exception as error:  # data that fits the schema may still contradict itself
        raise HandOverError(f"{MEMBER} contradicts itself ({type(error).__name__}).") from error


def without_report(sha: str, why: str) -> str:
    """What an earlier head's comment says once there is no report of this head."""
    return f"### ⚪ No report\nThe fork's own run of {code(sha[:12])} gave none. {prose(why)}\n"


def to_artifact(listed: Mapping[str, Any]) -> Artifact:
    """One entry of GitHub's list; what is missing fits nothing."""
    of = listed.get("workflow_run") or {}
    return Artifact(
        int(listed["id"]),
        str(listed["name"]),
        int(listed["size_in_bytes"]),
        int(of.get("id") or 0),
        str(of.get("head_sha") or ""),
        bool(listed["expired"]),
    )


def _only(members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    if len(members) != 1:
        raise HandOverError(f"The archive has {len(members)} members. {_only_one()}")
    info = members[0]
    if info.filename != MEMBER or info.orig_filename != MEMBER or info.is_dir():
        raise HandOverError(f"The archive's member isn't {MEMBER}. {_only_one()}")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _STORED_OR_DEFLATED:
        raise HandOverError("The archive is encrypted, or packed in a way that isn't read.")
    if info.file_size > MOST_BYTES:
        raise HandOverError(f"{MEMBER} has {info.file_size:,} bytes. {_at_most(MOST_BYTES)}")
    return info


def _only_one() -> str:
    return f"It must hold {MEMBER} and nothing else."


def _at_most(limit: int) -> str:
    return f"At most {limit >> 20} MiB are read."


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _first_line(error: Exception) -> str:
    return f"{str(error).splitlines()[0][:120].rstrip('.')}."
