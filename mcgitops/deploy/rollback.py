"""Returns an environment to a release that still lies on its hosts.

Nothing is built, pulled or sent, and no value of the caller's is needed: the release's folder on
each host has its configuration and its values. The rollout itself is the same as anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcgitops.commands.ssh import SshOptions
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.execution import Choose, Say, plan_for, refuse_incomplete
from mcgitops.deploy.outcome import Report
from mcgitops.deploy.rollout import WAIT, carry_on
from mcgitops.deploy.target import Target, environment_of, look_at, wanted_of
from mcgitops.errors import UsageError
from mcgitops.plan import back
from mcgitops.plan.back import Return
from mcgitops.plan.rollout import Rollout
from mcgitops.plan.steps import Wanted
from mcgitops.project.hosts import Host, HostFacts, Placement
from mcgitops.project.model import Project
from mcgitops.store.store import Store


def rollback(
    project: Project, store: Store, environment: str, environ: Mapping[str, str], *, to: str = "",
    say: Say = lambda _: None, force: bool = False, wait: float = WAIT,
) -> Report:  # fmt: skip
    """Return every host to an earlier release, or leave them all as they are."""
    spec = environment_of(project, environment)
    choose = _choice(project, store, environment, environ, to, force=force)
    with Connections(project.folder, environ, spec.known_hosts) as connections:
        hosts = [Host.parse(url) for url in spec.hosts]
        facts = look_at(hosts, connections, project.name, environment)
        return carry_on(choose, connections, facts, say=say, force=True, wait=wait)


def plan_rollback(
    project: Project, store: Store, environment: str, environ: Mapping[str, str], *, to: str = "",
    force: bool = False,
) -> Rollout:  # fmt: skip
    """The exact commands that `rollback` would execute now. Only looks."""
    spec = environment_of(project, environment)
    choose = _choice(project, store, environment, environ, to, force=force)
    with Connections(project.folder, environ, spec.known_hosts) as connections:
        hosts = [Host.parse(url) for url in spec.hosts]
        facts = look_at(hosts, connections, project.name, environment)
        return choose(facts, replace(connections.options, control_path=""))[1]


def _choice(
    project: Project, store: Store, environment: str, environ: Mapping[str, str], to: str, *,
    force: bool,
) -> Choose:  # fmt: skip
    first: list[Return] = []

    def choose(facts: Sequence[HostFacts], options: SshOptions) -> tuple[Target, Rollout]:
        if first and all(one.current and one.current.release == first[0].release for one in facts):
            chosen = first[0]  # somebody else was quicker
        else:
            chosen = back.choose(environment, facts, to, force=force)
        if first and (chosen.left, chosen.release) != (first[0].left, first[0].release):
            raise UsageError(
                f"{environment} was changed by somebody else meanwhile: it runs {chosen.left} now. "
                "Nothing was changed.",
                f"Look at mcgitops status {environment}, then say it again.",
            )
        first.append(chosen)
        aim = _target(project, store, environment, environ, chosen)
        rollout = plan_for(aim, facts, options)
        refuse_incomplete(rollout)
        return aim, rollout

    return choose


def _target(
    project: Project, store: Store, environment: str, environ: Mapping[str, str], chosen: Return
) -> Target:
    spec = environment_of(project, environment)

    def wanted(placement: Placement) -> Wanted:
        is_bad = chosen.left != chosen.release  # the same release, with values that it had before?
        return replace(
            wanted_of(project.name, environment, spec, placement),
            # this is what rollback_config is for
            services=tuple(replace(one, update=one.back) for one in placement.services),
            what="returned",
            leaving=chosen.left if is_bad else "",
        )

    own = {url: wanted(placement) for url, placement in chosen.placements.items()}
    commit = next(iter(chosen.placements.values())).commit
    return Target(project, store, environment, spec, next(iter(own.values())), environ, commit,
                  verb="rollback", own=own)  # fmt: skip
