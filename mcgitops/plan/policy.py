"""How each service of a release is replaced, from Compose's own keys. Pure.

`deploy.update_config` and `rollback_config` mean what they mean to Swarm, with two differences that
docs/explanation/rollouts.md gives the reasons for: without `order` a service behind a proxy starts
first, and without `failure_action` a failure takes all hosts back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from mcgitops.project.hosts import Behind, Policy
from mcgitops.project.model import uses_gpu
from mcgitops.project.serving import ServingSpec

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
GRACE = 10.0
"""Seconds, where a service has no `stop_grace_period`: Compose's default."""


def duration(text: Any, default: float = 0.0) -> float:
    """Compose's durations in seconds: `1m30s`, `500ms`; a number is in seconds."""
    if isinstance(text, int | float):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|h|m|s)", str(text or ""))
    return sum(float(n) * _UNITS[unit] for n, unit in parts) if parts else default


def behind(services: Mapping[str, ServingSpec | None]) -> dict[str, Behind]:
    """Service → the proxy that is switched for it."""
    return {
        name: Behind(proxy, spec.proxy.admin)
        for proxy, spec in services.items()
        if spec is not None and spec.proxy is not None
        for name in spec.proxy.switches
    }


def grace(service: Mapping[str, Any]) -> float:
    """Seconds that a container has to end after SIGTERM."""
    return duration(service.get("stop_grace_period"), GRACE)


def after(service: Mapping[str, Any]) -> tuple[str, ...]:
    """The services that it depends on."""
    return tuple(service.get("depends_on") or ())


def update(service: Mapping[str, Any], behind_proxy: bool) -> Policy:
    """The policy of `deploy.update_config`."""
    return _policy(service, (service.get("deploy") or {}).get("update_config"), behind_proxy)


def back(service: Mapping[str, Any], behind_proxy: bool) -> Policy:
    """The policy of `deploy.rollback_config`; without one the same as for an update."""
    deploy = service.get("deploy") or {}
    given = deploy.get("rollback_config") or deploy.get("update_config")
    return _policy(service, given, behind_proxy)


def _policy(service: Mapping[str, Any], given: Any, behind_proxy: bool) -> Policy:
    config = given if isinstance(given, Mapping) else {}
    order, why = _order(service, str(config.get("order") or ""), behind_proxy)
    action = str(config.get("failure_action") or "rollback")
    return Policy(
        order=order,
        why=why,
        parallelism=int(config.get("parallelism") or 0),
        delay=duration(config.get("delay")),
        monitor=duration(config.get("monitor")),
        failure_action="pause" if action == "pause" else
                       "continue" if action == "continue" else "rollback",
    )  # fmt: skip


def _order(
    service: Mapping[str, Any], asked: str, behind_proxy: bool
) -> tuple[Literal["start-first", "stop-first"], str]:
    if asked == "stop-first":
        return "stop-first", ""
    if reason := _impossible(service):
        return "stop-first", reason
    if asked == "start-first":
        return "start-first", ""
    if uses_gpu(service):
        return "stop-first", "it uses a GPU, which may not hold two copies"
    if behind_proxy:
        return "start-first", ""
    return "stop-first", "no proxy switches it, and update_config.order is not start-first"


def _impossible(service: Mapping[str, Any]) -> str:
    """Why two generations of its containers can't run side by side; "" where they can."""
    for port in service.get("ports") or ():
        published = str(port.get("published") or "") if isinstance(port, Mapping) else ""
        if published and published != "0":
            return f"it publishes port {published}, which two containers can't share"
    if service.get("container_name"):
        return f"its container has a fixed name, {service['container_name']}"
    if str(service.get("network_mode") or "") == "host":
        return "it uses the host's own network"
    if any(
        isinstance(network, Mapping)
        and (network.get("ipv4_address") or network.get("ipv6_address"))
        for network in _networks(service)
    ):
        return "its container has a fixed address"
    if service.get("pre_stop"):
        return "its pre_stop hooks run only where Compose itself replaces it"
    return ""


def _networks(service: Mapping[str, Any]) -> tuple[Any, ...]:
    networks = service.get("networks")
    return tuple(networks.values()) if isinstance(networks, Mapping) else ()


def _has_fixed_address(network: Any) -> bool:
    return isinstance(network, Mapping) and any(
        network.get(key) for key in ("ipv4_address", "ipv6_address")
    )
