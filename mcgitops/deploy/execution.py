"""Carries out a rollout: locks, phases, the way back, and what is told and recorded on the way.

`rollout.py` decides what there is to do; this module only follows the plan.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

from mcgitops.commands.ssh import script
from mcgitops.deploy import images, lock, place, ship, watch
from mcgitops.deploy.connection import Connections, HostUnreachable
from mcgitops.deploy.place import Prepared
from mcgitops.deploy.target import Target, look, side_by_side
from mcgitops.errors import DeploymentRolledBack, HostNeedsAttention, McgitopsError
from mcgitops.plan.rollout import START_SECONDS, HostRollout, Step, plan_rollout
from mcgitops.project.hosts import Host, HostFacts
from mcgitops.run.process import CommandFailed
from mcgitops.store.records import DeploymentRecord
from mcgitops.store.store import Store

Say = Callable[[str], None]
WORTH_A_LINE = 30_000_000  # bytes


@dataclass
class HostReport:
    """What happened on one host, for people and for `--json`."""

    host: str
    before: str = ""
    outcome: str = ""  # nothing to do, deployed, rolled back, untouched, needs attention
    problem: str = ""
    parts: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Report:
    """How a deployment ended."""

    environment: str
    release: str
    hosts: dict[str, HostReport]
    state: str = "succeeded"
    seconds: float = 0.0

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "environment": self.environment,
            "release": self.release,
            "state": self.state,
            "seconds": round(self.seconds, 1),
            "hosts": [
                {"host": one.host, "before": one.before, "outcome": one.outcome,
                 "problem": one.problem, "seconds": round(one.seconds, 1)}
                for one in self.hosts.values()
            ],
        }  # fmt: skip


class RolledBack(DeploymentRolledBack):
    """The release did not start on some host; all hosts are as they were."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


class NeedsAttention(HostNeedsAttention):
    """A host is not as it was, and not as it should be."""

    def __init__(self, message: str, hint: str, report: Report) -> None:
        super().__init__(message, hint)
        self.report = report


class Deployment:
    """One execution of a rollout."""

    def __init__(
        self, aim: Target, connections: Connections, facts: Sequence[HostFacts], report: Report,
        say: Say,
    ) -> None:  # fmt: skip
        self.aim = aim
        self.connections = connections
        self.report = report
        self.say = say
        self.began = time.monotonic()
        self.started = datetime.now(UTC)
        self.owner = lock.Owner(
            lock.owner_name(aim.environ), f"deploying {aim.record.name} to {aim.environment}"
        )
        self.locks: dict[str, lock.HostLock] = {}
        self.facts = {one.host.url: one for one in facts}

    def run(self) -> Report:
        """Lock, look again, execute; record how it ended."""
        with ExitStack() as held:
            self._lock(held)
            facts = look(self.aim.hosts, self.connections, self.aim.wanted)
            self.facts = {one.host.url: one for one in facts}
            rollout = plan_rollout(self.aim.wanted, facts, self.connections.options)
            acting = [one for one in rollout.hosts if not one.nothing_to_do]
            if not acting:  # whoever had the lock before us has done it
                for one in self.report.hosts.values():
                    one.outcome = "nothing to do"
                return self.report
            self._announce(acting)
            self._execute(acting)
        return self.report

    def _lock(self, held: ExitStack) -> None:
        # always in one order, so that two rollouts can't wait for each other
        for host in sorted(self.aim.hosts, key=lambda host: host.url):
            root = self.facts[host.url].root
            taken = lock.HostLock(self.connections, host, root, self.owner, self.say)
            held.enter_context(taken)
            self.locks[host.url] = taken

    def _announce(self, acting: Sequence[HostRollout]) -> None:
        reasons = list(dict.fromkeys(one.reason for one in acting))
        where = "1 host" if len(acting) == 1 else f"{len(acting)} hosts, one at a time"
        self.say(f"{self.aim.environment} · {'; '.join(reasons)} on {where} · "
                 f"locked by {self.owner.name}")  # fmt: skip

    def _execute(self, acting: Sequence[HostRollout]) -> None:
        touched: list[HostRollout] = []
        try:
            self._prepare(acting)
            for one in acting:
                self.locks[one.host.url].check()
                touched.append(one)
                with self._timed(one):
                    for step in one.of("activate"):
                        self._step(one, step)
                self._line(one, "✔")
        except (McgitopsError, KeyboardInterrupt) as error:
            self._failed(touched, error)
        self._commit(acting)
        self._record("succeeded")

    def _prepare(self, acting: Sequence[HostRollout]) -> None:
        """What changes nothing that runs, on all hosts side by side."""
        by_url = {one.host.url: one for one in acting}

        def act(host: Host) -> None:
            one = by_url[host.url]
            with self._timed(one):
                for step in one.of("prepare"):
                    self._step(one, step)

        side_by_side(act, [one.host for one in acting], self.connections.abort)

    def _commit(self, acting: Sequence[HostRollout]) -> None:
        """All hosts are healthy: make it final. A host that is gone now is marked at the next
        call; what it runs is already the release."""
        lost: list[str] = []
        for one in acting:
            report = self.report.hosts[one.host.url]
            try:
                self.locks[one.host.url].check()
                for step in one.of("commit"):
                    self._step(one, step)
                report.outcome = "deployed"
            except McgitopsError as error:
                report.outcome, report.problem = "needs attention", error.message
                lost.append(f"{one.host.label} runs {self.aim.record.name}, but could not be told "
                            f"that it is final: {error.message}")  # fmt: skip
        if lost:
            self._record("needs-attention")
            raise NeedsAttention(
                "\n".join(lost), "Run the same again when it is back.", self.report
            )

    def _failed(self, touched: Sequence[HostRollout], error: BaseException) -> NoReturn:
        """Bring every touched host back; raises what the caller is told."""
        problem = self._problem(touched, error)
        back: list[str] = []
        lost: list[str] = []
        for one in reversed(touched):
            report = self.report.hosts[one.host.url]
            before = one.before.release if one.before else "nothing"
            began = time.monotonic()
            try:
                self.locks[one.host.url].check()
                if not one.can_return:
                    raise McgitopsError(f"there is nothing to return to from {one.reason}.")
                for step in one.undo:
                    self._step(one, step)
            except McgitopsError as failure:
                report.outcome = "needs attention"
                report.problem = report.problem or self._masked(failure.message)
                lost.append(f"{one.host.label} could not be brought back to {before}: "
                            f"{self._masked(failure.message)}")  # fmt: skip
                self.say(f"{one.host.label}   ✖ could not be brought back to {before}")
            else:
                report.outcome = "rolled back"
                took = time.monotonic() - began
                back.append(f"{one.host.label} runs {before}")
                self.say(f"{one.host.label}   rolled back to {before}   {took:.1f} s")
        self._record("needs-attention" if lost else "rolled-back")
        if isinstance(error, KeyboardInterrupt) and not lost:
            raise error
        name = self.aim.record.name
        if lost:
            raise NeedsAttention(
                f"{name} is not deployed: {problem}\n" + "\n".join(lost),
                f"Mend the host, then run mcgitops deploy {self.aim.environment} again: it "
                "finishes the job.",
                self.report,
            ) from error
        if isinstance(error, HostUnreachable) and not touched:
            raise NeedsAttention(
                f"{name} is not deployed: {problem}\nNothing was touched.", error.hint, self.report
            ) from error
        now = "; ".join(back) if back else "nothing was touched"
        raise RolledBack(f"{name} is not deployed: {problem}\nNow {now}.", self.report) from error

    def _problem(self, touched: Sequence[HostRollout], error: BaseException) -> str:
        """What went wrong, told on the way: the host's line, and the last lines of its services."""
        if isinstance(error, KeyboardInterrupt):
            return "it was interrupted."
        message = error.message if isinstance(error, McgitopsError) else str(error)
        if not touched:
            return self._masked(message)
        one = touched[-1]
        report = self.report.hosts[one.host.url]
        text = self._masked(message)
        report.problem = text
        self._line(one, "✖ " + text.splitlines()[0].removeprefix(f"{one.host.label}: "))
        lines = watch.last_lines(
            self.connections, one.host, self._folder(one), self.aim.wanted.compose_project,
            self.aim.wanted.variables, self.aim.wanted.services,
        )  # fmt: skip
        for line in lines:
            self.say(f"    {self._masked(line)}")
        return f"{one.host.label}: {text}" if not text.startswith(one.host.label) else text

    def _folder(self, one: HostRollout) -> str:
        return f"{self.facts[one.host.url].root}/releases/{self.aim.prepared.folder}"

    def _step(self, one: HostRollout, step: Step) -> None:
        """Carry out one step: our own verbs are functions, all else are commands."""
        parts = self.report.hosts[one.host.url].parts
        facts = self.facts[one.host.url]
        if step.name in ("lock", "unlock"):
            return  # held by `run` from before the plan until after it
        if step.name == "ship":
            self._announce_shipping(one, facts)
            sent = ship.ship(self.connections, facts, self.aim.pins, self.aim.store,
                             self.aim.wanted.registry)  # fmt: skip
            parts.append(_shipped(sent, self.aim))
        elif step.name == "place":
            place_on(self.connections, facts, self.aim.prepared, self.aim.store)
        elif step.name == "healthy":
            self._healthy(one, step.phase == "undo", parts)
        elif step.name == "up":
            began = time.monotonic()
            self._up(one, step)
            parts.append(f"up {time.monotonic() - began:.1f} s")
        else:
            self.connections.execute(one.host, step.command, timeout=60)

    def _announce_shipping(self, one: HostRollout, facts: HostFacts) -> None:
        """A line before what takes long: the rest is told when it is done."""
        size = ship.planned(facts, self.aim.pins, self.aim.store)
        if size > WORTH_A_LINE and not self.aim.wanted.registry:
            self.say(f"{one.host.label}   sending layers, {images.megabytes(size)} unpacked")

    def _up(self, one: HostRollout, step: Step) -> None:
        limit = self.aim.wanted.health_seconds + START_SECONDS + 15
        try:
            self.connections.execute(one.host, step.command, timeout=limit)
        except CommandFailed as error:
            lines = [line.strip() for line in error.lines if line.strip()]
            said = lines[-1] if lines else f"exit code {error.code}"
            raise McgitopsError(f"docker compose up: {said}") from error

    def _healthy(self, one: HostRollout, undo: bool, parts: list[str]) -> None:
        services = self.aim.wanted.services
        if undo and one.before is not None:
            services = one.before.services
        began = time.monotonic()
        watch.await_health(self.connections, one.host, self.aim.wanted.compose_project, services,
                           self.aim.wanted.health_seconds)  # fmt: skip
        parts.append(f"healthy {time.monotonic() - began:.1f} s")

    def _line(self, one: HostRollout, end: str) -> None:
        report = self.report.hosts[one.host.url]
        width = max(len(each.host) for each in self.report.hosts.values())
        parts = [one.host.label.ljust(width), *report.parts, end]
        if end == "✔":
            parts[-1] = f"✔ {report.seconds:.1f} s"
        self.say("   ".join(parts))

    @contextmanager
    def _timed(self, one: HostRollout) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.report.hosts[one.host.url].seconds += time.monotonic() - began

    def _masked(self, text: str) -> str:
        return mask(text, self.aim.prepared)

    def _record(self, state: str) -> None:
        finished = datetime.now(UTC)
        self.report.state = state
        self.report.seconds = time.monotonic() - self.began
        hosts = self.report.hosts
        record = DeploymentRecord.model_validate({
            "project": self.aim.record.project,
            "environment": self.aim.environment,
            "id": f"{self.started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
            "release": self.aim.record.name,
            "previous": {url: one.before for url, one in hosts.items()},
            "hosts": {
                url: f"{one.outcome}: {one.problem}".removesuffix(": ")
                for url, one in hosts.items()
            },
            "state": state,
            "started": self.started,
            "finished": finished,
            "by": self.owner.name,
            "commit": self.aim.record.commit,
        })  # fmt: skip
        try:
            self.aim.store.deployed(record)
        except McgitopsError as error:  # what the hosts run is the truth, and decides the exit code
            self.say(f"This rollout could not be recorded in the store: {error.message}")


def place_on(connections: Connections, facts: HostFacts, prepared: Prepared, store: Store) -> None:
    """Put the release folder on a host, with what it mounts and the host lacks."""
    absent = {one.name for one in prepared.mounted} - facts.files
    text = place.receive_script(facts.root, prepared, secrets.token_hex(4))
    command = script(facts.host.url, text, connections.options)
    done = connections.stream(
        facts.host, command, lambda target: place.write_archive(store, prepared, absent, target)
    )
    if done.code != 0:
        last = (done.stdout.strip().splitlines() or ["no reason given"])[-1]
        raise McgitopsError(
            f"{facts.host.label}: the release folder could not be written: {last}",
            "Check the disk there, and that the user may write to its home.",
        )


def mask(text: str, prepared: Prepared) -> str:
    """Take the caller's values out of text that a program on a host wrote."""
    for value in sorted(prepared.sensitive, key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def _shipped(sent: images.Sent, aim: Target) -> str:
    running = {pin.config_digest for pin in aim.pins}
    whole = sum(one.size or 0 for one in aim.record.images if one.config_digest in running)
    if aim.wanted.registry:
        return f"ship through {aim.wanted.registry}"
    return f"ship {images.megabytes(sent.bytes)} of {images.megabytes(whole)}"
