"""Facts of hosts → the exact commands of a rollout; and a second look that needs none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mcgitops.commands import journal
from mcgitops.commands.ssh import SshOptions, script
from mcgitops.plan.images import has_image, lacking
from mcgitops.plan.rollout import Wanted, plan_rollout
from mcgitops.project.hosts import (
    ContainerFact,
    Host,
    HostFacts,
    ImageFact,
    Pin,
    Placement,
    WantedService,
)

NOW = 1_700_000_000.0
LONG_AGO = datetime.fromtimestamp(NOW - 3600, UTC)
A, B, C, D = ("sha256:" + letter * 64 for letter in "abcd")
API = Pin("api", "mcgitops/wine/api:sha256-new", "sha256:" + "1" * 64, (A, B, C))
OLD = Pin("api", "mcgitops/wine/api:sha256-old", "sha256:" + "0" * 64, (A, B, D))
WANTED = Wanted(
    project="wine",
    environment="production",
    compose_project="wine-production",
    release="v2",
    digest="2222",
    services=(WantedService("api", 1, API.reference, API.config_digest),),
    images=(API,),
    variables=("PORT", "TOKEN"),
    files=frozenset({"f00d"}),
    health_seconds=60,
)
V1 = Placement("v1", "1111", (WantedService("api", 1, OLD.reference),), ("PORT",))
V2 = Placement("v2", "2222", WANTED.services, WANTED.variables)
REMOTE = Host.parse("ssh://deploy@a.example.com")
LOCAL = Host.parse("local://")
OLD_IMAGE = ImageFact(OLD.config_digest, (OLD.reference,), OLD.diff_ids)
NEW_IMAGE = ImageFact(API.config_digest, (API.reference,), API.diff_ids)


def container(image: Pin, **changes: object) -> ContainerFact:
    fact = ContainerFact(
        "wine-production-api-1", "api", image.config_digest, image.reference, "running",
        "healthy", started=LONG_AGO,
    )  # fmt: skip
    return replace(fact, **changes)  # type: ignore[arg-type]


EMPTY = HostFacts(REMOTE, root="/r", now=NOW, engine="26.1", compose="2.40",
                  tools=frozenset({"flock", "timeout"}))  # fmt: skip
ON_V1 = replace(
    EMPTY, current=V1, placements=(V1,), images=(OLD_IMAGE,),
    containers=(container(OLD),),
)  # fmt: skip
ON_V2 = replace(
    EMPTY, current=V2, previous=V1, placements=(V1, V2),
    files=frozenset({"f00d"}), images=(OLD_IMAGE, NEW_IMAGE), containers=(container(API),),
)  # fmt: skip


def lines(facts: HostFacts, wanted: Wanted = WANTED) -> list[str]:
    """The commands without ssh's own options."""
    rollout = plan_rollout(wanted, [facts], SshOptions())
    noise = " ".join(SshOptions().arguments())
    return [command.shell_line().replace(f" {noise}", "") for command in rollout.commands]


UP = (
    "env -u COMPOSE_PROFILES -u PORT -u TOKEN docker compose --ansi never --project-name "
    "wine-production --project-directory /r/releases/v2/2222 --env-file /r/releases/v2/2222/.env "
    "--file /r/releases/v2/2222/compose.yml up --detach --no-build --pull never --remove-orphans"
)


NOISE = " ".join(SshOptions().arguments())
COMMIT = (
    "cd /r && ln -sfn releases/v2/2222 current.new "
    "&& { mv -fT current.new current 2>/dev/null || mv -fh current.new current; } && "
    "touch releases/v2/2222/committed && { docker ps --all "
    "--filter label=com.docker.compose.project=wine-production "
    "--filter label=com.docker.compose.oneoff=False --format "
    """'{{json (.Label "com.docker.compose.service")}} """
    """{{json (.Label "com.docker.compose.config-hash")}}' 2>/dev/null """
    "| sort -u > releases/v2/2222/committed || true; } && "
    "rm -f attempt && rm -f rejected/v2 || exit 1\n" + journal.entry("deployed", "v2", "2222")
)


def test_a_first_deployment_ships_places_starts_and_commits() -> None:
    host = "--release v2 --host ssh://deploy@a.example.com"
    assert lines(EMPTY) == [
        f"mcgitops step lock production {host}",
        f"mcgitops step ship production {host}",
        f"mcgitops step place production {host}",
        "ssh -- deploy@a.example.com 'sh -c '\"'\"'cd /r && printf '\"'\"'\"'\"'\"'\"'\"'\"'%s\\n'"
        "\"'\"'\"'\"'\"'\"'\"'\"' v2/2222 > attempt.new && mv -f attempt.new attempt'\"'\"''",
        f"ssh -tt -- deploy@a.example.com 'flock /r/compose.lock timeout 120 {UP}'",
        f"mcgitops step healthy production {host}",
        script("ssh://deploy@a.example.com", COMMIT).shell_line().replace(f" {NOISE}", ""),
        f"mcgitops step unlock production {host}",
    ]


def test_on_this_machine_the_same_runs_without_ssh() -> None:
    here = lines(replace(EMPTY, host=LOCAL, tools=frozenset()))
    assert UP in here
    assert not any(line.startswith("ssh") for line in here)


def test_a_host_that_runs_the_release_has_nothing_to_do() -> None:
    rollout = plan_rollout(WANTED, [ON_V2], SshOptions())
    assert rollout.commands == ()
    assert rollout.nothing_to_do
    assert rollout.hosts[0].reason == "v2 runs and is healthy"


def test_only_what_is_missing_is_sent() -> None:
    placed = replace(ON_V1, placements=ON_V2.placements, files=ON_V2.files)
    names = [step.name for step in plan_rollout(WANTED, [placed], SshOptions()).steps]
    assert names == ["lock", "ship", "begin", "up", "healthy", "commit", "unlock"]
    shipped = replace(ON_V1, images=ON_V2.images)
    names = [step.name for step in plan_rollout(WANTED, [shipped], SshOptions()).steps]
    assert names == ["lock", "place", "begin", "up", "healthy", "commit", "unlock"]


def test_going_back_uses_the_former_release_s_own_folder_and_variables() -> None:
    host = plan_rollout(WANTED, [ON_V1], SshOptions()).hosts[0]
    assert host.reason == "v1 → v2"
    assert host.can_return
    up, healthy, end, _ = (step.command for step in host.undo)
    assert "-u PORT docker compose" in up.argv[-1]
    assert "--env-file /r/releases/v1/1111/.env" in up.argv[-1]
    assert "TOKEN" not in up.argv[-1]
    assert "--current" in healthy.argv
    assert end.argv[-1] == "sh -c 'cd /r && rm -f attempt'"


def test_after_a_first_deployment_going_back_takes_everything_down_but_keeps_data() -> None:
    host = plan_rollout(WANTED, [EMPTY], SshOptions()).hosts[0]
    assert [step.name for step in host.undo] == ["down", "end", "reject"]
    assert host.undo[0].command.argv[-1].endswith("down --remove-orphans")


def test_containers_that_somebody_else_started_are_not_taken_down() -> None:
    facts = replace(EMPTY, containers=(container(OLD),))
    host = plan_rollout(WANTED, [facts], SshOptions()).hosts[0]
    assert host.undo == ()
    assert not host.can_return


def test_an_interrupted_rollout_is_finished_by_the_next_call() -> None:
    facts = replace(ON_V1, attempt="v2/2222", containers=(container(API),))
    assert plan_rollout(WANTED, [facts], SshOptions()).hosts[0].reason == "v1 → v2"
    back = replace(WANTED, release="v1", digest="1111", services=V1.services, images=(OLD,),
                   files=frozenset())  # fmt: skip
    host = plan_rollout(back, [facts], SshOptions()).hosts[0]
    assert host.reason == "a rollout of v2 was interrupted"
    assert [step.name for step in host.steps] == [
        "lock", "begin", "up", "healthy", "commit", "unlock",
    ]  # fmt: skip


def test_changed_values_of_the_same_release_are_a_rollout() -> None:
    changed = replace(WANTED, digest="3333")
    host = plan_rollout(changed, [ON_V2], SshOptions()).hosts[0]
    assert host.reason == "v2 with changed values"
    assert "/r/releases/v2/2222/compose.yml" in host.undo[0].command.argv[-1]
    assert "ship" not in [step.name for step in host.steps]


def test_a_broken_container_of_the_current_release_is_repaired() -> None:
    facts = replace(ON_V2, containers=(container(API, state="exited", exit_code=137),))
    host = plan_rollout(WANTED, [facts], SshOptions()).hosts[0]
    assert host.reason.startswith("v2 is not as it should be: wine-production-api-1 exited")
    assert not host.can_return


def test_phases_pass_together_on_all_hosts() -> None:
    other = replace(ON_V1, host=Host.parse("ssh://deploy@b.example.com"))
    rollout = plan_rollout(WANTED, [ON_V1, other], SshOptions())
    assert [(step.phase, step.name) for step in rollout.steps] == [
        *[("prepare", "lock"), ("prepare", "ship"), ("prepare", "place")] * 2,
        *[("activate", "begin"), ("activate", "up"), ("activate", "healthy")] * 2,
        *[("commit", "commit")] * 2,
        *[("finish", "unlock")] * 2,
    ]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ((), (A, B, C)),
        ((ImageFact("x", (), (A, B, D)),), (C,)),
        # a layer counts only on the same stack: the engine knows layers by what is below them
        ((ImageFact("x", (), (C,)),), (A, B, C)),
        ((ImageFact("x", (), (A,)), ImageFact("y", (), (A, B, C, D))), ()),
    ],
)
def test_layers_are_missing_above_the_longest_common_stack(
    images: tuple[ImageFact, ...], expected: tuple[str, ...]
) -> None:
    assert lacking(API, images) == expected


def test_an_image_is_the_pinned_one_by_its_configuration() -> None:
    same_layers = ImageFact("sha256:" + "9" * 64, (API.reference,), API.diff_ids, "overlay2")
    assert has_image(API, replace(EMPTY, images=(NEW_IMAGE,)))
    assert not has_image(API, replace(EMPTY, images=(same_layers,)))
    # the containerd store has ids of its own
    other_id = replace(same_layers, driver="overlayfs")
    assert has_image(API, replace(EMPTY, images=(other_id,)))
    unnamed = replace(NEW_IMAGE, references=())
    assert not has_image(API, replace(EMPTY, images=(unnamed,)))
