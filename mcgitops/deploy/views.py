"""How a rollout's plan and a status look to people and to programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcgitops.deploy.status import HostStatus
from mcgitops.plan.health import span
from mcgitops.plan.rollout import Rollout


def status_text(found: Sequence[HostStatus]) -> str:
    """One line a host, and one for each further difference; the environment only where it changes.

    Locks and rejected releases have a column only where there are some.
    """
    from tabulate import tabulate

    locks = any(one.locked for one in found)
    rejections = any(one.rejected for one in found)
    rows: list[tuple[str, ...]] = []
    last = ""
    for one in found:
        said = (one.problem,) if one.problem else one.drift or ("–",)
        rows.append((
            one.environment if one.environment != last else "",
            one.host.label,
            "?" if one.problem else one.release or "–",
            "" if one.seconds is None else span(one.seconds),
            " ".join(service.counts for service in one.services),
            *((one.locked,) if locks else ()),
            *((_some(one.rejected),) if rejections else ()),
            said[0],
        ))  # fmt: skip
        rows += [(*("",) * (len(rows[-1]) - 1), further) for further in said[1:]]
        last = one.environment
    headers = (
        "environment", "host", "release", "since", "services",
        *(("locked by",) if locks else ()), *(("rejected",) if rejections else ()), "drift",
    )  # fmt: skip
    return tabulate(rows, headers, tablefmt="plain", disable_numparse=True)


def _some(names: Sequence[str], most: int = 2) -> str:
    shown = ", ".join(names[-most:])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def status_line(one: HostStatus) -> str:
    """One host in one line, for a log of changes."""
    if one.problem:
        return f"{one.environment} {one.host.label}: {one.problem}"
    counts = " ".join(service.counts for service in one.services)
    said = "; ".join(one.drift) or "as it should be"
    locked = f", locked by {one.locked}" if one.locked else ""
    return (
        f"{one.environment} {one.host.label}: {one.release or 'nothing'} {counts}{locked}: {said}"
    )


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
