"""Switches an HAProxy in front of a service, on one host. `plan/proxy.py` decides what to say."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence

from mcgitops.commands import haproxy
from mcgitops.commands.ssh import on_host
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.watch import pauses
from mcgitops.errors import McgitopsError
from mcgitops.plan import proxy
from mcgitops.plan.proxy import Change, Server
from mcgitops.project.hosts import ContainerFact, Host, WantedService

POLL = 0.2
FOUND = 20.0
"""Seconds in which HAProxy must have found a new container by name."""
FORGOTTEN = 5.0
"""Seconds in which it should have forgotten one that is gone."""


class ProxyError(McgitopsError):
    """A proxy can't be asked or switched."""


class Traffic:
    """What is in front of one service, seen and switched."""

    def __init__(
        self, connections: Connections, host: Host, service: WantedService,
        containers: Iterable[ContainerFact],
    ) -> None:  # fmt: skip
        self._connections = connections
        self._host = host
        self._service = service
        self._proxies = tuple(
            one.name
            for one in containers
            if service.behind and one.service == service.behind.service and one.state == "running"
        )

    def check(self) -> None:
        """The proxy must have a backend that can hold two generations."""
        needed = 2 * self._service.replicas
        for name in self._proxies:
            if len(found := self._look(name)) < needed:
                raise ProxyError(
                    f"{self._host.label}: backend {self._service.name} of {name} has "
                    f"{len(found)} servers, too few for two generations of "
                    f"{self._service.replicas}.",
                    f"Give its server-template at least {needed}.",
                )

    def hold(self, known: Collection[str]) -> None:
        """No requests to any address but the `known` ones, whatever starts."""
        for name in self._proxies:
            self._say(name, proxy.hold(self._look(name), known))

    def switch(self, wanted: Collection[str], draining: Collection[str], grace: float) -> float:
        """New requests to `wanted` only; wait until those to `draining` are done, at most `grace`.

        Gives the seconds that this took. Raises `ProxyError` where the proxy can't do it.
        """
        for name in self._proxies:
            self._say(name, proxy.switch(self._find(name, wanted), wanted, draining))
        return self.drained(draining, grace)

    def drained(self, draining: Collection[str], grace: float) -> float:
        """Wait until no request to these addresses is open."""
        began = time.monotonic()
        for pause in pauses(POLL):
            busy = draining and any(proxy.busy(self._look(one), draining) for one in self._proxies)
            if not busy or time.monotonic() - began > grace:
                break
            time.sleep(pause)
        return time.monotonic() - began

    def open_up(self, current: Callable[[], Collection[str]]) -> bool:
        """Let the proxy find containers by name again, once it has forgotten those that are gone.

        current: gives the addresses of the containers that run now. False where it did not forget
        in time.
        """
        end = time.monotonic() + FORGOTTEN
        forgotten = True
        for name in self._proxies:
            while True:
                servers = self._look(name)
                known = current()
                gone = {one.address for one in servers if one.address and one.address not in known}
                late = bool(gone) and time.monotonic() > end
                if late:  # an engine whose disk was full goes on naming containers that are gone
                    forgotten = False
                    gone -= {one.address for one in servers if one.is_down}
                self._say(name, proxy.open_up(servers, gone))
                if not gone or late:
                    break
                time.sleep(POLL)
        return forgotten

    def _find(self, name: str, wanted: Collection[str]) -> tuple[Server, ...]:
        end = time.monotonic() + FOUND
        while lacking := proxy.lacking(servers := self._look(name), wanted):
            free = sum(not one.address for one in servers)
            if time.monotonic() > end:
                backend = self._service.name
                hint = (
                    f"Give the server-template of backend {backend} at least "
                    f"{len(servers) + len(lacking) - free} servers."
                    if free < len(lacking)
                    else f"Its server-template needs `{backend}` as the name, and `resolvers` with "
                    "the nameserver 127.0.0.11:53."
                )
                raise ProxyError(
                    f"{self._host.label}: {name} did not find {len(lacking)} of the new containers "
                    f"of {backend} within {FOUND:g} s.",
                    hint,
                )
            time.sleep(POLL)
        return servers

    def _look(self, name: str) -> tuple[Server, ...]:
        backend = self._service.name
        said = self._speak(name, haproxy.look([backend]))
        servers = proxy.parse(said, backend)
        if not servers:
            lines = [line for line in said.splitlines() if line.strip()]
            raise ProxyError(
                f"{self._host.label}: {name} has no backend {backend} with servers"
                + (f": {lines[0][:200]}" if lines and "find" in lines[0] else "."),
                f"Name its backend {backend} and give it a server-template, as "
                "docs/how-to/zero-downtime.md shows.",
            )
        return servers

    def _say(self, name: str, changes: Sequence[Change]) -> None:
        if not changes:
            return
        text = haproxy.set_states(proxy.pairs(self._service.name, changes))
        if said := self._speak(name, text).strip():
            raise ProxyError(f"{self._host.label}: {name} refused a switch: {said[:200]}")

    def _speak(self, name: str, text: str) -> str:
        assert self._service.behind is not None  # noqa: S101  (else there is no proxy to speak to)
        argv = haproxy.client(name, self._service.behind.admin)
        command = on_host(self._host.url, argv, self._connections.options)
        done = self._connections.execute(
            self._host, command, data=text.encode(), timeout=30, check=False
        )
        if done.code != 0:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise ProxyError(
                f"{self._host.label}: the runtime API of {name} does not answer at "
                f"{self._service.behind.admin}: {lines[-1][:200]}",
                "Add `stats socket ipv4@127.0.0.1:9999 level admin` to the global section of its "
                "configuration.",
            )
        return done.stdout
