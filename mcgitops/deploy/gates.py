"""Asks new containers what their gates ask: readiness until it is there, then predictions.

Nothing is installed on the host and no port is published: the request goes through the SSH
connection that is there (`ssh -W`, TCP forwarding of sshd). Where the host forbids that, or has no
route to its containers, bytes are relayed by a program on the host or in the container itself.
What is asked and what will do as an answer is decided in `plan.gates`.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mcgitops.commands import serving as commands
from mcgitops.commands import ssh
from mcgitops.commands.ssh import on_host
from mcgitops.deferred import dataclass
from mcgitops.deploy.connection import Connections
from mcgitops.facts.program import missing_program
from mcgitops.plan.gates import LARGEST, Answer, Request, judge, printable, requests_of
from mcgitops.project.hosts import ContainerFact, Host
from mcgitops.project.serving import ServingSpec
from mcgitops.run.process import Cancelled

POLL = 0.3
READY_SECONDS = 5.0
"""How long one question for readiness may take; the next may come another way."""
LOOK = 1.0
SIDE_BY_SIDE = 16

Kind = Literal["closed", "elsewhere", "useless", "unsaid"]
"""Of a failed connection: nobody listens; no route this way; never this way; it isn't said."""


class _NoAnswer(Exception):
    """No HTTP answer came. `kind` says whether another way could help."""

    def __init__(self, said: str, kind: Kind = "closed") -> None:
        self.kind = kind
        super().__init__(said)


@dataclass(frozen=True)
class _Way:
    """How a container's port is reached; `address` is seen from where the connection is made."""

    name: Literal["direct", "forward", "aloud", "host", "container"]
    address: str


def check(
    connections: Connections,
    host: Host,
    containers: Sequence[ContainerFact],
    serving: ServingSpec,
    *,
    seconds: float,
    cancel: threading.Event | None = None,
) -> tuple[str, ...]:
    """What is wrong with the containers' answers, a sentence for each bad one; () is all well.

    Readiness may take `seconds`; a wrong prediction after it is final at once. Raises
    `HostUnreachable` where the host itself is gone.
    """
    asked = requests_of(serving)
    if not asked or not containers:
        return ()
    end = time.monotonic() + seconds
    failed = threading.Event()

    def stopped() -> bool:
        return failed.is_set() or (cancel is not None and cancel.is_set())

    def ask(container: ContainerFact) -> str:
        one = _Container(connections, host, container, end, seconds, stopped)
        said = one.problem(asked)
        return f"{container.name}: {said}" if said else ""

    with ThreadPoolExecutor(max_workers=min(SIDE_BY_SIDE, len(containers))) as pool:
        try:
            return tuple(said for said in pool.map(ask, containers) if said)
        except BaseException:
            failed.set()  # the others needn't go on
            raise


class _Container:
    """One container, the ways to it, and which of them answered."""

    def __init__(
        self, connections: Connections, host: Host, fact: ContainerFact, end: float,
        seconds: float, stopped: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.connections = connections
        self.host = host
        self.name = fact.name
        self.end = end
        self.seconds = seconds
        self.stopped = stopped
        self.addresses = set(fact.addresses)
        self.ways = _ways(host, fact.addresses)
        self.known: _Way | None = None  # has answered
        self.forwards = False  # sshd has said that it may
        self.useless: list[str] = []
        self.looked = 0.0

    def problem(self, asked: Sequence[Request]) -> str:
        """The first request that isn't answered as it should be, and how; "" for none."""
        waited_for: set[int] = set()
        # also opens the shared connection to the host, which tells a lost host from a silent port
        if said := self._gone():
            return said
        for request in asked:
            if said := self._ask(request, patient=request.port not in waited_for):
                return said
            waited_for.add(request.port)
        return ""

    def _ask(self, request: Request, *, patient: bool) -> str:
        """Ask until the answer is good or final. patient: nothing has answered on the port yet."""
        failures = 0
        while True:
            if self.stopped():
                raise Cancelled("Interrupted.")
            try:
                answer = self._answer(request)
            except _NoAnswer as error:
                said = f"{request.title}: {error}"
                failures += 1
                # a connection may break once, a prediction that takes too long has failed
                waiting = patient or request.readiness
                final = not waiting and (failures > 1 or error.kind == "elsewhere")
                if final and (gone := self._gone()):
                    return gone
                final = final or not self.ways
            else:
                said = judge(request, answer)
                if not said:
                    return ""
                # 503 is what servers say while they load; with `inference` that has passed
                loading = patient and answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE
                final = not request.readiness and not loading
            if final:
                return said
            if time.monotonic() >= self.end:
                return f"{said}, after {self.seconds:g} s"
            if time.monotonic() - self.looked > LOOK and (gone := self._gone()):
                return gone
            time.sleep(POLL)

    def _answer(self, request: Request) -> Answer:
        """Ask once. A way that doesn't lead there gives its turn to the next."""
        while self.ways:
            way = self.known or self.ways[0]
            left = max(READY_SECONDS, self.end - time.monotonic())
            if request.readiness:
                left = READY_SECONDS
            elif self.known is None:
                left = max(READY_SECONDS, left / 3)  # the other ways must get their turn
            try:
                answer = self._through(way, request, left)
            except _NoAnswer as error:
                if error.kind == "useless":
                    self.known = None
                    self.ways.remove(way)
                    self.useless.append(str(error))
                    continue
                if error.kind == "elsewhere" and self.known is None:
                    self.ways.append(self.ways.pop(0))
                raise
            self.known = way
            return answer
        raise _NoAnswer(self._no_way())

    def _through(self, way: _Way, request: Request, seconds: float) -> Answer:
        if way.name == "direct":
            try:
                connected = socket.create_connection((way.address, request.port), min(seconds, 3))
            except ConnectionRefusedError:
                raise _NoAnswer(f"nothing listens on port {request.port}") from None
            except OSError as error:
                said = f"port {request.port} can't be reached ({_words(str(error))})"
                raise _NoAnswer(said, "elsewhere") from None
            with connected:
                return exchange(connected, request, seconds, self.stopped)
        try:
            return self._piped(way, request, seconds)
        except _NoAnswer as error:
            if error.kind != "unsaid":
                raise
            if self.forwards or way.name != "forward":
                raise _NoAnswer(f"nothing listens on port {request.port}") from None
        # a shared connection doesn't say why the host refuses to forward; one of its own does
        try:
            return self._piped(replace(way, name="aloud"), request, seconds)
        except _NoAnswer as told:
            self.forwards = told.kind == "closed"
            raise

    def _piped(self, way: _Way, request: Request, seconds: float) -> Answer:
        with _Pipe(self._argv(way, request.port), self.connections.folder) as pipe:
            try:
                return exchange(pipe.connected, request, seconds, self.stopped)
            except _NoAnswer as error:
                if error.kind == "elsewhere":
                    raise
                # docker writes its own complaint to where the answer is expected
                said = f"{error}\n{pipe.last_words()}"
                raise explained(said, error, request.port) from None

    def _argv(self, way: _Way, port: int) -> tuple[str, ...]:
        url, options = self.host.url, self.connections.options
        if way.name in ("forward", "aloud"):
            aloud = way.name == "aloud"
            return ssh.forward(url, way.address, port, options, aloud=aloud).argv
        relay = commands.relay(way.address, port)
        if way.name == "container":
            relay = commands.inside(self.name, relay)
        return on_host(url, relay, options).argv

    def _gone(self) -> str:
        """Why no answer can come any more; looks at the container, which may have a new address."""
        self.looked = time.monotonic()
        command = on_host(self.host.url, commands.state(self.name), self.connections.options)
        done = self.connections.execute(self.host, command, check=False, timeout=20)
        if done.code:
            return "it no longer exists"
        state, code, *addresses = done.stdout.split() or ("", "")
        if state in ("exited", "dead", "removing"):
            return f"it exited ({code}) before it answered"
        if set(addresses) != self.addresses:
            self.addresses = set(addresses)
            self.ways = _ways(self.host, addresses)
            self.known = None
        return ""

    def _no_way(self) -> str:
        tried = "; ".join(dict.fromkeys(self.useless))
        return (
            f"the container can't be reached: {tried}. Allow TCP forwarding in the host's "
            "sshd_config (AllowTcpForwarding local), or install bash or nc there"
        )


def _ways(host: Host, addresses: Sequence[str]) -> list[_Way]:
    """All ways to a container, the best one first."""
    inside = _Way("container", "127.0.0.1")
    if host.is_local:
        return [*(_Way("direct", address) for address in addresses), inside]
    forwarded = [_Way("forward", address) for address in addresses]
    return [*forwarded, *(_Way("host", address) for address in addresses), inside]


def explained(said: str, error: _NoAnswer, port: int) -> _NoAnswer:
    """What ssh, docker or a relay said, as the reason why there was no answer."""
    if "Session open refused by peer" in said:
        return _NoAnswer("the host refuses to forward", "unsaid")
    if "administratively prohibited" in said:
        return _NoAnswer("sshd forbids TCP forwarding", "useless")
    if commands.NO_RELAY in said:
        return _NoAnswer("no bash, python3, socat, nc or curl", "useless")
    if "OCI runtime exec failed" in said:
        return _NoAnswer("no shell in the container", "useless")
    if "refused" in said:
        return _NoAnswer(f"nothing listens on port {port}")
    for words in ("timed out", "No route to host", "unreachable"):
        if words in said:
            return _NoAnswer(f"port {port} can't be reached ({words})", "elsewhere")
    return error


def exchange(
    connected: socket.socket, request: Request, seconds: float, stopped: Callable[[], bool]
) -> Answer:
    """One request and its answer over an open connection, in bounded time and size."""
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        end = time.monotonic() + seconds
        while not done.wait(0.1):
            if time.monotonic() > end or stopped():
                late.set()
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)  # one that trickles has no timeout
                return

    headers = {"Accept": "application/json", "Connection": "close", "User-Agent": "mcgitops"}
    if request.body:
        headers["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection("localhost", request.port)
    connection.sock = connected
    connected.settimeout(None)
    threading.Thread(target=watch, daemon=True).start()
    answer, said = None, ""
    try:
        connection.request(request.method, request.path, request.body or None, headers)
        response = connection.getresponse()
        body = response.read(LARGEST + 1)
        if response.length and len(body) <= LARGEST:
            raise http.client.IncompleteRead(body, response.length)
        answer = Answer(response.status, body[:LARGEST], len(body) <= LARGEST)
    except (http.client.RemoteDisconnected, ConnectionError):
        said = "the connection ended without an answer"
    except http.client.IncompleteRead:
        said = "the connection ended in the middle of the answer"
    except (http.client.HTTPException, OSError, ValueError) as error:
        said = f"the answer is not HTTP ({_words(str(error) or type(error).__name__)})"
    finally:
        done.set()
    if late.is_set():
        raise _NoAnswer(f"no answer within {seconds:.0f} s", "elsewhere")
    if answer is None:
        raise _NoAnswer(said)
    return answer


class _Pipe:
    """A program whose standard input and output are a socket; ended afterwards."""

    def __init__(self, argv: tuple[str, ...], folder: Path) -> None:
        self.connected, theirs = socket.socketpair()
        with theirs:
            try:
                self.process = subprocess.Popen(
                    argv, cwd=folder, stdin=theirs.fileno(), stdout=theirs.fileno(),
                    stderr=subprocess.PIPE, start_new_session=True,
                )  # fmt: skip
            except FileNotFoundError:
                self.connected.close()
                raise missing_program(argv[0]) from None
        self._said: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> _Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.connected.close()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(1)

    def last_words(self) -> str:
        """What it said on standard error; it has ended, or does so now."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        self._reader.join(1)
        return b"".join(self._said).decode("utf-8", "replace")

    def _read(self) -> None:
        """Read all, keep the start: whatever it prints neither stops it nor fills our memory."""
        assert self.process.stderr is not None  # noqa: S101
        kept = 0
        with self.process.stderr as stream:
            while chunk := os.read(stream.fileno(), 4096):
                if kept < 8192:
                    self._said.append(chunk)
                    kept += len(chunk)


def _words(text: str) -> str:
    return printable(text, 80)
