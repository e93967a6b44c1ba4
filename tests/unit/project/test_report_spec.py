"""`report:` of x-mcgitops: what may be linked."""

from __future__ import annotations

import pytest

from mcgitops.project.report import ReportSpec
from mcgitops.typed.mistakes import ValidationError


@pytest.mark.parametrize(
    "link",
    [
        "none",
        "presigned",
        "https://reports.example.com/{path}",
        "http://10.0.0.7:8080/models/{path}?x=1#top",
        "https://reports.example.com/{project}/{commit}/{key}",
    ],
)
def test_what_may_be_linked(link):
    assert ReportSpec(link=link).link == link


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("", "is not an address"),
        ("yes", "is not an address"),
        ("s3://bucket/{path}", "is not an address"),
        ("javascript:alert('{path}')", "is not an address"),
        ("https:///{path}", "is not an address"),
        ("https://[{path}", "is not an address"),
        ("https://ada:secret@example.com/{path}", "a name or a password"),
        ("https://example.com/", "the same place for every report"),
        ("https://example.com/{commit}", "the same place for every report"),
        ("https://example.com/{sha}/{path}", "{sha} is not known"),
        ("https://example.com/{path}}", "a brace without its counterpart"),
        ("https://example.com/{path}) [x](y", "characters that no address has"),
        ("https://exämple.com/{path}", "characters that no address has"),
    ],
)
def test_what_may_not_be_linked(link, said):
    with pytest.raises(ValidationError, match=said.replace("{", r"\{").replace("}", r"\}")):
        ReportSpec(link=link)
