"""One rollout at a time on a host: a lock with an owner, an expiry and a heartbeat.

The lock is a small file that is only changed under a `mkdir` guard, and times are the host's own.
It expires soon after its owner's heartbeat stops, so nothing strands it; where the owner was a
process of this very machine that is gone, it is taken over at once.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from mcgitops.deferred import dataclass
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.visible import visible
from mcgitops.errors import McgitopsError
from mcgitops.facts import host as host_facts
from mcgitops.project.hosts import Host, HostFacts, LockFact

FREEZE, SCRIPT = "freeze-", "script-"
"""How the tokens of locks begin that have no heartbeat: a person's, an exported script's."""
LEASE = 90
"""Seconds that a lock outlives its last heartbeat."""
BEAT = 20
TELL_EVERY = 30.0
"""Seconds between two lines that say for whom a rollout waits."""
LONGEST_REST = 2.5
"""Seconds between two looks at a lock that somebody else holds."""
_HELD, _BUSY = 75, 76


class Locked(McgitopsError):
    """Another rollout is at work on a host."""


class LockLost(McgitopsError):
    """Another rollout has taken the lock, since ours did not renew it in time."""


@dataclass(frozen=True)
class Owner:
    """Who locks: shown to others, and told apart by the token."""

    name: str
    reason: str
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    machine: str = field(default_factory=lambda: machine())
    pid: int = field(default_factory=os.getpid)

    def fields(self) -> str:
        """As JSON, without the closing brace: the host adds the expiry."""
        text = json.dumps({
            "owner": self.name, "reason": self.reason, "token": self.token,
            "machine": self.machine, "pid": self.pid, "started": started(self.pid),
        })  # fmt: skip
        return text[:-1]


def owner_name(environ: Mapping[str, str]) -> str:
    """For people: `ci-812` in CI, else user and machine."""
    if run := environ.get("GITHUB_RUN_NUMBER"):
        return f"ci-{run} ({environ.get('GITHUB_ACTOR', 'CI')})"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def machine() -> str:
    """Tells apart where a process number means something: the boot and the pid namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return platform.node()


def started(pid: int) -> str:
    """When a process started, in the kernel's own count: process numbers are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_dead(lock: LockFact, since: str) -> bool:
    """Whether the lock's owner was a process of this machine that is gone."""
    if lock.machine != machine() or not lock.pid:
        return False
    now = started(lock.pid)
    if since:
        return now != since
    try:
        os.kill(lock.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def is_stranded(facts: HostFacts) -> bool:
    """Whether a lock is left that nobody will give back."""
    lock = facts.lock
    return lock is not None and (lock.expires <= facts.now or is_dead(lock, lock.started))


def acquire_script(root: str, owner: Owner, lease: int, dead: str = "") -> str:
    """Shell: take or renew the lock. Exit 75 and the owner's file where somebody else holds it."""
    mine = shlex.quote(f'"token": "{owner.token}"')
    gone = shlex.quote(f'"token": "{dead or owner.token}"')
    return "\n".join((
        "umask 077",
        f"mkdir -p {shlex.quote(root)} && cd {shlex.quote(root)} || exit 1",
        *_guard(f"exit {_BUSY}"),
        "now=$(date +%s); since=$now",
        "if [ -f lock/owner.json ]; then",
        "  expires=$(sed -n 's/.*\"expires\": *\\([0-9][0-9]*\\).*/\\1/p' lock/owner.json)",
        f'  if [ "${{expires:-0}}" -gt "$now" ] && ! grep -qF {mine} lock/owner.json'
        f" && ! grep -qF {gone} lock/owner.json; then",
        f"    cat lock/owner.json; exit {_HELD}",
        "  fi",
        f"  if grep -qF {mine} lock/owner.json; then",
        "    known=$(sed -n 's/.*\"since\": *\\([0-9][0-9]*\\).*/\\1/p' lock/owner.json)",
        "    since=${known:-$now}",
        "  fi",
        "fi",
        "mkdir -p lock",
        f"printf '%s, \"since\": %s, \"expires\": %s}}\\n' {shlex.quote(owner.fields())}"
        f" \"$since\" $((now + {lease}))"
        " > lock/owner.new && mv -f lock/owner.new lock/owner.json && exit 0",
        # a full disk: what could not be taken is not left behind
        "rm -f lock/owner.new; rmdir lock 2>/dev/null; exit 1",
    ))  # fmt: skip


def release_script(root: str, owner: Owner) -> str:
    """Shell: give the lock back, unless somebody else has it by now."""
    mine = shlex.quote(f'"token": "{owner.token}"')
    return "\n".join(
        (
            f"cd {shlex.quote(root)} 2>/dev/null || exit 0",
            # somebody may be reading it; where a guard can't be had, as on a full disk, it goes
            # all the same
            *_guard("break"),
            f"if grep -qsF {mine} lock/owner.json; then rm -rf lock; fi",
        )
    )


def _guard(otherwise: str) -> tuple[str, ...]:
    """Shell: be the only one that looks at the lock or changes it, until the script ends.

    otherwise: what to do where that can't be had within 10 s.
    """
    return (
        "tries=0",
        "until mkdir lock.guard 2>/dev/null; do",
        # held for milliseconds: an old one was left by a process that was killed within them
        '  if [ -n "$(find lock.guard -maxdepth 0 -mmin +1 2>/dev/null)" ]; then',
        "    rmdir lock.guard 2>/dev/null; continue",
        "  fi",
        "  [ -w . ] || exit 1",
        "  tries=$((tries + 1))",
        f"  [ $tries -lt 100 ] || {otherwise}",
        "  sleep 0.1",
        "done",
        # an interrupted one must not take the guard of somebody else
        "[ $tries -ge 100 ] || trap 'rmdir lock.guard 2>/dev/null' EXIT",
    )


def clock(when: float) -> str:
    """A moment of a host's clock, for people."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M} UTC"


class HostLock:
    """The lock on one host, renewed by a thread while it is held. A context manager."""

    def __init__(
        self, connections: Connections, host: Host, root: str, owner: Owner,
        say: Callable[[str], None] = lambda _: None, *, lease: int = LEASE, until: float = 0.0,
    ) -> None:  # fmt: skip
        """until: `time.monotonic()` at which waiting for somebody who is at work ends; a negative
        one refuses at once, whoever holds it."""
        self._connections = connections
        self._host = host
        self._root = root
        self._owner = owner
        self._say = say
        self._lease = lease
        self._until = until
        self._stop = threading.Event()
        self._beat: threading.Thread | None = None
        self.lost = False

    def __enter__(self) -> HostLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock, and renew it until it is released."""
        self.take()
        self._beat = threading.Thread(target=self._renew, daemon=True)
        self._beat.start()

    def take(self) -> None:
        """Take the lock. One that isn't renewed runs out, and is waited for; so is one whose
        owner is at work, as long as the caller wants to wait. Else `Locked`."""
        seen: dict[str, float] = {}
        told = -TELL_EVERY
        rest = 1.0  # seconds; longer each time: many may wait, and each look costs the host
        while (held := self._take()) is not None:
            known = seen.setdefault(held.token, held.expires)
            # renewed: its owner is alive and at work. A script's lease is too long to wait for.
            is_alive = held.expires > known or held.token.startswith(SCRIPT)
            now = time.monotonic()
            if held.token.startswith(FREEZE):
                raise Locked(
                    f"{self._host.label} is frozen by {visible(held.owner)}: "
                    f"{visible(held.reason)}, until {clock(held.expires)}. Nothing was changed.",
                    f"Wait until then, or end it: mcgitops unlock {self._root.rpartition('/')[2]}.",
                )
            if self._until < 0 or (is_alive and now >= self._until):
                raise Locked(
                    f"{self._host.label} is locked by {visible(held.owner)}: "
                    f"{visible(held.reason)}.",
                    "Wait until that is done, then run the same again.",
                )
            if now - told >= TELL_EVERY:
                told = now
                state = "" if is_alive else " to end, or to turn out dead"
                self._say(f"{self._host.label}   waits for {visible(held.owner)}, "
                          f"{visible(held.reason)}{state}")  # fmt: skip
            time.sleep(rest)
            rest = min(rest * 1.25, LONGEST_REST)

    def check(self) -> None:
        """Raise `LockLost` where the lock is no longer ours."""
        if self.lost:
            raise LockLost(
                f"{self._host.label}: the lock ran out and another rollout took it.",
                "The connection was broken for too long. Run the same again.",
            )

    def release(self) -> None:
        """Stop the heartbeat and give the lock back; a host that is gone keeps it until expiry."""
        self._stop.set()
        if self._beat is not None:
            self._beat.join()
        try:
            text = release_script(self._root, self._owner)
            self._connections.script(self._host, text, timeout=20)
        except McgitopsError as error:
            self._say(f"{self._host.label} keeps its lock for at most {LEASE} s: {error.message}")

    def _take(self) -> LockFact | None:
        """None where the lock is ours now, else who holds it."""
        dead = ""
        while True:
            text = acquire_script(self._root, self._owner, self._lease, dead)
            done = self._connections.script(self._host, text, check=False)
            if done.code == 0:
                return None
            if done.code == _BUSY:
                raise Locked(f"{self._host.label}: too many rollouts start at once.", "Try again.")
            held = host_facts.lock_fact(done.stdout) if done.code == _HELD else None
            if held is None:
                lines = done.stderr.strip().splitlines() or ["no reason given"]
                raise McgitopsError(
                    f"{self._host.label}: can't lock {self._root}: {lines[-1].rstrip('.')}.",
                    "Its disk must have room, and the user of the deployment must be able to write "
                    "there.",
                )
            if dead == held.token or not is_dead(held, held.started):
                return held
            dead = held.token

    def _renew(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                text = acquire_script(self._root, self._owner, self._lease)
                done = self._connections.script(self._host, text, check=False)
            except McgitopsError:
                continue  # the next step on this host will say so
            if done.code == _HELD:
                self.lost = True
                return
