"""Messages to a webhook that is there, slow, broken, or somewhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcgitops.deploy.notify import Notice, Notifier, send
from mcgitops.project.environment import Notify
from tests.lab.webhook import Webhook, running

NOTICE = Notice("wine", "production", "v2", "succeeded")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running() as hook:
        yield hook


def notify(hook: Webhook, notice: Notice = NOTICE, **keys: object) -> list[str]:
    spec = Notify.model_validate({"url_from": "HOOK", "template": "json", **keys})
    warnings = send([spec], notice, {"HOOK": hook.url}, Path(), pause=0, timeout=0.5)
    assert not any("canary-secret" in warning or "127.0.0.1" in warning for warning in warnings)
    return warnings


def test_a_message_arrives_as_json(webhook: Webhook) -> None:
    assert notify(webhook) == []
    [(path, kind, body)] = webhook.got
    assert (path, kind) == ("/T0/B0/canary-secret", "application/json")
    assert body["headline"] == "wine: production runs v2"


def test_only_what_is_asked_for_is_sent(webhook: Webhook) -> None:
    assert notify(webhook, on=["started", "rolled-back"]) == []
    assert webhook.got == []


@pytest.mark.parametrize("failure", [500, 503, 429, 0], ids=str)
def test_what_may_pass_is_tried_again(webhook: Webhook, failure: int) -> None:
    webhook.answers = [failure, failure]
    assert notify(webhook) == []
    assert len(webhook.got) == 3


@pytest.mark.parametrize(
    ("failure", "says"),
    [(500, "the webhook answered 500"), (0, "the webhook gave no answer within 0.5 s")],
)
def test_what_stays_is_a_warning(webhook: Webhook, failure: int, says: str) -> None:
    webhook.answers = [failure] * 5
    assert notify(webhook) == [f"No message through $HOOK: {says}, 3 times."]
    assert len(webhook.got) == 3


def test_a_refusal_is_not_repeated(webhook: Webhook) -> None:
    webhook.answers = [404]
    assert notify(webhook) == ["No message through $HOOK: the webhook answered 404."]
    assert len(webhook.got) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_takes_the_message_nowhere(webhook: Webhook, code: int) -> None:
    webhook.answers = [code]
    [warning] = notify(webhook)
    assert f"answered {code}: it is elsewhere" in warning
    assert [path for path, _, _ in webhook.got] == ["/T0/B0/canary-secret"]


def test_nobody_there_is_a_warning() -> None:
    [warning] = notify(Webhook("http://127.0.0.1:1/canary-secret"))
    assert warning == (
        "No message through $HOOK: the webhook can't be reached (Connection refused), 3 times."
    )


def test_one_that_hangs_doesnt_keep_the_others_waiting(webhook: Webhook) -> None:
    webhook.answers = [0, 0, 0]
    specs = [
        Notify(url_from="HOOK", template="json"),
        Notify(url_from="NONE", template="json"),
        Notify(url_from="NONE", template="slack"),
    ]
    warnings = send(specs, NOTICE, {"HOOK": webhook.url}, Path(), pause=0, timeout=0.5)
    assert sorted(warnings) == [
        "No message through $HOOK: the webhook gave no answer within 0.5 s, 3 times.",
        "No message through $NONE: the variable is not set.",
    ]


def test_start_and_end_come_in_order_and_a_warning_once(webhook: Webhook) -> None:
    said: list[str] = []
    specs = [
        Notify(url_from="HOOK", template="json", on=("started", "succeeded")),
        Notify(url_from="NONE", on=("started", "succeeded")),
    ]
    notifier = Notifier(specs, Path(), {"HOOK": webhook.url}, said.append)
    notifier.tell(Notice("wine", "production", "v2", "started"))
    notifier.tell(NOTICE)
    notifier.wait()
    assert [body["deployment"]["state"] for _, _, body in webhook.got] == ["started", "succeeded"]
    assert said == ["No message through $NONE: the variable is not set."]
