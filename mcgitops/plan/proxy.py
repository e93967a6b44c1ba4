"""What HAProxy says of a backend's servers, and what to tell it. Pure.

A backend has a `server-template` that finds containers by name (`resolvers`), so it is right after
every restart, also without mcgitops. During a rollout its servers are switched one by one:

- *held*: free servers are put into `maint` before containers start, so that none gets requests
  because it exists;
- *admitted*: a server whose address is that of a wanted container is set to `ready`;
- *drained*: one of a container that is to go gets no new requests, and is asked for open ones;
- *opened*: when the old containers are gone, free servers are `ready` again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator

from mcgitops.commands.haproxy import State
from mcgitops.deferred import dataclass

# srv_admin_state, bits of the management guide
_FORCED_MAINTENANCE, _FORCED_DRAIN = 0x01, 0x08
_ANY_MAINTENANCE = 0x01 | 0x02 | 0x04 | 0x20


@dataclass(frozen=True)
class Server:
    """One server of a backend. `address` is "" where no container has it."""

    name: str
    address: str
    admin: int
    requests: int = 0  # open ones
    is_down: bool = False  # HAProxy's own check finds nobody there

    @property
    def is_ready(self) -> bool:
        """Whether new requests may go there, as far as we have a say."""
        return not self.admin & (_FORCED_MAINTENANCE | _FORCED_DRAIN)

    @property
    def is_held(self) -> bool:
        """Whether it was put into maintenance by hand or by us."""
        return bool(self.admin & _FORCED_MAINTENANCE)


def parse(text: str, backend: str) -> tuple[Server, ...]:
    """The answer to `commands.haproxy.look`: a table of states, and a CSV of statistics."""
    load: dict[str, int] = {}
    states: list[tuple[str, str, int, bool]] = []
    columns: list[str] = []
    header: list[str] = []
    for line in text.splitlines():
        if line.startswith("# pxname,"):
            header = next(csv.reader(io.StringIO(line.removeprefix("# "))))
        elif line.startswith("# be_id "):
            columns = line.removeprefix("# ").split()
        elif columns and not line.startswith("#") and (fields := line.split()):
            row = dict(zip(columns, fields, strict=False))
            if row.get("be_name") == backend and "srv_admin_state" in row:
                address = "" if row["srv_addr"] == "-" else row["srv_addr"]
                bits = int(row["srv_admin_state"])
                # one in maintenance isn't checked
                is_down = row.get("srv_op_state") == "0" and not bits & _ANY_MAINTENANCE
                states.append((row["srv_name"], address, bits, is_down))
                continue
        if header and line.startswith(f"{backend},"):
            row = dict(zip(header, next(csv.reader(io.StringIO(line))), strict=False))
            load[row["svname"]] = int(row.get("scur") or 0) + int(row.get("qcur") or 0)
    return tuple(
        Server(name, address, bits, load.get(name, 0), down) for name, address, bits, down in states
    )


Change = tuple[str, State]


def hold(servers: Iterable[Server], known: Collection[str]) -> tuple[Change, ...]:
    """Keep everything out that isn't one of the `known` addresses."""
    return tuple(
        (one.name, "maint") for one in servers if one.address not in known and not one.is_held
    )


def switch(
    servers: Iterable[Server], wanted: Collection[str], draining: Collection[str]
) -> tuple[Change, ...]:
    """Let new requests go to the wanted addresses only; the wanted ones come first, so that there
    is always somebody to answer."""
    every = tuple(servers)
    return (
        *((one.name, "ready") for one in every if one.address in wanted and not one.is_ready),
        *((one.name, "drain") for one in every
          if one.address in draining and (one.is_ready or one.is_held)),
    )  # fmt: skip


def open_up(servers: Iterable[Server], gone: Collection[str]) -> tuple[Change, ...]:
    """Give free servers back to name resolution; not those that still have an old address: they
    are drained, so that HAProxy's check finds out that nobody is there."""
    every = tuple(servers)
    return (
        *((one.name, "ready") for one in every if not one.is_ready and one.address not in gone),
        *((one.name, "drain") for one in every if one.is_held and one.address in gone),
    )  # fmt: skip


def lacking(servers: Iterable[Server], wanted: Collection[str]) -> tuple[str, ...]:
    """Wanted addresses that no server has yet."""
    have = {one.address for one in servers}
    return tuple(sorted(address for address in wanted if address not in have))


def busy(servers: Iterable[Server], draining: Collection[str]) -> int:
    """Open requests to addresses that are to go."""
    return sum(one.requests for one in servers if one.address in draining)


def pairs(backend: str, changes: Iterable[Change]) -> Iterator[tuple[str, str, State]]:
    """Changes with their backend, as `commands.haproxy.set_states` takes them."""
    return ((backend, name, state) for name, state in changes)
