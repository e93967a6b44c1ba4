"""Compose's own keys → how a service is replaced, and why so."""

from __future__ import annotations

from typing import Any

import pytest

from mcgitops.plan import policy
from mcgitops.project.hosts import Behind, Policy
from mcgitops.project.serving import ServingSpec


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), (5, 5), ("", 0), (None, 0),
     ("1m0.5s", 60.5), ("20us", 20e-6)],
)  # fmt: skip
def test_durations_as_compose_writes_them(text: Any, seconds: float) -> None:
    assert policy.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("service", "proxied", "order", "why"),
    [
        ({}, False, "stop-first",
         "no proxy switches it, and update_config.order is not start-first"),
        ({}, True, "start-first", ""),
        ({"deploy": {"update_config": {"order": "start-first"}}}, False, "start-first", ""),
        ({"deploy": {"update_config": {"order": "stop-first"}}}, True, "stop-first", ""),
        ({"gpus": [{"count": -1}]}, True, "stop-first",
         "it uses a GPU, which may not hold two copies"),
        ({"gpus": "all", "deploy": {"update_config": {"order": "start-first"}}}, True,
         "start-first", ""),
        ({"ports": [{"published": "8080", "target": 80}]}, True, "stop-first",
         "it publishes port 8080, which two containers can't share"),
        ({"ports": [{"published": "8080"}],
          "deploy": {"update_config": {"order": "start-first"}}}, True, "stop-first",
         "it publishes port 8080, which two containers can't share"),
        ({"ports": [{"target": 80}]}, True, "start-first", ""),
        ({"ports": [{"target": 80, "published": "0"}]}, True, "start-first", ""),
        ({"container_name": "db"}, True, "stop-first", "its container has a fixed name, db"),
        ({"network_mode": "host"}, True, "stop-first", "it uses the host's own network"),
        ({"networks": {"a": {"ipv4_address": "10.0.0.2"}}}, True, "stop-first",
         "its container has a fixed address"),
        ({"networks": {"a": None}}, True, "start-first", ""),
        ({"pre_stop": [{"command": "x"}]}, True, "stop-first",
         "its pre_stop hooks run only where Compose itself replaces it"),
    ],
)  # fmt: skip
def test_what_cannot_run_twice_stops_first_and_says_why(
    service: dict[str, Any], proxied: bool, order: str, why: str
) -> None:
    found = policy.update(service, proxied)
    assert (found.order, found.why) == (order, why)


def test_the_native_policies_are_kept() -> None:
    service = {"deploy": {
        "update_config": {"order": "start-first", "parallelism": 2, "delay": "5s", "monitor": "1m",
                          "failure_action": "pause"},
        "rollback_config": {"order": "stop-first", "parallelism": 1},
    }}  # fmt: skip
    assert policy.update(service, False) == Policy("start-first", "", 2, 5.0, 60.0, "pause")
    assert policy.back(service, False) == Policy("stop-first", "", 1)
    only = {"deploy": {"update_config": {"order": "start-first", "parallelism": 2}}}
    assert policy.back(only, False) == policy.update(only, False)


def test_a_proxy_is_in_front_of_what_it_switches() -> None:
    proxy = ServingSpec.model_validate({"proxy": {"switches": ["api"], "admin": "127.0.0.1:1"}})
    assert policy.behind({"api": None, "proxy": proxy}) == {"api": Behind("proxy", "127.0.0.1:1")}
