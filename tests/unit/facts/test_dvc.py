"""What `.dvc` files and DVC's configuration say."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mcgitops.errors import UsageError
from mcgitops.facts.dvc import Out, config, lines, outs, parse
from mcgitops.run.dvc import keys, md5_of

FIXTURE = Path(__file__).parents[2] / "fixtures" / "dvc"
MD5 = "0123456789abcdef0123456789abcdef"


def test_what_dvc_itself_wrote_is_read() -> None:
    project = FIXTURE / "project"
    found = outs(project, ["images.dvc", "labels/train.csv.dvc", "gone.dvc", "compose.yml"])
    assert [(out.path, out.size, out.files, out.legacy, out.is_folder) for out in found] == [
        ("images", 2065, 4, False, True),
        ("labels/train.csv", 8, 0, False, False),
    ]
    said = config(project / "labels")
    assert said is not None
    remote = said.remote()
    assert remote is not None
    assert Path(remote.place).resolve() == (FIXTURE / "remote").resolve()
    assert said.cache == project / ".dvc" / "cache"
    for out in found:
        assert (Path(remote.place) / keys(out.md5, legacy=out.legacy)[0]).is_file()


def test_files_of_dvc_2_are_told_by_what_they_lack_and_wdir_moves_the_path() -> None:
    (out,) = parse(f"wdir: ../sets\nouts:\n- md5: {MD5}\n  path: a.csv\n".encode(), "x/a.dvc")
    assert out == Out("sets/a.csv", "x/a.dvc", MD5, legacy=True)
    assert keys(MD5, legacy=True)[0] == f"01/{MD5[2:]}"
    assert keys(MD5, legacy=False)[0] == f"files/md5/01/{MD5[2:]}"


@pytest.mark.parametrize(
    "text",
    [
        "deps: []",
        "[]",
        "",
        "outs: {}",
        "outs:\n- path: a\n  etag: x",
        f"outs:\n- md5: {MD5}\n  path: ../../out",
        f"outs:\n- {{md5: {MD5}, path: /etc}}",
        f"outs:\n- {{md5: {MD5}, path: a, cache: false}}",
    ],
)
def test_what_tracks_nothing_here_is_nothing(text: str) -> None:
    assert parse(text.encode(), "a.dvc") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("outs: [", "can't be read as a .dvc file"),
        (f"<<<<<<< HEAD\nouts:\n- md5: {MD5}\n", "conflict markers"),
        ("outs:\n- path: a\n  md5: ../../../etc/passwd", "an MD5 of a that is none"),
    ],
)
def test_a_file_that_nobody_can_use_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"a\.dvc") as refused:
        parse(text.encode(), "a.dvc")
    assert said in str(refused.value)


def configured(folder: Path, text: str, local: str = "") -> Path:
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text(text)
    if local:
        (folder / ".dvc/config.local").write_text(local)
    return folder


def test_a_bucket_is_named_as_a_stores_url_and_keys_stay_out_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "none"))
    folder = configured(
        tmp_path,
        "[core]\n    remote = main\n['remote \"main\"']\n    url = s3://b/p q\n"
        "    endpointurl = https://s3.example.com\n    profile = team\n"
        "['remote \"part\"']\n    url = remote://main/sub\n",
        "['remote \"main\"']\n    access_key_id = AK\n    secret_access_key = 'hush'\n",
    )
    said = config(folder)
    assert said is not None
    remote = said.remote()
    assert remote is not None
    assert remote.place == ("s3://b/p%20q?endpoint_url=https%3A%2F%2Fs3.example.com&profile=team")
    assert remote.keys == {"aws_access_key_id": "AK", "aws_secret_access_key": "hush"}
    assert "hush" not in repr(remote)
    part = said.remote("part")
    assert part is not None
    assert part.place == ("s3://b/p%20q/sub?endpoint_url=https%3A%2F%2Fs3.example.com&profile=team")
    assert said.remote("nobody") is None


@pytest.mark.parametrize(
    ("url", "said"), [("gs://b", "gs://"), ("ssh://h/p", "ssh://"), ("https://h/p", "https://")]
)
def test_remotes_that_are_not_read_say_so_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "none"))
    found = config(configured(tmp_path, f"[core]\nremote = r\n['remote \"r\"']\nurl = {url}\n"))
    assert found is not None
    with pytest.raises(UsageError, match="dvc pull") as refused:
        found.remote()
    assert said in str(refused.value)


def test_lines_know_comments_quotes_and_equal_signs() -> None:
    text = "# no\n[a]\nX = 1\n; no\n[\"b 'c'\"]\n  url = s3://x?a=b\n  empty =\nnothing\n"
    assert lines(text) == [
        ("a", "x", "1"), ("b 'c'", "url", "s3://x?a=b"), ("b 'c'", "empty", ""),
    ]  # fmt: skip


def test_dvc_2_hashed_text_with_unix_line_ends_and_all_else_as_it_is(tmp_path: Path) -> None:
    def md5(data: bytes) -> str:
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    file = tmp_path / "f"
    text = b"one\r\ntwo\r\n" * 200_000  # longer than a piece
    file.write_bytes(text)
    assert md5_of(file, legacy=False) == md5(text)
    # a piece ends between the two: as DVC 2 did it, that one stays
    pieces = [text[at : at + 2**20] for at in range(0, len(text), 2**20)]
    assert md5_of(file, legacy=True) == md5(b"".join(p.replace(b"\r\n", b"\n") for p in pieces))
    file.write_bytes(b"\0\r\n")
    assert md5_of(file, legacy=True) == md5(b"\0\r\n")
    file.write_bytes(b"")
    assert md5_of(file, legacy=True) == md5(b"")
