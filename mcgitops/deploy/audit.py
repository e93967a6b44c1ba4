"""Who deployed what to an environment, when, and how it ended: from the store and from the hosts.

The store has a record of each rollout, if it could be reached then; each host has a journal of its
own. Both are merged by the token of the lock that the rollout held. What only one of them knows is
said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from mcgitops.commands import journal
from mcgitops.deferred import dataclass
from mcgitops.deploy.connection import Connections, HostUnreachable
from mcgitops.deploy.target import environment_of, side_by_side
from mcgitops.deploy.visible import visible
from mcgitops.errors import StoreError
from mcgitops.facts.host import root_of
from mcgitops.project.hosts import Host
from mcgitops.project.model import Project
from mcgitops.store.records import DeploymentRecord
from mcgitops.store.store import Store

_LEAVES_A_LINE = ("deployed", "rolled back", "taken down")
"""How a host's part ended where its journal has a line on it."""


@dataclass(frozen=True)
class Line:
    """One line of a host's journal."""

    host: str  # its label
    what: str
    release: str
    digest: str = ""
    when: float = 0.0
    by: str = ""
    reason: str = ""
    token: str = ""


@dataclass(frozen=True)
class Event:
    """One rollout, or whatever else a host noted."""

    when: datetime
    what: str  # deploy, rollback, heal; or the journal's word
    release: str
    by: str
    ended: str
    hosts: Mapping[str, str]  # label → how it ended there
    id: str = ""
    note: str = ""  # what only one side knows

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "when": self.when.isoformat(timespec="seconds"), "what": self.what,
            "release": self.release, "by": self.by, "ended": self.ended,
            "hosts": dict(self.hosts), "id": self.id, "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True)
class Audit:
    """The events, newest first, and who could not be asked."""

    events: tuple[Event, ...]
    problems: tuple[str, ...] = ()


def audit(project: Project, store: Store, environment: str, environ: Mapping[str, str]) -> Audit:
    """Ask the store and all hosts; what can't be asked is named."""
    spec = environment_of(project, environment)
    problems: list[str] = []
    records: list[DeploymentRecord] | None = None
    try:
        records = list(store.deployments(project.name, environment))
    except StoreError as error:
        problems.append(f"The store could not be asked: {error.message}")
    hosts = [Host.parse(url) for url in spec.hosts]
    text = journal.read(root_of(project.name, environment))
    with Connections(project.folder, environ, spec.known_hosts) as connections:

        def ask(host: Host) -> list[Line] | str:
            try:
                return parse(host.label, connections.script(host, text, check=False).stdout)
            except HostUnreachable as error:
                return error.message

        answers = side_by_side(ask, hosts)
    problems += [answer for answer in answers if isinstance(answer, str)]
    journals = {
        host.label: answer
        for host, answer in zip(hosts, answers, strict=True)
        if not isinstance(answer, str)
    }
    labels = {host.url: host.label for host in hosts}
    return Audit(merge(records, journals, labels), tuple(problems))


def parse(host: str, text: str) -> list[Line]:
    """A journal; lines that are none of ours are left out."""
    found: list[Line] = []
    for row in text.splitlines():
        try:
            value = json.loads(row)
            lock = value.get("lock") or {}
            found.append(Line(
                host, str(value["what"]), str(value["release"]), str(value.get("digest", "")),
                float(value["when"]), str(lock.get("owner", "")), str(lock.get("reason", "")),
                str(lock.get("token", "")),
            ))  # fmt: skip
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def merge(
    records: Sequence[DeploymentRecord] | None, journals: Mapping[str, Sequence[Line]],
    labels: Mapping[str, str],
) -> tuple[Event, ...]:  # fmt: skip
    """Events, newest first. records: None where the store could not be asked.

    journals: by label, of the hosts that could be asked. labels: of the environment's hosts by URL.
    """
    by_token: dict[str, list[Line]] = {}
    for line in (each for lines in journals.values() for each in lines):
        by_token.setdefault(line.token, []).append(line)
    events = [
        _of_record(record, by_token.pop(token_of(record), []), journals, labels)
        for record in records or ()
    ]
    for token, lines in by_token.items():
        groups = [lines] if token else [[line] for line in lines]
        events += [_of_lines(group, records is not None) for group in groups]
    return tuple(sorted(events, key=lambda one: one.when, reverse=True))


def token_of(record: DeploymentRecord) -> str:
    """What the hosts' journals know a rollout by."""
    return record.id.rpartition("-")[2]


def _of_record(
    record: DeploymentRecord, lines: Sequence[Line], journals: Mapping[str, Sequence[Line]],
    labels: Mapping[str, str],
) -> Event:  # fmt: skip
    noted = {line.host for line in lines}
    silent: list[str] = []
    gone: list[str] = []
    for url, outcome in record.hosts.items():
        if not outcome.startswith(_LEAVES_A_LINE):
            continue
        label = labels.get(url, Host.parse(url).label)
        if url not in labels:
            gone.append(label)
        elif label in journals and label not in noted:
            silent.append(label)
    notes = []
    if gone:
        notes.append(f"{', '.join(gone)} is no host of it any more")
    if silent:
        notes.append(f"only the store knows it of {', '.join(silent)}")
    hosts = {labels.get(url, Host.parse(url).label): how for url, how in record.hosts.items()}
    if "rejected" in {line.what for line in lines}:
        notes.append("rejected since")
    return Event(record.started, record.verb, record.release, record.by, record.state, hosts,
                 record.id, "; ".join(notes))  # fmt: skip


_IN_A_RECORD = {
    "deployed": ("deploy", "succeeded"),
    "returned": ("rollback", "succeeded"),
    "healed": ("heal", "succeeded"),
    "taken down": ("heal", "succeeded"),
    "rolled back": ("deploy", "rolled-back"),
}
"""How the store would have called it, and how it ended."""


def _of_lines(lines: Sequence[Line], store_was_asked: bool) -> Event:
    last = max(lines, key=lambda line: line.when)
    # a rollback commits one release and rejects another
    main = next((line for line in lines if line.what != "rejected"), last)
    what, ended = _IN_A_RECORD.get(main.what, (main.what, main.what))
    hosts: dict[str, str] = {}
    for line in lines:
        hosts[line.host] = f"{hosts[line.host]}, {line.what}" if line.host in hosts else line.what
    note = "only the hosts know it" if store_was_asked else ""
    return Event(datetime.fromtimestamp(min(line.when for line in lines), UTC), what,
                 main.release, main.by, ended, hosts, note=note)  # fmt: skip


def table(events: Iterable[Event]) -> str:
    """One line an event, safe for a terminal."""
    from tabulate import tabulate

    rows = [
        (
            f"{one.when.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            one.what,
            visible(one.release, 60),
            visible(one.by, 40),
            visible(one.ended, 40),
            ", ".join(visible(_part(host, how, one.ended), 100) for host, how in one.hosts.items()),
            visible(one.note, 120),
        )
        for one in events
    ]
    headers = ("when (UTC)", "what", "release", "by", "ended", "hosts", "")
    return tabulate(rows, headers, tablefmt="plain", disable_numparse=True)


def _part(host: str, how: str, ended: str) -> str:
    return host if how in ("deployed", ended) and ended != "rolled-back" else f"{host}: {how}"
