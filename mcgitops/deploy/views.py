"""How a rollout's plan and a status look to people and to programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcgitops.deploy.status import HostStatus
from mcgitops.plan.rollout import Rollout


def status_text(found: Sequence[HostStatus]) -> str:
    """One line a host; the environment only where it changes."""
    from tabulate import tabulate

    rows: list[tuple[str, ...]] = []
    last = ""
    for one in found:
        environment, *rest = one.row()
        rows.append((environment if environment != last else "", *rest))
        last = environment
    headers = ("environment", "host", "release", "since", "services", "drift")
    return tabulate(rows, headers, tablefmt="plain", disable_numparse=True)


def rollout_text(rollout: Rollout) -> str:
    """The commands in the order of their execution, each with its reason; then the way back."""
    if rollout.nothing_to_do:
        return f"Nothing to do: {rollout.environment} runs {rollout.release}, healthy."
    lines: list[str] = []
    for host in rollout.hosts:
        lines.append(f"{rollout.environment} on {host.host.label}: {host.reason}")
    lines.append("")
    for number, step in enumerate(rollout.steps, 1):
        lines.append(f"{number:3}  {step.command.shell_line()}")
        if step.command.reason:
            lines.append(f"     # {step.command.reason}")
    lines += ["", "If a step fails, every host that was touched goes back:"]
    for host in rollout.hosts:
        if host.steps and not host.can_return:
            lines.append(f"     # {host.host.label}: there is nothing to return to")
        for step in host.undo:
            lines.append(f"     {step.command.shell_line()}")
    lines += ["", f"{len(rollout.steps)} commands, nothing executed."]
    return "\n".join(lines)


def rollout_json(rollout: Rollout) -> dict[str, Any]:
    """The same for programs."""
    return {
        "environment": rollout.environment,
        "release": rollout.release,
        "hosts": [
            {
                "host": one.host.url,
                "before": one.before.release if one.before else "",
                "reason": one.reason,
                "steps": [
                    {"phase": step.phase, "name": step.name, **step.command.to_json()}
                    for step in one.steps
                ],
                "undo": [
                    {"phase": step.phase, "name": step.name, **step.command.to_json()}
                    for step in one.undo
                ],
            }
            for one in rollout.hosts
        ],
    }
