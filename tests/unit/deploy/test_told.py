"""However a rollout ends, those who listen hear what the hosts run now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcgitops.deploy.notify import Notice
from mcgitops.deploy.outcome import HostReport, NeedsAttention, Report, RolledBack
from mcgitops.deploy.told import Told, end_of
from mcgitops.errors import HostNeedsAttention, UsageError
from mcgitops.project.environment import Environment
from tests.lab.webhook import Webhook, running

START = Notice("wine", "production", "v2", "started", by="ci-1", commit="abc", url="https://w",
               log="https://l")  # fmt: skip


def report(outcome: str) -> Report:
    return Report("production", "v2", {"ssh://a": HostReport("a", "v1", outcome)}, seconds=3.0)


@pytest.mark.parametrize(
    ("error", "state", "problem"),
    [
        (None, "succeeded", ""),
        (RolledBack("v2 is not deployed: x", report("rolled back")), "rolled-back",
         "v2 is not deployed: x"),
        (NeedsAttention("a is gone", "", report("needs attention")), "needs-attention",
         "a is gone"),
        (HostNeedsAttention("a: no route"), "needs-attention", "a: no route"),
        (UsageError("a value is missing", "Set it."), "rolled-back", "a value is missing"),
        (KeyboardInterrupt(), "rolled-back", "it was interrupted."),
        (ValueError("secret detail"), "needs-attention",
         "mcgitops itself failed; the log says how."),
    ],
)  # fmt: skip
def test_every_end_has_its_state(error: BaseException | None, state: str, problem: str) -> None:
    ended = end_of(START, report("deployed") if error is None else None, error)
    assert (ended.state, ended.problem) == (state, problem)
    assert (ended.by, ended.commit, ended.url, ended.log) == (
        "ci-1",
        "abc",
        "https://w",
        "https://l",
    )


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running() as hook:
        yield hook


def told(hook: Webhook, **on: object) -> Told:
    spec = Environment.model_validate({
        "hosts": ["ssh://a"], "notify": [{"url_from": "HOOK", "template": "json", **on}],
    })  # fmt: skip
    return Told("wine", "production", spec, "v2", Path(), {"HOOK": hook.url}, print)


def test_a_rollout_is_told_from_its_start_to_its_end(webhook: Webhook) -> None:
    with told(webhook, on=["started", "succeeded"]) as listener:
        listener.of(report("deployed"))
    assert webhook.states == ["started", "succeeded"]


def test_nothing_to_do_is_told_only_to_those_who_heard_of_a_start(webhook: Webhook) -> None:
    with told(webhook) as listener:
        listener.of(report("nothing to do"))
    assert webhook.states == []
    with told(webhook, on=["started", "succeeded"]) as listener:
        listener.of(report("nothing to do"))
    assert webhook.states == ["started", "succeeded"]


def test_an_error_is_told_and_goes_on(webhook: Webhook) -> None:
    with pytest.raises(UsageError), told(webhook):
        raise UsageError("no")
    assert webhook.states == ["rolled-back"]
