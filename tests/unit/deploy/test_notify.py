"""Messages are valid JSON that addresses nobody, whatever the texts in them are."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.deploy.notify import HostOutcome, Notice, NotSent, address, of_report, render
from mcgitops.deploy.outcome import HostReport, Report
from mcgitops.project.environment import TEMPLATES

NOTICE = Notice(
    project="wine", environment="production", release="v2", state="rolled-back", previous="v1",
    hosts=(HostOutcome("a.example.com", "rolled back", "v1", "api is unhealthy", 3.2),),
    problem="a.example.com: api is unhealthy", by="ci-812", commit="a1b2c3d4e5f6", seconds=41.2,
    url="https://wine.example.com", log="https://github.com/octo/wine/actions/runs/5",
)  # fmt: skip
ATTACK = (
    '"}, <!channel> <@U1> @everyone <https://evil|ok> [ok](https://evil) ``` \\ {{ 7*7 }} &amp;'
)


def message(template: str, notice: Notice = NOTICE, folder: Path = Path()) -> Any:
    return json.loads(render(template, notice, folder))


def texts(value: Any) -> list[str]:
    """Every text that somebody else may have written: not the addresses of buttons."""
    if isinstance(value, dict):
        found = (texts(one) for key, one in value.items() if key not in ("url", "$schema"))
        return [text for one in found for text in one]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


def hostile(text: str) -> Notice:
    hosts = (HostOutcome(text, text, text, text),)
    return Notice(text, text, text, "rolled-back", text, hosts, text, text, text, 1.0)


def test_slack_shows_what_happened_and_where_to_look() -> None:
    blocks = message("slack")["blocks"]
    assert (
        message("slack")["text"] == "↩️ wine: v2 is not deployed to production, it runs v1 as before"
    )
    assert blocks[1]["text"]["text"] == "```a.example.com: api is unhealthy```"
    assert blocks[2]["elements"][0]["text"] == (
        "a.example.com: rolled back\nby ci-812 · commit a1b2c3d · 41 s"
    )
    assert [button["url"] for button in blocks[3]["elements"]] == [NOTICE.url, NOTICE.log]


def test_json_holds_everything() -> None:
    told = message("json")
    assert (told["event"], told["version"]) == ("mcgitops.deployment", 1)
    assert told["deployment"] == json.loads(json.dumps(asdict(NOTICE)))


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("state", ["started", "succeeded", "rolled-back", "needs-attention"])
def test_every_state_has_a_message_even_where_little_is_known(template: str, state: str) -> None:
    bare = Notice("wine", "production", "v2", state)  # type: ignore[arg-type]
    assert "production" in " ".join(texts(message(template, bare)))
    message(template, replace(NOTICE, state=state))  # type: ignore[arg-type]


def test_slack_reads_no_mention_and_no_link_in_it() -> None:
    for text in texts(message("slack", hostile(ATTACK))):
        assert "<" not in text
        assert "@everyone" not in text
    problem = message("slack", hostile(ATTACK))["blocks"][1]["text"]["text"]
    assert problem.count("```") == 2


def test_discord_notifies_nobody_and_shows_no_link() -> None:
    told = message("discord", hostile(ATTACK))
    assert told["allowed_mentions"] == {"parse": []}
    [embed] = told["embeds"]
    assert "](https" not in embed["title"]
    assert embed["description"].count("```") == 2
    assert "@everyone" not in json.dumps(told)


def test_teams_shows_plain_text() -> None:
    content = message("teams", hostile(ATTACK))["attachments"][0]["content"]
    kinds = {run["type"] for block in content["body"] for run in block["inlines"]}
    assert {block["type"] for block in content["body"]} == {"RichTextBlock"}
    assert kinds == {"TextRun"}


@pytest.mark.parametrize("template", TEMPLATES)
@given(text=st.text(max_size=30).map(lambda text: text * 60) | st.text())
def test_any_text_gives_json_within_the_limits_of_the_service(template: str, text: str) -> None:
    told = message(template, hostile(text))
    if template == "slack":
        for block in told["blocks"]:
            for part in (block.get("text"), *block.get("elements", ())):
                assert len(part["text"]) <= 3000 if part else True
    if template == "discord":
        [embed] = told["embeds"]
        assert len(embed["title"]) <= 256
        assert len(embed["description"]) <= 4096


# templates of a project


def test_a_template_of_the_project_is_rendered_with_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/chat.j2").write_text(
        '{"said": {{ headline | tojson }}, "on": {{ hosts[0].name | tojson }}}'
    )
    told = message("ops/chat.j2", folder=tmp_path)
    assert told == {"said": NOTICE.headline, "on": "a.example.com"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"text": {{ headline }} }', "gives no JSON"),
        ("{{ 1/0 }}", "ZeroDivisionError"),
        ("\n{% for %}", "mine.j2:2: "),
        ("{{ nothing | tojson }}", "'nothing' is undefined"),
        ("[NaN]", "NaN is not JSON"),
        ("{{ ''.__class__.__mro__ | tojson }}", "unsafe"),
        ("", "gives no JSON"),
    ],
)
def test_a_template_that_is_wrong_says_where(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "mine.j2").write_text(text)
    with pytest.raises(NotSent, match=r"mine\.j2") as caught:
        render("mine.j2", NOTICE, tmp_path)
    assert says in str(caught.value)


def test_a_template_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotSent, match=r"there is no template mine\.j2"):
        render("mine.j2", NOTICE, tmp_path)


# addresses


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/T/B/secret", "http://127.0.0.1:1/x", "http://[::1]:1/x"]
)
def test_an_address_is_https_or_on_this_machine(url: str) -> None:
    found = address("HOOK", {"HOOK": f" {url}\n"})
    assert (found.reveal(), str(found)) == (url, "$HOOK")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "not set"),
        ("http://hooks.example.com/secret", "not https"),
        ("http://127.0.0.1.example.com/secret", "not https"),
        ("file:///etc/secret", "not a URL"),
        ("https:///secret", "not a URL"),
        ("https://a:99999/secret", "not a URL"),
        ("https://a/sec ret", "not a URL"),
        ("https://a/sec\x7fret", "not a URL"),
        ("https://user:secret@a/", "holds a user"),
        ("secret", "not a URL"),
    ],
)
def test_any_other_address_is_refused_without_being_repeated(url: str, says: str) -> None:
    with pytest.raises(NotSent, match=says) as caught:
        address("HOOK", {"HOOK": url})
    assert "secret" not in str(caught.value)


# out of a report


def test_a_report_gives_the_notice() -> None:
    report = Report("production", "v2", {
        "ssh://a": HostReport("a", "v1", "rolled back", "api is unhealthy", seconds=3.21),
        "ssh://b": HostReport("b", "v1", "untouched"),
    }, state="rolled-back", seconds=5.55, by="ci-1", commit="abc")  # fmt: skip
    notice = of_report(report, "rolled-back", project="wine", url="https://w", log="", by="")
    assert notice == Notice(
        "wine", "production", "v2", "rolled-back", "v1",
        (HostOutcome("a", "rolled back", "v1", "api is unhealthy", 3.2),
         HostOutcome("b", "untouched", "v1")),
        "api is unhealthy", "ci-1", "abc", 5.5, "https://w",
    )  # fmt: skip
