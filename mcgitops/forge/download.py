"""Fetches the artifacts of another run: a list, and one archive in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from mcgitops.forge.github import ForgeError, GitHub, answers
from mcgitops.forge.handover import MOST_ZIPPED, Artifact, HandOverError, to_artifact

if TYPE_CHECKING:
    from mcgitops.forge.event import FinishedRun

TIMEOUT = 20
CHUNK = 1 << 16


def artifacts_of(github: GitHub, run: FinishedRun, name: str) -> list[Artifact]:
    """The run's artifacts of this name."""
    repository = github.repository
    with answers(f"the artifacts of run {run.id}", "actions"):
        _, found = repository.requester.requestJsonAndCheck(
            "GET",
            f"{repository.url}/actions/runs/{run.id}/artifacts",
            parameters={"name": name, "per_page": 100},
        )
        return [to_artifact(entry) for entry in found["artifacts"]]


def archive_of(api_url: str, token: str, repository: str, artifact: Artifact) -> bytes:
    """The artifact's archive. Raises `HandOverError` where more comes than GitHub announced.

    GitHub answers with an address elsewhere that is good for a minute; the token isn't sent there.
    """
    what = f"the artifact {artifact.name}"
    url = f"{api_url}/repos/{repository}/actions/artifacts/{artifact.id}/zip"
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "mcgitops"}
    with answers(what, "actions"):
        told = requests.get(url, headers=headers, allow_redirects=False, timeout=TIMEOUT)
        place = told.headers.get("Location", "")
        if told.status_code != 302 or urlsplit(place).scheme not in ("https", urlsplit(url).scheme):
            raise ForgeError(f"GitHub gave no address for {what}.", status=told.status_code)
        with requests.get(
            place, headers={"User-Agent": "mcgitops"}, stream=True, timeout=TIMEOUT
        ) as answer:
            if answer.status_code != 200:
                raise ForgeError(f"{what} could not be fetched.", status=answer.status_code)
            content = bytearray()
            for chunk in answer.iter_content(CHUNK):
                content += chunk
                if len(content) > MOST_ZIPPED:
                    raise HandOverError(f"{what} is larger than GitHub said.")
            return bytes(content)
