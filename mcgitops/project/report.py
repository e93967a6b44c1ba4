"""`x-mcgitops.report`: where the HTML report is linked to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from mcgitops.project.base import Spec
from mcgitops.typed.model import after, key

PLACEHOLDERS = ("path", "project", "commit", "key")


class ReportSpec(Spec):
    """The HTML report that `mcgitops ci` puts into a bucket."""

    link: str = key(
        default="none",
        description="How the comment links the HTML report and the artifacts that lie in the "
        "bucket: `none`; `presigned`, signed addresses that let everybody who reads the comment "
        "read them, for seven days at most; or the address under which the bucket is served, with "
        "`{path}` "
        "(or `{project}`, `{commit}` and `{key}`): `https://reports.example.com/{path}`.",
    )

    @after("link")
    @staticmethod
    def _link_is_one_of_three(link: str) -> str:
        if link in ("none", "presigned"):
            return link
        example = "Write none, presigned or https://reports.example.com/{path}."
        try:
            parts = urlsplit(link)
        except ValueError:
            raise ValueError(f'"{link}" is not an address. {example}') from None
        if parts.scheme not in ("https", "http") or not parts.netloc:
            raise ValueError(f'"{link}" is not an address. {example}')
        if re.search(r"[\s<>\"'`()\\|]", link) or not link.isascii() or not link.isprintable():
            raise ValueError(f'"{link}" holds characters that no address has. {example}')
        if parts.username is not None or parts.password is not None:
            raise ValueError(
                "link holds a name or a password, which comments would show. Remove it."
            )
        names = re.findall(r"\{([^{}]*)\}", link)
        if unknown := [name for name in names if name not in PLACEHOLDERS]:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"{{{unknown[0]}}} is not known. Known: {known}.")
        if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", link)):
            raise ValueError(f'"{link}" holds a brace without its counterpart. {example}')
        if "path" not in names and not {"commit", "key"} <= set(names):
            raise ValueError(f'"{link}" names the same place for every report. {example}')
        return link
