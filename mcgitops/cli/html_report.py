"""Puts the HTML report where readers reach it, and gives the addresses that a comment may link.

For the page that is the project's bucket; where there is none, an artifact of the run, which the
action's next step uploads.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from mcgitops.compare.model import ArtifactChange
    from mcgitops.forge.settings import Settings
    from mcgitops.report.model import Report
    from mcgitops.store.store import Store

SIGNED_SECONDS = 7 * 24 * 3600
"""As long as a signature of S3 may last."""
MOST_LINKED = 20
"""Artifacts with an address of their own: signed ones are long, and a comment isn't."""
LARGEST_LAID_OUT = 8 << 20
"""Bytes of an artifact in a pack that is put beside it, so that it has an address."""
WORKING_TREE = "working-tree"


def publish_html(store: Store, report: Report, key: str, link: str = "none") -> str:
    """Write the report to `reports/PROJECT/SHA/KEY.html` of a bucket; give its address, or "".

    store: the project's; in a folder, which no reader of a comment can reach, nothing is written.
    key: tells apart the jobs that report on one commit. Another report of the same job replaces it.
    link: `report.link` of x-mcgitops: `none`, `presigned` (for seven days at most, and readable for
        everybody who reads the comment), or the bucket's public address with placeholders.

    Raises `StoreError` where the bucket can't be written to.
    """
    if store.is_local:
        return ""
    from mcgitops.report import html
    from mcgitops.store.layout import report_key

    sha = report.head.commit or WORKING_TREE
    place = report_key(report.project, sha, key)
    store.put_page(place, html.render(report).encode())
    if link == "none":
        return ""
    if link == "presigned":
        return store.signed_link(place, SIGNED_SECONDS)
    _, project, commit, file = place.split("/")
    values = {"project": project, "commit": commit, "key": file.removesuffix(".html")}
    return _served(link, path=place, **values)


def with_artifact_links(store: Store, report: Report, link: str = "none") -> Report:
    """The report with the addresses of its artifacts, by the rule that holds for the page.

    Those that changed first; at most `MOST_LINKED`. An address with `{path}` leads to the object in
    the bucket, a signed one says what the file is to be saved as. Without `{path}` nobody knows
    where the objects are served.

    Raises `StoreError` where the bucket can't be asked.
    """
    from mcgitops.store.layout import is_digest, segment

    is_served = "{path}" in link
    if store.is_local or not (is_served or link == "presigned"):
        return report
    there = [a for a in report.artifacts if a.head_size is not None and is_digest(a.head_digest)]
    chosen = sorted(there, key=lambda artifact: artifact.state == "same")[:MOST_LINKED]
    sizes = {artifact.head_digest: artifact.head_size or 0 for artifact in chosen}
    keys = store.objects.exposed(sizes, LARGEST_LAID_OUT)

    def linked(artifact: ArtifactChange) -> ArtifactChange:
        key = keys.get(artifact.head_digest) if artifact in chosen else None
        if key is None:
            return artifact
        if is_served:
            values = {"project": segment(report.project), "commit": report.head.commit, "key": ""}
            return replace(artifact, link=_served(link, path=key, **values))
        name = artifact.path.rpartition("/")[2]
        return replace(artifact, link=store.signed_link(key, SIGNED_SECONDS, name))

    return replace(report, artifacts=tuple(map(linked, report.artifacts)))


def _served(template: str, **values: str) -> str:
    """The address of something in a bucket that is served.

    The parts of a key are percent-encoded names: in an address each `%` is one of the key's.
    """
    for name, text in values.items():
        template = template.replace(f"{{{name}}}", quote(text))
    return template


def artifacts_address(settings: Settings) -> str:
    """Where GitHub lists the artifacts of this run; "" where the action's upload isn't understood.

    Its service is GitHub's own, on github.com and ghe.com; GitHub Enterprise Server, Forgejo and
    Gitea have an older one (https://github.com/actions/upload-artifact#v4---whats-new).
    """
    host = urlsplit(settings.server_url).hostname or ""
    known = host == "github.com" or host.endswith(".ghe.com")
    return f"{settings.run_url}#artifacts" if known and settings.run_url else ""


def write_pages(folder: Path, report: Report) -> None:
    """Write `report.html` and `report.svg` into the folder, and `report.png` where that is made."""
    from mcgitops.errors import UsageError
    from mcgitops.report import chart, html

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(html.render(report), encoding="utf-8")
    (folder / "report.svg").write_text(chart.svg(report), encoding="utf-8")
    try:
        (folder / "report.png").write_bytes(chart.png(report))
    except UsageError:  # neither resvg nor a font need be there
        (folder / "report.png").unlink(missing_ok=True)
