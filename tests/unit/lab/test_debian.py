"""The mirror comes from the machine's own sources, in either format."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import debian

DEB822 = """\
# a comment with a colon: it isn't a field
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/x.gpg

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


def test_sources_are_read_in_both_formats(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "# deb http://off.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://one.example/debian bookworm main # why\n"
        "deb-src http://one.example/debian bookworm main\n"
    )
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "debian.sources.save").write_text("deb http://no.example x main")
    assert debian.sources(tmp_path) == [
        "deb [arch=amd64 signed-by=/k.gpg] http://one.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm main contrib",
        "deb http://mirror.example/debian bookworm-updates main contrib",
        "deb http://mirror.example/debian-security bookworm-security main",
    ]


def test_the_mirror_is_that_of_the_plain_release() -> None:
    entries = [
        "deb http://tools.example/apt tool-stable main",
        "deb http://mirror.example/debian-security bookworm-security main",
        "deb [arch=amd64] http://mirror.example/debian bookworm main",
    ]
    assert debian.mirror(entries) == "http://mirror.example/debian"


def test_a_mirror_without_main_is_none_of_debians() -> None:
    with pytest.raises(debian.AptError, match="no Debian mirror"):
        debian.mirror(["deb http://node.example/node nodistro universe"])


@pytest.mark.parametrize(
    ("facts", "family"),
    [
        ({"ID": "debian"}, "debian"),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "ubuntu"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "ubuntu"),
        ({"ID": "fedora"}, ""),
        ({}, ""),
    ],
)
def test_the_family_decides_on_package_names(facts: dict[str, str], family: str) -> None:
    assert debian.family(facts) == family
