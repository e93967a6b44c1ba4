"""When a service counts as healthy, starting or failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mcgitops.plan.health import judge, span
from mcgitops.project.hosts import ContainerFact, ImageFact, WantedService

NOW = 1_700_000_000.0
API = WantedService("api", 1, "image:pinned")


def running(seconds: float = 60, **changes: object) -> ContainerFact:
    fact = ContainerFact(
        "p-api-1", "api", "sha256:id", state="running",
        started=datetime.fromtimestamp(NOW - seconds, UTC),
        finished=datetime.fromtimestamp(NOW - 180, UTC),
    )  # fmt: skip
    return replace(fact, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("container", "state", "problem"),
    [
        (running(health="healthy"), "healthy", ""),
        (running(health="starting"), "starting", "p-api-1 is not healthy yet"),
        (running(health="unhealthy", said="503"), "failed", "p-api-1 is unhealthy: 503"),
        (running(60), "healthy", ""),
        (running(1), "starting", ""),
        # crashed and came back: only a longer life counts
        (running(5, restarts=1), "starting", ""),
        (running(11, restarts=1), "healthy", ""),
        (running(1, restarts=4), "failed", "p-api-1 keeps restarting (4 times)"),
        (running(state="restarting", restarts=1), "starting", ""),
        (running(state="restarting", restarts=3, exit_code=2), "failed",
         "p-api-1 keeps restarting (exit code 2)"),
        # a one-shot service that has done its work, and one that has not
        (running(state="exited", exit_code=0), "healthy", ""),
        (running(state="exited", exit_code=0, restart_policy="on-failure"), "healthy", ""),
        (running(state="exited", exit_code=0, restart_policy="always"), "failed",
         "p-api-1 exited 3 min ago (0)"),
        (running(state="exited", exit_code=137), "failed", "p-api-1 exited 3 min ago (137)"),
        (running(state="paused"), "failed", "p-api-1 is paused"),
        (running(state="created"), "starting", "p-api-1 was created but not started"),
    ],
)  # fmt: skip
def test_one_container(container: ContainerFact, state: str, problem: str) -> None:
    health = judge([API], [container], NOW)
    assert health.state == state
    assert health.problems == ((problem,) if problem else ())


def test_a_missing_replica_is_a_failure() -> None:
    health = judge([replace(API, replicas=2)], [running(health="healthy")], NOW)
    assert health.state == "failed"
    assert health.services[0].counts == "api 1/2"
    assert health.problems == ("api: 1 of 2 containers exist",)


def test_a_container_of_another_image_is_drift() -> None:
    images = [ImageFact("sha256:pinned", ("image:pinned",))]
    health = judge([API], [running(health="healthy")], NOW, images)
    assert health.problems == ("p-api-1 runs another image than the release's",)
    assert health.services[0].counts == "api 0/1"
    same = replace(running(health="healthy"), image_id="sha256:pinned")
    assert judge([API], [same], NOW, images).state == "healthy"


def test_containers_that_the_release_does_not_name_are_shown() -> None:
    stranger = replace(running(health="healthy"), name="p-old-1", service="old")
    health = judge([API], [running(health="healthy"), stranger], NOW)
    assert health.problems == ("p-old-1 is not part of the release",)


def test_nothing_wanted_and_nothing_there_is_well() -> None:
    assert judge([], [], NOW).state == "healthy"
    assert judge([], [], NOW).problems == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (12, "12 s"), (119, "119 s"), (180, "3 min"), (7300, "2 h"), (600_000, "7 days")],
)
def test_spans_for_people(seconds: float, text: str) -> None:
    assert span(seconds) == text
