"""What a deployment would do on a host, service by service; and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcgitops.commands.ssh import SshOptions
from mcgitops.deploy.views import rollout_json, rollout_text
from mcgitops.plan.difference import ServiceDifference, host_difference
from mcgitops.plan.rollout import plan_rollout
from mcgitops.project.hosts import Behind, Host, HostFacts, Placement, Policy, WantedService
from tests.unit.plan.test_rollout import (
    API,
    EMPTY,
    NEW_IMAGE,
    OLD_IMAGE,
    ON_V1,
    ON_V2,
    V1,
    WANTED,
    container,
)


def services(facts: HostFacts, wanted: object = WANTED) -> tuple[ServiceDifference, ...]:
    return host_difference(wanted, facts, {"api": ("user: 1 → 2",)}).services  # type: ignore[arg-type]


def test_nothing_would_change_where_the_release_runs() -> None:
    found = host_difference(WANTED, ON_V2, {})
    assert found.is_empty
    assert found.services == (ServiceDifference("api", "untouched"),)


def test_an_empty_host_gets_everything() -> None:
    found = host_difference(WANTED, EMPTY, {})
    assert not found.is_empty
    assert found.services == (ServiceDifference("api", "added"),)
    assert found.layers == API.diff_ids


def test_a_service_is_replaced_with_the_reasons_and_the_way() -> None:
    (api,) = services(ON_V1)
    assert api.action == "replaced"
    assert api.reasons[1:] == ("user: 1 → 2",)
    assert api.reasons[0].startswith("image ")
    assert api.reasons[0].endswith("→ " + "1" * 12)
    assert api.how == "stop-first"
    assert host_difference(WANTED, ON_V1, {}).layers == API.diff_ids[2:]


@pytest.mark.parametrize(
    ("facts", "action", "reason"),
    [
        (replace(ON_V2, containers=()), "added", "no container of it runs"),
        (replace(ON_V2, containers=(container(API), container(API, name="x", number=2))), "scaled",
         "2 containers, 1 wanted"),
        (replace(ON_V2, containers=(container(API, state="exited", exit_code=1),)), "mended",
         "wine-production-api-1 is not well"),
        (replace(ON_V2, outdated=frozenset({"wine-production-api-1"})), "mended",
         "wine-production-api-1 was not made from the release folder's values"),
    ],
)  # fmt: skip
def test_what_was_changed_by_hand_is_named(facts: HostFacts, action: str, reason: str) -> None:
    found = host_difference(WANTED, facts, {})
    assert (found.services[0].action, found.services[0].reasons) == (action, (reason,))
    assert not found.is_empty


def test_a_service_that_the_release_no_longer_has_is_removed() -> None:
    guest = replace(container(API), name="guest-1", service="guest")
    found = host_difference(WANTED, replace(ON_V2, containers=(container(API), guest)), {})
    assert [(one.name, one.action) for one in found.services] == [
        ("api", "untouched"),
        ("guest", "removed"),
    ]


def test_the_plan_says_which_hosts_go_when_and_how_each_service_is_replaced() -> None:
    behind = Behind("proxy", "127.0.0.1:9999")
    new = WantedService("api", 2, API.reference, configuration="2", behind=behind,
                        update=Policy("start-first", parallelism=1))  # fmt: skip
    worker = WantedService("worker", configuration="2", update=Policy(why="it uses a GPU"))
    before = (replace(new, configuration="1"), replace(worker, configuration="1"))
    v1 = Placement("v1", "1111", before)
    running = tuple(
        container(API, service=name, name=f"{name}-1", configuration="1", number=1)
        for name in ("api", "worker")
    )
    hosts = [
        replace(ON_V1, host=Host.parse(f"ssh://deploy@{name}"), current=v1, containers=running,
                images=(OLD_IMAGE, NEW_IMAGE))
        for name in ("a", "b", "c")
    ]  # fmt: skip
    wanted = replace(WANTED, services=(new, worker), canary=1, monitor=60, parallel=2)
    rollout = plan_rollout(wanted, hosts, SshOptions())
    text = rollout_text(rollout)
    assert "group 1 of 2: a: the others follow if it stays well for 60 s\n" in text
    assert "group 2 of 2: b and c\n" in text
    assert "  api     start-first behind proxy, 1 at a time\n" in text
    assert "  worker  stop-first: it uses a GPU\n" in text
    data = rollout_json(rollout)
    assert [len(group) for group in data["groups"]] == [1, 2]
    assert data["hosts"][0]["ways"]["worker"] == "stop-first: it uses a GPU"
    # a proxy that is not switched yet can't keep requests away
    plain = replace(v1, services=tuple(replace(one, behind=None) for one in before))
    first = plan_rollout(wanted, [replace(hosts[0], current=plain)], SshOptions())
    assert "api     stop-first: its proxy is not switched so yet" in rollout_text(first)
    assert V1.release in rollout_text(first)
