"""Carries out a rollout: locks, phases, the way back, and what is told and recorded on the way.

`plan/rollout.py` decides what there is to do; this module only follows the plan.
"""

from __future__ import annotations

import secrets
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import NoReturn

from mcgitops.commands import compose_host, journal
from mcgitops.commands.ssh import SshOptions, script
from mcgitops.deploy import lock, place, watch
from mcgitops.deploy.connection import Connections, HostUnreachable
from mcgitops.deploy.outcome import NeedsAttention, Report, RolledBack
from mcgitops.deploy.place import Prepared
from mcgitops.deploy.replacement import Replacement, Sight, execute_compose, last_line
from mcgitops.deploy.retention import prune
from mcgitops.deploy.shipping import images, ship
from mcgitops.deploy.target import Target, look, side_by_side
from mcgitops.deploy.values import texts_of_dotenv
from mcgitops.errors import McgitopsError, UsageError
from mcgitops.plan.history import after_commit, stale
from mcgitops.plan.hooks import longest
from mcgitops.plan.replace import START_SECONDS
from mcgitops.plan.rollout import HostRollout, Rollout, plan_rollout
from mcgitops.plan.steps import Step
from mcgitops.project.hosts import Host, HostFacts, Placement, segment
from mcgitops.run.process import Cancelled, CommandFailed, execute
from mcgitops.store.records import DeploymentRecord
from mcgitops.store.store import Store

Say = Callable[[str], None]
Choose = Callable[[Sequence[HostFacts], SshOptions], tuple[Target, Rollout]]
WORTH_A_LINE = 30_000_000  # bytes


class Deployment:
    """One execution of a rollout."""

    def __init__(
        self, aim: Target, connections: Connections, facts: Sequence[HostFacts], report: Report,
        say: Say, *, force: bool = False, wait: float = 0.0, choose: Choose | None = None,
    ) -> None:  # fmt: skip
        """choose: decides anew, from what is seen when all hosts are locked."""
        self.aim = aim
        self.connections = connections
        self.report = report
        self.say = say
        self.force = force
        self.wait = wait
        self.began = time.monotonic()
        self.started = datetime.now(UTC)
        self.choose: Choose = choose or (lambda seen, options: (aim, plan_for(aim, seen, options)))
        self.owner = lock.Owner(lock.owner_name(aim.environ), purpose(aim))
        self.locks: dict[str, lock.HostLock] = {}
        self.facts = {one.host.url: one for one in facts}
        self.sensitive = frozenset(aim.prepared.sensitive) if aim.prepared else frozenset[str]()
        self._sights = {one.host.url: Sight() for one in facts}
        self._stop = threading.Event()
        report.by, report.commit = self.owner.name, aim.commit

    def run(self) -> Report:
        """Lock, look again, execute; record how it ended."""
        with ExitStack() as held:
            self._lock(held)
            facts = look(self.aim.hosts, self.connections, self.aim.wanted, self.facts)
            self.facts = {one.host.url: one for one in facts}
            for fact in facts:
                self._sights[fact.host.url].note(fact.containers)
            refuse_rejected(self.aim, facts, force=self.force)
            self.aim, rollout = self.choose(facts, self.connections.options)
            self.report.release = self.aim.wanted.release
            for one in rollout.hosts:
                self.report.hosts[one.host.url].before = one.before.release if one.before else ""
            if rollout.nothing_to_do:  # whoever had the lock before us has done it
                for report in self.report.hosts.values():
                    report.outcome = "nothing to do"
                return self.report
            if self.aim.prepared is None and self.aim.verb != "heal":
                refuse_incomplete(rollout)
            self._announce(rollout)
            self._execute(rollout)
        return self.report

    def _lock(self, held: ExitStack) -> None:
        # always in one order, so that two rollouts can't wait for each other
        end = time.monotonic() + self.wait if self.wait > 0 else -1.0
        for host in sorted(self.aim.hosts, key=lambda host: host.url):
            root = self.facts[host.url].root
            taken = lock.HostLock(self.connections, host, root, self.owner, self.say, until=end)
            held.enter_context(taken)
            self.locks[host.url] = taken

    def _announce(self, rollout: Rollout) -> None:
        acting = rollout.acting
        reasons = list(dict.fromkeys(one.reason for one in acting))
        where = "1 host"
        if len(acting) > 1:
            width = max(len(group) for group in rollout.groups)
            each = "one at a time" if width == 1 else f"{width} at a time"
            first = f", {rollout.canary} first" if rollout.canary else ""
            where = f"{len(acting)} hosts, {'all at once' if width == len(acting) else each}{first}"
        self.say(f"{self.aim.environment} · {'; '.join(reasons)} on {where} · "
                 f"locked by {self.owner.name}")  # fmt: skip

    def _execute(self, rollout: Rollout) -> None:
        touched: list[HostRollout] = []
        try:
            self._prepare(rollout.acting)
            for group in rollout.groups:
                touched += group
                self._together(group, self._activate)
                for one in group:
                    self._line(one, "✔")
                if any(one.of("monitor") for one in group):
                    self._together(group, self._monitor)
            for one in rollout.acting:
                for step in one.of("confirm"):
                    self._step(one, step)
        except (McgitopsError, KeyboardInterrupt) as error:
            self._failed(rollout, touched, error)
        self._commit(rollout.acting)
        self._finish(rollout.acting)
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

    def _activate(self, one: HostRollout) -> None:
        self.locks[one.host.url].check()
        with self._timed(one):
            for step in one.of("activate"):
                self._check()
                try:
                    self._step(one, step)
                except McgitopsError as error:
                    self._blame(one, step, error)
                    raise

    def _monitor(self, one: HostRollout) -> None:
        with self._timed(one):
            for step in one.of("monitor"):
                self._step(one, step)

    def _together(self, group: Sequence[HostRollout], act: Callable[[HostRollout], None]) -> None:
        """Act on all hosts of a group at once; when one fails, the others stop at their next step.

        Raises the failure that came first.
        """
        failures: list[BaseException] = []

        def guarded(one: HostRollout) -> None:
            try:
                act(one)
            except Cancelled:
                raise
            except BaseException as error:
                failures.append(error)
                self._stop.set()
                raise

        if len(group) == 1:
            guarded(group[0])
            return
        with ThreadPoolExecutor(max_workers=min(32, len(group))) as pool:
            futures = [pool.submit(guarded, one) for one in group]
            try:
                for future in futures:
                    future.exception()
            except KeyboardInterrupt:
                self._stop.set()
                raise
        if failures:
            raise failures[0]

    def _check(self) -> None:
        if self._stop.is_set():
            raise Cancelled("Another host has failed.")

    def _blame(self, one: HostRollout, step: Step, error: McgitopsError) -> None:
        """Remember on which host it failed, and whether its policy is to leave it so."""
        if isinstance(error, Cancelled):
            return
        report = self.report.hosts[one.host.url]
        report.problem = report.problem or self._masked(error.message)
        known = error.services if isinstance(error, watch.Unhealthy) else ()
        ill = known or (step.service,)
        for service in self.aim.wanted_on(one.host).services:
            if service.name in ill and service.update.failure_action == "pause":
                raise Paused(error.message, error.hint) from error

    def _commit(self, acting: Sequence[HostRollout]) -> None:
        """All hosts are healthy: make it final. A host that is gone now is marked at the next
        call; what it runs is already the release."""
        lost: list[str] = []
        release = self.aim.wanted.release
        for one in acting:
            report = self.report.hosts[one.host.url]
            try:
                self.locks[one.host.url].check()
                for step in one.of("commit"):
                    self._step(one, step)
                report.outcome = "deployed" if one.of("commit") else "taken down"
            except McgitopsError as error:
                report.outcome, report.problem = "needs attention", error.message
                lost.append(f"{one.host.label} runs {release}, but could not be told "
                            f"that it is final: {error.message}")  # fmt: skip
        if lost:
            self._record("needs-attention")
            raise NeedsAttention(
                "\n".join(lost),
                f"When it is back, mcgitops heal {self.aim.environment} finishes the job.",
                self.report,
            )

    def _finish(self, acting: Sequence[HostRollout]) -> None:
        """Tidy up; the release is final already, so a failure is only told."""

        def act(host: Host) -> None:
            one = next(each for each in acting if each.host == host)
            for step in one.of("finish"):
                try:
                    self._step(one, step)
                except McgitopsError as error:
                    self.say(f"{host.label}   not tidied up: {self._masked(error.message)}")

        side_by_side(act, [one.host for one in acting])

    def _failed(
        self, rollout: Rollout, touched: Sequence[HostRollout], error: BaseException
    ) -> NoReturn:
        """Bring every touched host back; raises what the caller is told."""
        self._stop.clear()
        problem = self._problem(touched, error)
        self.report.problem = problem
        if isinstance(error, Paused):
            for one in touched:
                self.report.hosts[one.host.url].outcome = "needs attention"
            self._record("needs-attention")
            raise NeedsAttention(
                f"{self._failure}: {problem}\nEverything was left as it is, since "
                "update_config.failure_action is pause.",
                f"mcgitops heal {self.aim.environment} brings the hosts back.", self.report,
            ) from error  # fmt: skip
        back, lost = self._bring_back(touched)
        is_bad = not isinstance(
            error, KeyboardInterrupt | HostUnreachable | NotTried | lock.LockLost
        )
        if touched and is_bad and self.aim.verb == "deploy":
            self._reject(rollout)
        self._record("needs-attention" if lost else "rolled-back")
        if isinstance(error, KeyboardInterrupt) and not lost:
            raise error
        if lost:
            raise NeedsAttention(
                f"{self._failure}: {problem}\n" + "\n".join(lost),
                f"Mend the host, then run mcgitops heal {self.aim.environment}: it finishes the "
                "job.",
                self.report,
            ) from error
        if isinstance(error, HostUnreachable) and not touched:
            raise NeedsAttention(
                f"{self._failure}: {problem}\nNothing was touched.", error.hint,
                self.report,
            ) from error  # fmt: skip
        now = "; ".join(back) if back else "nothing was touched"
        raise RolledBack(f"{self._failure}: {problem}\nNow {now}.", self.report) from error

    @property
    def _failure(self) -> str:
        release, environment = self.aim.wanted.release, self.aim.environment
        if self.aim.verb == "rollback":
            return f"{environment} did not return to {release}"
        if self.aim.verb == "heal":
            return f"{environment} is not healed"
        return f"{release} is not deployed"

    def _bring_back(self, touched: Sequence[HostRollout]) -> tuple[list[str], list[str]]:
        """All touched hosts at once. Gives sentences on those that are back, and on the others."""
        back: dict[str, str] = {}
        lost: dict[str, str] = {}

        def act(one: HostRollout) -> None:
            report = self.report.hosts[one.host.url]
            before = one.before.release if one.before else "nothing"
            began = time.monotonic()
            self._sights[one.host.url].forget()
            try:
                self.locks[one.host.url].check()
                if not one.can_return:
                    raise McgitopsError(f"there is nothing to return to from {one.reason}.")
                for step in one.undo:
                    self._step(one, step)
                self._note(one, "rolled back")
            except McgitopsError as failure:
                report.outcome = "needs attention"
                said = self._masked(failure.message)
                report.problem = report.problem or said
                lost[one.host.url] = (
                    f"{one.host.label} could not be brought back to {before}: {said}"
                )
                self.say(f"{one.host.label}   ✖ could not be brought back to {before}")
            else:
                report.outcome = "rolled back"
                took = time.monotonic() - began
                back[one.host.url] = f"{one.host.label} runs {before}"
                self.say(f"{one.host.label}   rolled back to {before}   {took:.1f} s")

        if touched:
            with ThreadPoolExecutor(max_workers=min(32, len(touched))) as pool:
                for future in [pool.submit(act, one) for one in reversed(touched)]:
                    future.result()
        urls = [one.host.url for one in touched]
        return [back[u] for u in urls if u in back], [lost[u] for u in urls if u in lost]

    def _note(self, one: HostRollout, what: journal.What) -> None:
        """A line in the host's journal on a release that it does not run."""
        wanted = self.aim.wanted_on(one.host)
        root = shlex.quote(self.facts[one.host.url].root)
        text = f"cd {root} || exit 0\n{journal.entry(what, wanted.release, wanted.digest)}"
        self.connections.script(one.host, text, timeout=20, check=False)

    def _reject(self, rollout: Rollout) -> None:
        """Every host remembers that the release was rolled back."""
        release = self.aim.wanted.release
        marked = False
        for one in rollout.hosts:
            if one.before is not None and one.before.release == release:
                continue  # it was deployed before, with other values
            note = journal.entry("rejected", release, self.aim.wanted_on(one.host).digest)
            text = compose_host.reject(self.facts[one.host.url].root, segment(release), note)
            try:
                self.connections.script(one.host, text, timeout=20)
                marked = True
            except McgitopsError:
                continue  # named already
        if marked:
            self.say(f"{release} is marked rejected.")

    def _problem(self, touched: Sequence[HostRollout], error: BaseException) -> str:
        """What went wrong, told on the way: the host's line, and the last lines of its services."""
        if isinstance(error, KeyboardInterrupt):
            return "it was interrupted."
        message = error.message if isinstance(error, McgitopsError) else str(error)
        if not touched:
            return self._masked(message)
        failed = [one for one in touched if self.report.hosts[one.host.url].problem]
        one = (failed or touched)[-1]
        report = self.report.hosts[one.host.url]
        self._learn_values(one)
        text = report.problem = self._masked(message)
        self._line(one, "✖ " + text.splitlines()[0].removeprefix(f"{one.host.label}: "))
        lines = watch.last_lines(
            self.connections, one.host, self._folder(one), self.aim.wanted.compose_project,
            self.aim.wanted_on(one.host).variables, self.aim.wanted_on(one.host).services,
        )  # fmt: skip
        for line in lines:
            self.say(f"    {self._masked(line)}")
        return f"{one.host.label}: {text}" if not text.startswith(one.host.label) else text

    def _learn_values(self, one: HostRollout) -> None:
        """The values of a release that lies on the host, so that no message shows them."""
        if self.aim.prepared is not None:
            return
        try:
            folder = shlex.quote(self._folder(one))
            text = f"cd {folder} && cat .env env/* ../../../secrets/*/* 2>/dev/null; true"
            said = self.connections.script(one.host, text, timeout=20).stdout
        except McgitopsError:
            return
        self.sensitive = texts_of_dotenv(said)

    def _folder(self, one: HostRollout) -> str:
        placement = self.aim.wanted_on(one.host).placement
        return f"{self.facts[one.host.url].root}/releases/{placement}"

    def _replacement(self, one: HostRollout, step: Step) -> Replacement:
        """The host as steps act on it: towards the release, or on the way back from it."""
        wanted = self.aim.wanted_on(one.host)
        placement, variables, services = wanted.placement, wanted.variables, wanted.services
        if step.phase == "undo" and one.before is not None:
            before = one.before
            placement, variables, services = before.folder, before.variables, before.services
        return Replacement(
            self.connections, self.facts[one.host.url], wanted.compose_project, placement,
            variables, services, wanted.health_seconds, self._stop,
            lenient=step.phase == "undo", sight=self._sights[one.host.url],
        )  # fmt: skip

    def _step(self, one: HostRollout, step: Step) -> None:
        """Carry out one step: our own verbs are functions, all else are commands."""
        parts = self.report.hosts[one.host.url].parts
        facts = self.facts[one.host.url]
        began = time.monotonic()
        if step.name in ("lock", "unlock"):
            return  # held by `run` from before the plan until after it
        if step.name == "reject":
            return  # `_failed` knows whether the release is to blame, and tells all hosts
        if step.name == "ship":
            self._announce_shipping(one, facts)
            wanted = self.aim.wanted_on(one.host)
            sent = ship.ship(self.connections, facts, wanted.images, self.aim.store,
                             wanted.registry, say=self.say)  # fmt: skip
            parts.append(_shipped(sent, self.aim))
        elif step.name == "place" and self.aim.prepared is not None:
            place_on(self.connections, facts, self.aim.prepared, self.aim.store)
        elif step.name == "surge" and step.phase == "undo":
            self._replacement(one, step).surge(step.service, step.new)
        elif step.name in ("up", "surge", "down"):
            self._compose(one, step)
            if step.name == "surge":
                parts.append(f"surge {step.old} → {step.new}")
            elif not step.service:
                parts.append(f"up {time.monotonic() - began:.1f} s")
        elif step.name == "healthy":
            self._replacement(one, step).healthy(step.service, step.new)
            parts.append(f"healthy {time.monotonic() - began:.1f} s")
        elif step.name == "switch":
            drained = self._replacement(one, step).switch(step.service, step.new, step.old)
            parts += ["switch", f"drain {drained:.1f} s"]
        elif step.name == "drain":
            parts.append(f"drain {self._replacement(one, step).drain(step.service):.1f} s")
        elif step.name == "hold":
            self._replacement(one, step).hold(step.service)
        elif step.name == "gate":
            self._replacement(one, step).gate(step.service, step.new)
            parts.append("answers right")
        elif step.name == "retire":
            self._replacement(one, step).retire(step.service, step.new, step.old)
        elif step.name == "watch":
            self._replacement(one, step).watch(step.service, step.seconds)
            parts.append(f"well for {step.seconds:g} s")
        elif step.name == "proxies":
            self._replacement(one, step).proxies()
        elif step.name == "open":
            self._replacement(one, step).open_up()
        elif step.name == "prune":
            wanted = self.aim.wanted_on(one.host)
            after = after_commit(facts, Placement(wanted.release, wanted.digest), wanted.leaving)
            prune(self.connections, facts, wanted.project, stale(after, wanted.retain))
        else:
            self._command(one, step)

    def _command(self, one: HostRollout, step: Step) -> None:
        """Somebody else's program; a hook that comes too late to refuse only warns."""
        if step.name == "hook":
            self._sights[one.host.url].forget()
        only_warns = step.name == "hook" and step.phase in ("finish", "undo")
        limit = step.seconds or 60
        if step.name == "hook":
            limit = longest(self.aim.wanted.hooks) + START_SECONDS
        try:
            if step.command.host:
                self.connections.execute(one.host, step.command, timeout=limit)
            else:
                execute(step.command, self.aim.project.folder, timeout=limit)
        except CommandFailed as error:
            said = last_line("\n".join(error.lines)) if error.lines else f"exit {error.code}"
            what = step.command.reason or step.name
            kind = NotTried if step.name == "begin" else McgitopsError
            failure = kind(f"{one.host.label}: {what}: {said}")
            if not only_warns:
                raise failure from error
            self.say(self._masked(failure.message))

    def _announce_shipping(self, one: HostRollout, facts: HostFacts) -> None:
        """A line before what takes long: the rest is told when it is done."""
        size = ship.planned(facts, self.aim.wanted_on(one.host).images, self.aim.store)
        if size > WORTH_A_LINE and not self.aim.wanted.registry:
            self.say(f"{one.host.label}   sending layers, {images.megabytes(size)} unpacked")

    def _compose(self, one: HostRollout, step: Step) -> None:
        self._sights[one.host.url].forget()
        limit = self.aim.wanted.health_seconds + START_SECONDS + 15
        project = self.aim.wanted.compose_project
        execute_compose(self.connections, one.host, project, step.command, limit, step.name)

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
        return mask(text, self.sensitive)

    def _record(self, state: str) -> None:
        finished = datetime.now(UTC)
        self.report.state = state
        self.report.seconds = time.monotonic() - self.began
        hosts = self.report.hosts
        record = DeploymentRecord.model_validate({
            "project": self.aim.project.name,
            "environment": self.aim.environment,
            # hosts' journals have the token, too
            "id": f"{self.started:%Y%m%dT%H%M%SZ}-{self.owner.token}",
            "release": self.aim.wanted.release,
            "previous": {url: one.before for url, one in hosts.items()},
            "hosts": {
                url: f"{one.outcome}: {one.problem}".removesuffix(": ")
                for url, one in hosts.items()
            },
            "state": state,
            "started": self.started,
            "finished": finished,
            "by": self.owner.name,
            "commit": self.aim.commit,
            "verb": self.aim.verb,
        })  # fmt: skip
        try:
            self.aim.store.deployed(record)
        except McgitopsError as error:  # what the hosts run is the truth, and decides the exit code
            self.say(f"This rollout could not be recorded in the store: {error.message}")


def purpose(aim: Target) -> str:
    """What a lock is held for."""
    if aim.verb == "heal":
        return f"healing {aim.environment}"
    if aim.verb == "rollback" or aim.prepared is None:
        return f"returning to {aim.wanted.release} in {aim.environment}"
    return f"deploying {aim.wanted.release} to {aim.environment}"


def plan_for(aim: Target, facts: Sequence[HostFacts], options: SshOptions) -> Rollout:
    """The plan for a target."""
    return plan_rollout(aim.wanted, facts, options, aim.own)


class NotTried(McgitopsError):
    """A host can't even note what it is about to do (its disk is full): nothing against the
    release."""


class Paused(McgitopsError):
    """A service failed whose policy is to leave everything as it is."""


def refuse_rejected(aim: Target, facts: Sequence[HostFacts], *, force: bool) -> None:
    """Raise `UsageError` where the release was rolled back from one of the hosts."""
    release = aim.wanted.release
    where = [one.host.label for one in facts if release in one.rejected]
    if where and not force:
        raise UsageError(
            f"{release} was rolled back on {', '.join(where)}, so it is rejected. Nothing was "
            "changed.",
            f"mcgitops deploy {aim.environment} --release {release} --force tries it again.",
        )


def refuse_incomplete(rollout: Rollout) -> None:
    """Raise `UsageError` where a host lacks what only a store could give it."""
    lacking = [
        one.host.label
        for one in rollout.acting
        if any(step.name in ("ship", "place") for step in one.steps)
    ]
    if lacking:
        raise UsageError(
            f"{', '.join(lacking)} no longer has all of {rollout.release}. Nothing was changed.",
            f"mcgitops deploy {rollout.environment} --release {rollout.release} --force sends it "
            "again.",
        )


def place_on(connections: Connections, facts: HostFacts, prepared: Prepared, store: Store) -> None:
    """Put the release folder on a host, with what it mounts and the host lacks."""
    absent = {one.name for one in prepared.mounted} - facts.files
    text = place.receive_script(facts.root, prepared, secrets.token_hex(4))
    command = script(facts.host.url, text, connections.options)
    done = connections.stream(
        facts.host, command, lambda target: place.write_archive(store, prepared, absent, target)
    )
    if done.code != 0:
        raise McgitopsError(
            f"{facts.host.label}: the release folder could not be written: "
            f"{last_line(done.stdout)}",
            "Check the disk there, and that the user may write to its home.",
        )


def mask(text: str, sensitive: frozenset[str]) -> str:
    """Take the caller's values out of text that a program on a host wrote."""
    for value in sorted(sensitive, key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def _shipped(sent: images.Sent, aim: Target) -> str:
    running = {pin.config_digest for pin in aim.wanted.images}
    whole = sum(one.size or 0 for one in aim.images if one.config_digest in running)
    if aim.wanted.registry:
        return f"ship through {aim.wanted.registry}"
    return f"ship {images.megabytes(sent.bytes)} of {images.megabytes(whole)}"
