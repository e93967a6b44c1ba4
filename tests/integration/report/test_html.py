"""The report as a page and as an image, from the program; and the page in a bucket."""

from __future__ import annotations

import dataclasses
import re
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from mcgitops.cli.html_report import MOST_LINKED, publish_html, with_artifact_links
from mcgitops.compare.model import ArtifactChange
from mcgitops.errors import StoreError
from mcgitops.store.store import open_store
from tests.browser import reports
from tests.lab import s3
from tests.unit.store.test_packed_objects import write_pack


@pytest.fixture
def regression(wine):
    wine.train(0.97)
    wine.branch("feature")
    wine.commit({"params.yaml": "lr: 0.05\ndepth: 3\n"})
    wine.train(0.94)
    return wine


def test_the_program_writes_a_page(regression, run_mcgitops, tmp_path):
    file = tmp_path / "report.html"
    result = run_mcgitops(
        "report", "--format", "html", "--output", file, cwd=regression.folder, check=False
    )
    assert result.code == 3  # a gate failed, and the page is there
    page = file.read_text()
    assert page.startswith("<!doctype html>")
    assert "wine: accuracy fell below its gate" in page.replace("<bdi>wine</bdi>", "wine")
    assert re.search(r'<polyline class="base-line" points="6,6 ', page)
    again = run_mcgitops("report", "--format", "html", cwd=regression.folder, check=False)
    assert again.stdout == page


def test_the_program_writes_images(regression, run_mcgitops, tmp_path):
    for form, start in (("svg", b"<svg xmlns="), ("png", b"\x89PNG\r\n")):
        file = tmp_path / f"report.{form}"
        result = run_mcgitops(
            "report", "--format", form, "--output", file, cwd=regression.folder, check=False
        )
        assert result.code == 3
        assert file.read_bytes().startswith(start)


def fetched(url: str, **headers: str) -> tuple[bytes, str]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.read(), answer.headers["Content-Type"]


@pytest.mark.s3
def test_a_page_in_a_bucket_opens_by_its_signed_address(s3_server, monkeypatch):
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    store = open_store(s3_server.url("html/a b"))
    report = reports.full(plots=1, points=50)
    address = publish_html(store, report, "wine, leg=a/b", "presigned")
    page, kind = fetched(address)
    assert kind == "text/html; charset=utf-8"
    assert page.decode().startswith("<!doctype html>")
    query = parse_qs(urlsplit(address).query)
    assert query["X-Amz-Expires"] == ["604800"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert s3_server.secret_key not in address
    if s3_server.kind == "rclone":  # moto lets everybody in
        with pytest.raises(urllib.error.HTTPError):
            fetched(address.replace("X-Amz-Signature=", "X-Amz-Signature=0"))
    assert publish_html(store, report, "wine, leg=a/b") == ""  # the same again: replaced, no link


@pytest.mark.s3
def test_a_page_is_linked_where_the_bucket_is_served(moto_s3, monkeypatch):
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    store = open_store(moto_s3.url("served"))
    report = reports.full(plots=1, points=50)
    template = "https://reports.example.com/x/{path}"
    assert publish_html(store, report, "a b", template) == (
        f"https://reports.example.com/x/reports/wine/{reports.HEAD}/a%2520b.html"
    )
    template = "https://reports.example.com/{project}?c={commit}&k={key}"
    assert publish_html(store, report, "leg", template) == (
        f"https://reports.example.com/wine?c={reports.HEAD}&k=leg"
    )


def test_a_folder_gets_no_page_and_has_no_link(tmp_path):
    store = open_store(str(tmp_path / "store"))
    for link in ("none", "presigned", "https://reports.example.com/{path}"):
        assert publish_html(store, reports.full(plots=0), "wine", link) == ""
    assert not (tmp_path / "store").exists()


@pytest.mark.s3
def test_a_job_of_ci_stores_the_page_and_links_it(regression, run_mcgitops, rclone_s3, tmp_path):
    compose = (regression.folder / "compose.yml").read_text()
    linked = {"compose.yml": f"{compose}  report: {{link: presigned}}\n"}
    regression.commit(linked, "Link the report")
    regression.train(0.93)
    env = {
        **rclone_s3.env,
        "MCGITOPS_STORE": rclone_s3.url("ci"),
        "RUNNER_TEMP": str(tmp_path),
    }
    run_mcgitops("push", cwd=regression.folder, env=env)
    result = run_mcgitops(
        "ci", "--event", "push", "--only", "report", "--no-comment", "--base", "main",
        cwd=regression.folder, env=env, check=False,
    )  # fmt: skip
    assert result.code == 3, result.stderr
    (comment,) = tmp_path.glob("*report-*.md")
    text = comment.read_text()
    address = re.search(r"\[full report\]\(<(https?://[^>\s]+)>\)", text)
    assert address, text
    page, _ = fetched(address[1])
    assert b"accuracy fell below its gate" in page
    artifact = re.search(r"\[out/model.bin\]\(<(https?://[^>\s]+)>\)", text)
    assert artifact, text
    assert fetched(artifact[1])[0] == b"model 0.93 0"  # small files travel in packs, and yet
    assert artifact[1] not in page.decode()  # a signature ends, and the page stays
    head = regression.git(regression.folder, "rev-parse", "HEAD").strip()
    assert f"Get them: `mcgitops pull {head[:12]}`" in text
    assert f"Get them: <code>mcgitops pull {head[:12]}</code>" in page.decode()
    clone = tmp_path / "clone"
    regression.git(tmp_path, "clone", "--quiet", str(regression.folder), str(clone))
    run_mcgitops("pull", head[:12], cwd=clone, env=env)
    assert (clone / "out/model.bin").read_bytes() == b"model 0.93 0"


@pytest.mark.s3
def test_artifacts_are_linked_singly_where_the_page_is(s3_server, monkeypatch):
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    store = open_store(s3_server.url("linked"))
    contents = [f"weights {index}".encode() for index in range(MOST_LINKED + 2)]
    local = [store.put_bytes(content) for content in contents[1:]]
    packed, size = next(iter(write_pack(store, contents[:1]).index)).digest, len(contents[0])
    changes = [
        ArtifactChange("train", 'out/\u202e|`[x](y)"; a=.html', "changed", "", 1, packed, size),
        ArtifactChange("train", "gone", "missing", local[0][0], 1),
        ArtifactChange("train", "lost", "new", head_digest="sha256:" + "0" * 64, head_size=1),
        ArtifactChange("train", "strange", "new", head_digest="../../records", head_size=1),
        *(
            ArtifactChange("train", f"{i}.bin", "same", "", 1, d, n)
            for i, (d, n) in enumerate(local)
        ),
    ]
    report = dataclasses.replace(reports.full(plots=0), artifacts=tuple(changes))
    store = open_store(store.url)

    signed = {a.path: a.link for a in with_artifact_links(store, report, "presigned").artifacts}
    assert fetched(signed[changes[0].path])[0] == contents[0]
    assert parse_qs(urlsplit(signed[changes[0].path]).query)["response-content-disposition"] == [
        "attachment; filename*=UTF-8''%E2%80%AE%7C%60%5Bx%5D%28y%29%22%3B%20a%3D.html"
    ]
    assert fetched(signed["0.bin"])[0] == contents[1]
    assert [signed[name] for name in ("gone", "lost", "strange")] == ["", "", ""]
    assert sum(map(bool, signed.values())) == MOST_LINKED - 1  # of which one is lost

    template = "https://reports.example.com/x/{path}"
    served = {a.path: a.link for a in with_artifact_links(store, report, template).artifacts}
    key = f"objects/sha256/{packed[7:9]}/{packed[7:]}"
    assert served[changes[0].path] == f"https://reports.example.com/x/{key}"
    for link in ("none", "https://reports.example.com/{commit}/{key}"):
        assert with_artifact_links(store, report, link) is report


@pytest.mark.s3
def test_a_bucket_that_is_not_there_is_said(moto_s3, monkeypatch):
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    store = open_store(moto_s3.url().replace("s3://models", "s3://no-such-bucket"))
    with pytest.raises(StoreError, match="no-such-bucket"):
        publish_html(store, reports.full(plots=0), "wine")


@pytest.mark.s3
def test_a_bucket_that_takes_no_page_costs_the_page_and_not_the_report(
    regression, run_mcgitops, monkeypatch, tmp_path
):
    (tmp_path / "runner").mkdir()

    def env(server: s3.S3Server) -> dict[str, str]:
        return {
            **server.env,
            "MCGITOPS_STORE": server.url("ci"),
            "RUNNER_TEMP": str(tmp_path / "runner"),
        }

    with s3.rclone(tmp_path / "data") as server:
        run_mcgitops("push", cwd=regression.folder, env=env(server))
    monkeypatch.setenv("RCLONE_READ_ONLY", "true")
    with s3.rclone(tmp_path / "data") as server:
        result = run_mcgitops(
            "ci", "--event", "push", "--only", "report", "--no-comment", "--base", "main",
            cwd=regression.folder, env=env(server), check=False,
        )  # fmt: skip
    assert result.code == 3
    assert "The HTML report could not be stored: " in result.stdout + result.stderr
    (report,) = (tmp_path / "runner").glob("*report-*.md")
    assert "accuracy fell below its gate" in report.read_text()
