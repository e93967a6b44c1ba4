"""One service on one host: what runs and what is wanted → the steps between them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mcgitops.commands.ssh import SshOptions
from mcgitops.plan.replace import in_order
from mcgitops.plan.rollout import HostRollout, plan_rollout
from mcgitops.plan.steps import Step, Wanted
from mcgitops.project.environment import Environment, Hooks
from mcgitops.project.hosts import (
    Behind,
    ContainerFact,
    Host,
    HostFacts,
    Placement,
    Policy,
    WantedService,
)  # fmt: skip
from mcgitops.project.serving import ServingSpec

NOW = 1_700_000_000.0
START = Policy("start-first")
GATED = ServingSpec.model_validate({"inference": {"port": 8080, "models": ["wine"]}})
OLD_API = WantedService("api", 2, configuration="old", update=START, back=START,
                        behind=Behind("proxy", "127.0.0.1:9999"))  # fmt: skip
API = replace(OLD_API, configuration="new", after=("db",))
DB = WantedService("db", 1, configuration="db")
PROXY = WantedService("proxy", 1, configuration="proxy", after=("api",))
V1 = Placement("v1", "1111", (OLD_API, DB, PROXY))


def container(service: WantedService, number: int, **changes: Any) -> ContainerFact:
    fact = ContainerFact(
        f"p-{service.name}-{number}", service.name, state="running", health="healthy",
        started=datetime.fromtimestamp(NOW - 3600, UTC), configuration=service.configuration,
        number=number, addresses=(f"10.0.0.{number}",),
    )  # fmt: skip
    return replace(fact, **changes)


RUNNING = (container(OLD_API, 1), container(OLD_API, 2), container(DB, 1), container(PROXY, 1))
ON_V1 = HostFacts(
    Host.parse("local://"), root="/r", now=NOW, engine="26.1", compose="2.40", current=V1,
    placements=(V1,), containers=RUNNING,
)  # fmt: skip


def wanted(api: WantedService = API, **changes: Any) -> Wanted:
    made = Wanted("p", "production", "p-production", "v2", "2222", (PROXY, api, DB))
    return replace(made, **changes)


def plan(facts: HostFacts = ON_V1, release: Wanted | None = None) -> HostRollout:
    return plan_rollout(release or wanted(), [facts], SshOptions()).hosts[0]


def told(steps: Sequence[Step]) -> list[str]:
    """Name, service, and how many of the new and the old are to be there."""
    return [
        f"{step.name} {step.service} {step.new}/{step.old}" if step.service else step.name
        for step in steps
    ]


def test_behind_a_proxy_all_start_beside_the_old_ones_then_it_is_switched() -> None:
    host = plan()
    assert told(host.of("activate")) == [
        "begin", "hold api 0/2", "surge api 4/2", "healthy api 2/0", "switch api 2/0",
        "retire api 2/0", "up", "healthy", "proxies",
    ]  # fmt: skip
    surge = next(step for step in host.steps if step.name == "surge")
    assert surge.command.argv[-4:] == ("--no-recreate", "--scale", "api=4", "api")
    assert host.of("finish")[0].name == "open"


def test_the_way_back_is_the_same_towards_the_former_release() -> None:
    undo = plan().undo
    assert told(undo) == [
        "hold api 2/2", "surge api 2/0", "healthy api 2/0", "switch api 2/0", "retire api 2/0",
        "up", "healthy", "open", "end", "reject",
    ]  # fmt: skip
    for step in undo[:5]:
        assert "--current" in step.command.argv
        assert "--release" not in step.command.argv
    assert "/r/releases/v1/1111/compose.yml" in undo[5].command.argv


def test_containers_of_the_release_that_were_stopped_are_started_again() -> None:
    # killed while the former ones were stopped, and now on the way back to them
    gone = {"state": "exited", "health": "", "exit_code": 143}
    stopped = (container(API, 3, **gone), container(API, 4, **gone))
    facts = replace(ON_V1, containers=(*RUNNING, *stopped), attempt="v2/2222")
    steps = told(plan(facts).of("activate"))
    assert steps[1:4] == ["hold api 0/2", "surge api 4/2", "healthy api 2/0"]
    one = replace(facts, containers=(*RUNNING, container(API, 3), stopped[1]))
    assert "surge api 4/2" in told(plan(one).of("activate"))
    both = replace(facts, containers=(*RUNNING, container(API, 3), container(API, 4)))
    assert not [step for step in told(plan(both).of("activate")) if step.startswith("surge")]


def test_one_at_a_time_where_the_file_says_so() -> None:
    policy = replace(START, parallelism=1, delay=5.0, monitor=2.0)
    steps = plan(release=wanted(replace(API, update=policy))).of("activate")
    assert told(steps) == [
        "begin", "hold api 0/2",
        "surge api 3/2", "healthy api 1/1", "switch api 1/1", "watch api 1/1", "retire api 1/1",
        "pause",
        "surge api 3/1", "healthy api 2/0", "switch api 2/0", "watch api 2/0", "retire api 2/0",
        "up", "healthy", "proxies",
    ]  # fmt: skip
    assert next(step for step in steps if step.name == "pause").command.argv == ("sleep", "5")
    watch = next(step for step in steps if step.name == "watch")
    assert (watch.seconds, watch.command.argv[-2:]) == (2.0, ("--seconds", "2"))


def test_a_gate_is_asked_before_the_switch() -> None:
    names = [step.name for step in plan(release=wanted(replace(API, serving=GATED))).of("activate")]
    assert names.index("healthy") < names.index("gate") < names.index("switch")


def test_more_replicas_only_start_and_fewer_only_stop() -> None:
    same = replace(API, configuration="old")
    more = plan(release=wanted(replace(same, replicas=3))).of("activate")
    assert told(more)[1:3] == ["hold api 2/0", "surge api 3/0"]
    fewer = plan(release=wanted(replace(same, replicas=1))).of("activate")
    assert told(fewer) == [
        "begin", "hold api 2/0", "healthy api 1/0", "switch api 1/0", "retire api 1/0", "up",
        "healthy", "proxies",
    ]  # fmt: skip


def test_what_has_not_changed_is_not_touched() -> None:
    same = wanted(replace(API, configuration="old"))
    assert told(plan(release=same).of("activate")) == ["begin", "up", "healthy", "proxies"]


def test_a_service_that_stops_first_is_drained_and_says_why() -> None:
    policy = Policy("stop-first", "it uses a GPU, which may not hold two copies")
    # another service starts first, so that each is a step of its own
    api = replace(API, update=policy)
    web = WantedService("web", 1, configuration="new", update=START, behind=API.behind)
    old_web = replace(web, configuration="old")
    facts = replace(ON_V1, containers=(*RUNNING, container(old_web, 1)),
                    current=replace(V1, services=(*V1.services, old_web)))  # fmt: skip
    steps = plan(facts, wanted(services=(PROXY, api, DB, web))).of("activate")
    mine = [step for step in steps if step.service == "api"]
    assert told(mine) == ["drain api 0/0", "up api 0/0", "healthy api 2/0", "switch api 2/0"]
    assert "it uses a GPU" in mine[1].command.reason


def test_a_proxy_that_is_not_switched_yet_is_not_asked() -> None:
    before = replace(V1, services=(replace(OLD_API, behind=None), DB, PROXY))
    host = plan(replace(ON_V1, current=before))
    assert told(host.of("activate")) == ["begin", "up", "healthy", "proxies"]
    assert told(host.undo) == ["up", "healthy", "end", "reject"]


def test_where_nothing_starts_first_one_up_does_it_all() -> None:
    plain = replace(API, update=Policy(), behind=None)
    assert told(plan(release=wanted(plain)).of("activate")) == ["begin", "up", "healthy"]


def test_one_that_is_not_well_is_made_anew_although_nothing_changed() -> None:
    ill = container(OLD_API, 2, health="unhealthy")
    facts = replace(ON_V1, containers=(RUNNING[0], ill, *RUNNING[2:]))
    same = wanted(OLD_API, release="v1", digest="1111")
    steps = plan(facts, same).of("activate")
    up = next(step for step in steps if step.service == "api" and step.name == "up")
    assert "--force-recreate" in up.command.argv


def test_services_follow_those_that_they_depend_on_even_in_a_circle() -> None:
    assert [one.name for one in in_order((PROXY, API, DB))] == ["db", "api", "proxy"]
    circle = (WantedService("a", after=("b",)), WantedService("b", after=("a",)))
    assert {one.name for one in in_order(circle)} == {"a", "b"}


def many(count: int) -> list[HostFacts]:
    return [
        replace(ON_V1, host=Host.parse(f"ssh://deploy@h{number}.example.com"))
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("policy", "groups"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"parallel": 2}, [2, 2, 1]),
        ({"parallel": "all"}, [5]),
        ({"canary": 1, "parallel": "all"}, [1, 4]),
        ({"canary": 2, "parallel": 2}, [2, 2, 1]),
        ({"canary": 5, "parallel": 2}, [2, 2, 1]),  # all would be canaries: nobody follows
    ],
)
def test_hosts_go_in_groups(policy: dict[str, Any], groups: list[int]) -> None:
    spec = Environment.model_validate({"hosts": ["local://"], **policy})
    release = wanted(
        parallel=0 if spec.parallel == "all" else spec.parallel, canary=spec.canary or 0, monitor=30
    )
    rollout = plan_rollout(release, many(5), SshOptions())
    assert [len(group) for group in rollout.groups] == groups
    watched = [bool(host.of("monitor")) for host in rollout.hosts]
    assert watched == [number < rollout.canary for number in range(5)]
    assert {step.seconds for host in rollout.hosts for step in host.of("monitor")} <= {30.0}
    order = [step.phase for step in rollout.steps]
    assert order.index("commit") > max(at for at, p in enumerate(order) if p == "activate")


@pytest.mark.parametrize(
    ("canary", "groups"), [(0, [1, 2, 2]), (1, [1, 2, 2]), (3, [1, 2, 2]), (5, [1, 2, 2])]
)
def test_nobody_starts_before_a_migration_that_runs_once_is_done(
    canary: int, groups: list[int]
) -> None:
    hooks = Hooks.model_validate({"before_activate": [{"on": "local", "run": "m", "once": True}]})
    release = wanted(parallel=2, canary=canary, monitor=1, hooks=hooks)
    rollout = plan_rollout(release, many(5), SshOptions())
    assert [len(group) for group in rollout.groups] == groups
    names = [step.name for step in rollout.steps if step.phase == "activate"]
    assert names.index("hook") < names.index("surge") < names.index("begin", 1)


def test_hooks_stand_around_the_phases_and_once_is_on_the_first_host() -> None:
    hooks = Hooks.model_validate({
        "before_prepare": [{"on": "local", "run": "a"}],
        "before_activate": [
            {"service": "api", "run": ["migrate", "it's \"quoted\""], "once": True}
        ],
        "before_commit": [{"on": "host", "run": "b"}],
        "after_rollback": [{"on": "local", "run": "c"}],
    })  # fmt: skip
    first, second = plan_rollout(wanted(hooks=hooks), many(2), SshOptions()).hosts
    assert [step.name for step in first.steps][:3] == ["lock", "hook", "place"]
    assert told(first.of("activate"))[:3] == ["begin", "hook", "hold api 0/2"]
    assert told(second.of("activate"))[:2] == ["begin", "hold api 0/2"]
    assert [step.name for step in first.of("confirm")] == ["hook"]
    assert first.undo[-1].name == "hook"
    # the arguments arrive as they were written, through ssh's shell and the host's
    line = first.of("activate")[1].command.argv[-1]
    words = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert words[-2:] == ["migrate", 'it\'s "quoted"']


def test_a_second_look_after_success_yields_nothing() -> None:
    after = replace(
        ON_V1, current=Placement("v2", "2222", wanted().services), placements=(V1,),
        containers=(container(API, 3), container(API, 4), *RUNNING[2:]),
    )  # fmt: skip
    assert plan(after).steps == ()
