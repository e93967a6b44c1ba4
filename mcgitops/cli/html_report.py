"""Puts the HTML report into the project's bucket and gives the address that a comment may link."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from mcgitops.report.model import Report
    from mcgitops.store.store import Store

SIGNED_SECONDS = 7 * 24 * 3600
"""As long as a signature of S3 may last."""
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
    # The parts of a key are percent-encoded names: in an address each `%` is one of the key's.
    path = quote(place)
    _, project, commit, file = path.split("/")
    values = {"path": path, "project": project, "commit": commit, "key": file.removesuffix(".html")}
    for name, text in values.items():
        link = link.replace(f"{{{name}}}", text)
    return link
