"""Checks across keys of what is deployed: environments, their services and hooks, proxies."""

from __future__ import annotations

from mcgitops.errors import Problem
from mcgitops.project.environment import Environment, Hooks
from mcgitops.project.model import Project
from mcgitops.project.nearest import nearest
from mcgitops.project.source import KEY, Sources


def check_deployed(project: Project, sources: Sources) -> list[Problem]:
    """All problems of services that are deployed, and of environments."""
    return [*_check_environments(project, sources), *_check_proxies(project, sources)]


def _check_proxies(project: Project, sources: Sources) -> list[Problem]:
    """Proxies that switch what isn't deployed, what another one switches, or themselves."""
    names = [service.name for service in project.deployed]
    switched: dict[str, str] = {}
    problems = []
    for service in project.deployed:
        if service.serving is None or service.serving.proxy is None:
            continue
        for name in service.serving.proxy.switches:
            keys = ("services", service.name, KEY, "proxy", "switches")
            file, line = sources.place(*keys)
            where = (file, line, service.name, f"{KEY}.proxy.switches")
            if name not in names:
                near = nearest(name, names)
                what = "a stage" if name in project.services else "no service"
                hint = f"Did you mean {near}?" if near else "Name a service that is deployed."
                problems.append(Problem(f"{name} is {what}.", hint, *where))
            elif name == service.name:
                problems.append(Problem(f"{name} can't switch itself.", "Remove it.", *where))
            elif name in switched:
                message = f"{name} is switched by {switched[name]} already."
                problems.append(Problem(message, "Keep it in one of them.", *where))
            switched.setdefault(name, service.name)
    return problems


def _check_environments(project: Project, sources: Sources) -> list[Problem]:
    """Services to deploy that aren't there, or are stages."""
    names = [service.name for service in project.deployed]
    problems = []
    for environment, spec in project.spec.environments.items():
        for name in spec.services or ():
            if name in names:
                continue
            file, line = sources.place(KEY, "environments", environment, "services")
            near = nearest(name, names)
            what = "a stage" if name in project.services else "no service"
            hint = f"Did you mean {near}?" if near else "Name services that are not stages."
            key = f"{KEY}.environments.{environment}.services"
            problems.append(Problem(f"{name} is {what}.", hint, file, line, "", key))
        problems.extend(_check_hooks(project, sources, environment, spec))
    return problems


def _check_hooks(
    project: Project, sources: Sources, environment: str, spec: Environment
) -> list[Problem]:
    """Hooks in services that aren't deployed there, or before there is a release to run them in."""
    names = _deployed_names(project, spec)
    problems = []
    for phase in Hooks.model_keys():
        for index, hook in enumerate(getattr(spec.hooks, phase)):
            if hook.service is None:
                continue
            keys = ("environments", environment, "hooks", phase)
            file, line = sources.place(KEY, *keys, index, "service")
            where = (file, line, "", ".".join((KEY, *keys, "service")))
            if hook.service not in names:
                near = nearest(hook.service, names)
                what = "not deployed there" if hook.service in project.services else "no service"
                hint = f"Did you mean {near}?" if near else "Name a service that is deployed."
                problems.append(Problem(f"{hook.service} is {what}.", hint, *where))
            elif phase == "before_prepare":
                message = "nothing of the release is on the host yet."
                hint = "Use after_prepare or before_activate, or on: host."
                problems.append(Problem(message, hint, *where))
    return problems


def _deployed_names(project: Project, spec: Environment) -> list[str]:
    """The services that an environment runs, with those that they depend on."""
    every = {service.name: service for service in project.deployed}
    chosen = [
        name
        for name, service in every.items()
        if (not service.definition.get("profiles") if spec.services is None
            else name in spec.services)
    ]  # fmt: skip
    for name in chosen:
        chosen += [one for one in every[name].depends_on if one in every and one not in chosen]
    return chosen
