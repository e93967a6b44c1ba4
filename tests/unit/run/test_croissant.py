"""Data is held against a Croissant description before training; mlcroissant wrote the real one."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from mcgitops.errors import UsageError
from mcgitops.facts.index import Index
from mcgitops.run.croissant import verify

FIXTURE = Path(__file__).parents[2] / "fixtures" / "readers" / "croissant"


@pytest.fixture
def project(tmp_path):
    shutil.copytree(FIXTURE, tmp_path / "data")
    return tmp_path


def checked(project: Path, path: str = "data/metadata.json") -> list[str]:
    return list(verify(project, (path,), Index(project / ".mcgitops" / "index.sqlite")))


def described(project: Path, **item: object) -> str:
    """A description of one more file."""
    data = json.loads((project / "data/metadata.json").read_text())
    data["distribution"] = [{"@type": "cr:FileObject", **item}]
    (project / "data/one.json").write_text(json.dumps(data))
    return "data/one.json"


def test_data_that_is_as_described_passes(project):
    assert checked(project) == []
    assert checked(project) == []  # the second time out of the index


@pytest.mark.parametrize(("name", "algorithm"), [("train.csv", "sha256"), ("test.csv", "md5")])
def test_a_file_that_differs_is_named(project, name, algorithm):
    assert checked(project) == []
    with (project / "data" / name).open("a") as stream:
        stream.write("9,b\n")
    with pytest.raises(UsageError) as caught:
        checked(project)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(f"data/{name} isn't what data/metadata.json describes")
    assert f"its {algorithm} is" in caught.value.message


def test_a_file_that_is_missing_is_named(project):
    (project / "data/train.csv").unlink()
    with pytest.raises(UsageError, match=r"names data/train\.csv, which isn't there"):
        checked(project)


@pytest.mark.parametrize("url", ["../../secret.csv", "/etc/passwd", "%2e%2e/%2e%2e/x"])
def test_a_description_cannot_lead_out_of_the_folder(project, url):
    path = described(project, name="x", contentUrl=url, sha256="0" * 64)
    with pytest.raises(UsageError, match="leads out of the project folder"):
        checked(project, path)


def test_what_was_fetched_from_an_address_is_checked_under_its_last_name(project):
    good = hashlib.sha256((project / "data/train.csv").read_bytes()).hexdigest()
    url = "https://example.com/files/train.csv?download=1"
    assert checked(project, described(project, name="x", contentUrl=url, sha256=good.upper())) == []
    with pytest.raises(UsageError, match=r"data/train\.csv isn't what data/one\.json describes"):
        checked(project, described(project, name="x", contentUrl=url, sha256="0" * 64))


@pytest.mark.parametrize(
    "item",
    [
        {"name": "x", "contentUrl": "https://example.com/elsewhere.csv", "sha256": "0" * 64},
        {"name": "x", "contentUrl": "train.csv", "sha256": "https://github.com/an/issue"},
        {"name": "x", "contentUrl": "train.csv"},
        {"name": "x", "contentUrl": "a.csv", "sha256": "0" * 64, "containedIn": {"@id": "zip"}},
    ],
)
def test_what_cannot_be_checked_is_said(project, item):
    (said,) = checked(project, described(project, **item))
    assert said.startswith("data/one.json: x not checked")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "can't be read"),
        ("{", "is not valid JSON"),
        ('{"name": "x"}', "is no Croissant description"),
        ("[]", "is no Croissant description"),
    ],
)
def test_a_description_that_is_none_stops_as_well(project, content, sentence):
    if content is not None:
        (project / "data/other.json").write_text(content)
    with pytest.raises(UsageError, match=sentence) as caught:
        checked(project, "data/other.json")
    assert caught.value.message.startswith("data/other.json")


@pytest.mark.parametrize(
    "distribution", [None, True, "x", 3, [], [None, "x", {"@type": "cr:FileSet"}]]
)
def test_a_description_without_files_says_that_nothing_was_checked(project, distribution):
    path = described(project)
    data = {**json.loads((project / path).read_text()), "distribution": distribution}
    (project / path).write_text(json.dumps(data))
    assert checked(project, path) == [f"{path} names no file, so nothing of it was checked."]


def test_a_single_file_needs_no_list(project):
    path = described(project, name="x", contentUrl="train.csv", sha256="0" * 64)
    data = json.loads((project / path).read_text())
    data["distribution"] = data["distribution"][0]
    (project / path).write_text(json.dumps(data))
    with pytest.raises(UsageError, match=r"data/train\.csv isn't what"):
        checked(project, path)


@pytest.mark.parametrize("url", ["a" * 5000, "a\0b", "%00", "a/" * 3000, "https://[bad"])
def test_an_address_that_can_be_no_file_is_missing_or_not_checked(project, url):
    path = described(project, name="x", contentUrl=url, sha256="0" * 64)
    try:
        assert "x not checked" in checked(project, path)[0]
    except UsageError as error:
        assert "data/one.json" in error.message


def test_a_truncated_or_damaged_description_never_crashes(project):
    content = (FIXTURE / "metadata.json").read_bytes()
    for at in range(0, len(content), 31):
        flipped = bytes([content[at] ^ 0x20])
        for damaged in (content[:at], content[:at] + flipped + content[at + 1 :]):
            (project / "data/metadata.json").write_bytes(damaged)
            try:
                said = checked(project)
            except UsageError as error:
                assert "data/" in error.message
            else:
                assert all(sentence.startswith("data/metadata.json") for sentence in said)
