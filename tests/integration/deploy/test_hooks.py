"""Hooks as they reach a real host: the commands of the plan, through ssh, Compose and an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcgitops.deploy.connection import Connections
from mcgitops.plan.hooks import hook_steps
from mcgitops.plan.steps import Wanted
from mcgitops.project.environment import Hooks
from mcgitops.project.environment import Phase as When
from mcgitops.project.hosts import Host, HostFacts, Placement, WantedService
from mcgitops.run.process import Command, CommandFailed, Completed
from tests.conftest import ProjectFactory, Runner
from tests.lab import hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]

# `web` migrates the data of `db`, and has an entrypoint of its own, as many images do
COMPOSE = """
services:
  db:
    image: {image}
    command: sh -c 'echo "schema 0" > /data/schema; exec sleep 600'
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD", "test", "-e", "/data/schema"]
      interval: 20s
      start_period: 20s
      start_interval: 300ms
    stop_grace_period: 0s
  web:
    image: {image}
    entrypoint: ["env", "FROM_ENTRYPOINT=yes"]
    command: sleep 600
    environment: {{TOKEN: "${{TOKEN}}"}}
    volumes: ["data:/data"]
    depends_on: {{db: {{condition: service_healthy}}}}
    stop_grace_period: 0s
volumes: {{data: {{}}}}
"""
MIGRATE = 'echo "schema 1 of $MCGITOPS_RELEASE after <$MCGITOPS_PREVIOUS>" > /data/schema'


@dataclass
class Place:
    """A host with a release folder, as a rollout leaves it before it activates anything."""

    host: hosts.Host
    connections: Connections
    wanted: Wanted
    facts: HostFacts
    name: str

    def command(self, when: When, **hook: object) -> Command:
        hooks = Hooks.model_validate({when: [hook]})
        [step] = hook_steps(
            hooks, when, self.wanted, self.facts, self.connections.options, is_first=True
        )
        return step.command

    def run(self, when: When, **hook: object) -> Completed:
        return self.connections.execute(self.facts.host, self.command(when, **hook), timeout=60)

    def containers(self) -> list[str]:
        label = f"label=com.docker.compose.project={self.name}"
        shown = self.host.docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").stdout
        return sorted(name.removeprefix(f"{self.name}-") for name in shown.split())

    def schema(self) -> str:
        return self.run("after_activate", run="cat /data/schema", service="db").stdout


@pytest.fixture
def place(fresh_hosts: hosts.Hosts, mini_image: str, tmp_path: Path) -> Iterator[Place]:
    host = fresh_hosts[0]
    host.load(mini_image)
    root = host.ssh("sh", "-c", 'echo "$HOME/hooks of it"').stdout.strip()  # a blank in the path
    release = f"{root}/releases/v2/2222"
    host.ssh("mkdir", "-p", release)
    for name, text in {
        "compose.yml": COMPOSE.format(image=mini_image),
        ".env": "TOKEN=t2\n",
    }.items():
        host.ssh("sh", "-c", 'cat > "$1"', "sh", f"{release}/{name}", stdin=text)
    wanted = Wanted(
        project="shop", environment="production", compose_project="mclab-hooks", release="v2",
        digest="2222", services=(WantedService("db"), WantedService("web")), variables=("TOKEN",),
    )  # fmt: skip
    facts = HostFacts(
        Host.parse(host.url), root=root, tools=frozenset({"flock", "timeout"}),
        compose=host.docker("compose", "version", "--short").stdout.strip(),
    )  # fmt: skip
    with Connections(
        tmp_path, {**fresh_hosts.env, "MCGITOPS_SSH_KEY": str(host.key)}
    ) as connections:
        yield Place(host, connections, wanted, facts, "mclab-hooks")


def test_a_migration_runs_before_the_release_and_what_runs_then_sees_it(place: Place) -> None:
    # nothing runs yet: what the service depends on is started, and healthy, first
    place.run("before_activate", run=["sh", "-c", MIGRATE], service="web", once=True)
    assert place.containers() == ["db-1"]
    assert place.schema() == "schema 1 of v2 after <>"

    # later releases migrate beside what runs, and touch nothing of it
    [database] = place.host.docker("ps", "--quiet").stdout.split()
    current = Placement("v1", "1111", place.wanted.services)
    place.facts = HostFacts(**{**vars(place.facts), "current": current})
    place.run("before_activate", run=["sh", "-c", MIGRATE], service="web")
    assert place.host.docker("ps", "--quiet", "--no-trunc").stdout.startswith(database)
    assert place.containers() == ["db-1"]
    assert place.schema() == "schema 1 of v2 after <v1>"

    # the new release's values and entrypoint; the answer is what the hook itself prints
    told = place.run("before_activate", run="sh -c 'echo $FROM_ENTRYPOINT $TOKEN'", service="web")
    assert told.stdout.splitlines()[-1] == "yes t2"


def test_a_hook_that_fails_is_quoted_and_one_that_hangs_is_ended(place: Place) -> None:
    with pytest.raises(CommandFailed) as caught:
        place.run(
            "after_prepare", run=["sh", "-c", "echo no such column >&2; exit 3"], service="web"
        )
    assert caught.value.code == 3
    assert [line for line in caught.value.lines if line][-1] == "no such column"
    assert place.containers() == []

    place.run("before_activate", run="true", service="web")  # starts the database
    cases: list[tuple[When, dict[str, str]]] = [
        ("after_prepare", {"on": "host"}),
        ("after_prepare", {"service": "web"}),
        ("after_activate", {"service": "db"}),
    ]
    for when, where in cases:
        with pytest.raises(CommandFailed) as caught:
            place.run(when, run="sleep 300", timeout="2s", **where)
        assert caught.value.code == 124
        assert "did not end within 60 s" not in str(caught.value)  # the host itself has ended it
    assert place.containers() == ["db-1"]


HOSTILE = ["a  b", "$(id)", "`id`", "'", '"', "\\", "-x", "--rm", "*", "a=b", "", "ä\tb", "$TOKEN"]


def test_what_a_program_gets_is_its_arguments_as_they_are_and_nothing_to_read(place: Place) -> None:
    place.run("before_activate", run="true", service="web")  # starts the database
    for where in ({"on": "host"}, {"service": "db"}):
        done = place.run("after_activate", run=["printf", "<%s>\n", *HOSTILE], **where)
        assert done.stdout.splitlines() == [f"<{argument}>" for argument in HOSTILE]
        # with a terminal behind it, one that reads would be stopped in the background for good
        assert place.run("after_activate", run="sh -c 'cat; echo read'", **where).stdout == "read"
    assert place.run("before_prepare", run="cat", on="host").stdout == ""
    place.run("before_activate", run="cat", service="web")


def test_on_the_host_it_runs_in_the_release_folder_and_knows_what_is_deployed(place: Place) -> None:
    done = place.run("after_commit", run="sh -c 'ls; pwd; env | grep ^MCGITOPS_ | sort'", on="host")
    assert done.stdout.splitlines() == [
        "compose.yml",
        f"{place.facts.root}/releases/v2/2222",
        "MCGITOPS_ENVIRONMENT=production",
        f"MCGITOPS_HOST={place.facts.host.url}",
        "MCGITOPS_PREVIOUS=",
        "MCGITOPS_RELEASE=v2",
    ]


SHOP = """
name: {name}
services:
  db:
    image: {image}
    command: sh -c '[ -e /data/schema ] || echo 0 > /data/schema; exec sleep 600'
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD", "test", "-e", "/data/schema"]
      interval: 20s
      start_period: 20s
      start_interval: 300ms
    stop_grace_period: 0s
  web:
    build: .
    command: sleep 600
    environment: {{TOKEN: "${{TOKEN}}"}}
    volumes: ["data:/data"]
    depends_on: {{db: {{condition: service_healthy}}}}
    healthcheck:
      test: ["CMD", "cmp", "/app/wants", "/data/schema"]
      interval: 20s
      start_period: 20s
      start_interval: 300ms
    stop_grace_period: 0s
volumes: {{data: {{}}}}

x-mcgitops:
  environments:
    production:
      hosts: ["{host}"]
      health_timeout: 30s
      hooks:
        before_activate: [{{run: sh /app/migrate, service: web}}]
        before_commit:
          - {{run: [sh, -c, "sh ops/smoke $$MCGITOPS_RELEASE"], on: local}}
        after_commit: [{{run: [sh, -c, "echo cache: $$TOKEN; exit 9"], service: web}}]
        after_rollback:
          - {{run: [sh, -c, "echo $$MCGITOPS_HOST keeps $$MCGITOPS_PREVIOUS >> told"], on: local}}
"""
DOCKERFILE = "FROM {image}\nCOPY wants migrate /app/\nLABEL mclab.test={name}\n"


def migration(schema: int, then: str = "") -> dict[str, str]:
    return {"wants": f"{schema}\n", "migrate": f"cp /app/wants /data/schema\n{then}\n"}


def test_a_rollout_migrates_first_and_a_hook_that_refuses_changes_nothing(
    fresh_hosts: hosts.Hosts, mini_image: str, project_factory: ProjectFactory,
    run_mcgitops: Runner, unique_name: Callable[..., str],
) -> None:  # fmt: skip
    host = fresh_hosts[0]
    name = unique_name("hooks")
    folder = project_factory({
        "compose.yml": SHOP.format(name=name, image=mini_image, host=host.url),
        "Dockerfile": DOCKERFILE.format(name=name, image=mini_image),
        "ops/smoke": '[ "$1" != v3 ] || { echo the shop is closed; exit 1; }\n',
        ".gitignore": ".mcgitops\ntold\n",
        **migration(1),
    })  # fmt: skip
    variables = {**fresh_hosts.env, "TOKEN": "canary-of-hooks"}

    def deploy(release: str, files: dict[str, str], code: int) -> str:
        project_factory.commit(folder, files, release)
        project_factory.git(folder, "tag", release)
        run_mcgitops("release", release, cwd=folder, env=variables)
        done = run_mcgitops("deploy", "--release", release, cwd=folder, env=variables, check=False)
        assert done.code == code, done.stdout + done.stderr
        assert "canary-of-hooks" not in done.stdout + done.stderr
        return done.stderr

    def web() -> str:
        return host.docker("ps", "--quiet", "--filter", "name=web").stdout.strip()

    # the first one starts the database for its migration, and web is healthy only after that;
    # what comes too late to refuse only warns
    said = deploy("v1", {}, 0)
    assert "hook after commit" in said
    assert "cache: ***" in said
    current = web()

    said = deploy("v2", migration(1, "echo no such column >&2; exit 3"), 5)
    assert "hook before activate: sh /app/migrate: no such column" in said
    assert web() == current

    said = deploy("v3", migration(1) | {"README": "closed"}, 5)
    assert "the shop is closed" in said
    assert (folder / "told").read_text() == f"{host.url} keeps v1\n" * 2
    assert "v1" in run_mcgitops("status", cwd=folder, env=variables).stdout
    names = host.docker("ps", "--all", "--format", "{{.Names}}").stdout.split()
    assert sorted(names) == [f"{name}-production-db-1", f"{name}-production-web-1"]
