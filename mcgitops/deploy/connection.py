"""Connections to hosts: keys, one shared ssh connection a host, and what its failures mean.

Everything private (a key given as text, the sockets) lies in a folder of mode 0700 that goes when
the connections are closed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self, TypeVar

from mcgitops.commands import compose_host, haproxy, ssh
from mcgitops.commands.command import Command, Secret
from mcgitops.commands.ssh import SshOptions
from mcgitops.deploy import private
from mcgitops.errors import HostNeedsAttention, UsageError
from mcgitops.facts import host as host_facts
from mcgitops.facts.program import missing_program
from mcgitops.project.hosts import Host, HostFacts
from mcgitops.run.process import CommandFailed, Completed, execute


class Closing(Protocol):
    """What is closed with the connections."""

    def close(self) -> None:
        """Give back what it holds."""


Shared = TypeVar("Shared", bound=Closing)


class HostUnreachable(HostNeedsAttention):
    """A host could not be reached, or we would not talk to it."""

    def __init__(self, host: Host, message: str, hint: str = "") -> None:
        self.host = host
        super().__init__(f"{host.label}: {message}", hint)


class Connections:
    """Runs commands on hosts. A context manager: closing ends what it opened."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], known_hosts: str | None = None
    ) -> None:
        self.folder = folder
        self.environ = environ
        # sockets have short paths only (104 bytes): the system's own temporary folder, not ours
        self._private = private.make(_short_temporary_folder())
        try:
            self.options = SshOptions(
                known_hosts=self._known_hosts(environ, known_hosts),
                identity=self._file(environ.get("MCGITOPS_SSH_KEY", ""), "MCGITOPS_SSH_KEY", 0o600),
                control_path=str(self._private / "%C"),
            )
        except UsageError:
            shutil.rmtree(self._private)
            raise
        self._used: set[str] = set()
        self._streams: dict[subprocess.Popen[bytes], str] = {}
        self._shared: dict[type[Closing], Closing] = {}
        self._sharing = threading.Lock()
        self.aborts = 0  # how often `abort` was called: whoever tries again must know

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the shared connections, remove keys and sockets."""
        for one in self._shared.values():
            one.close()
        self._shared.clear()
        for url in sorted(self._used):
            execute(ssh.close(url, self.options), self.folder, check=False, timeout=5)
        self._used.clear()
        shutil.rmtree(self._private, ignore_errors=True)

    def abort(self, host: Host | None = None) -> None:
        """End what is being sent, from another thread: the senders see a broken pipe.

        host: only what goes there; it will be tried again.
        """
        if host is None:
            self.aborts += 1
        for process, url in tuple(self._streams.items()):
            if host is None or url == host.url:
                process.kill()

    def shared(self, kind: type[Shared]) -> Shared:
        """What lives as long as the connections and all hosts share; made at the first use."""
        with self._sharing:
            if kind not in self._shared:
                self._shared[kind] = kind()
            found = self._shared[kind]
        assert isinstance(found, kind)  # noqa: S101
        return found

    def look(
        self, host: Host, project: str, environment: str, compose_project: str,
        known: HostFacts | None = None,
    ) -> HostFacts:  # fmt: skip
        """The host's facts. Raises `HostUnreachable` where it can't be asked.

        known: what was seen there a moment ago, for a shorter look.
        """
        self._mark(host)
        facts, answer = host_facts.look(
            host, lambda text: ssh.script(host.url, text, self.options).argv, self.folder,
            project, environment, compose_project, more=haproxy.survey(),
            known=known, settled=compose_host.SETTLED if known else "",
        )  # fmt: skip
        if not host.is_local and answer.code == 255:
            raise unreachable(host, answer.stderr)
        if not facts.root:
            last = (answer.stderr.strip().splitlines() or ["it gave no answer"])[-1]
            raise HostUnreachable(host, f"{last}.", "Check that its user has a POSIX shell.")
        return facts

    def execute(
        self,
        host: Host,
        command: Command,
        *,
        data: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
        cancel: threading.Event | None = None,
    ) -> Completed:
        """Run a command made by `commands.ssh`. A broken connection is `HostUnreachable`."""
        self._mark(host)
        try:
            done = execute(
                command, self.folder, input=data, timeout=timeout, check=check, cancel=cancel
            )
        except CommandFailed as error:
            if not host.is_local and error.code == 255:
                raise unreachable(host, "\n".join(error.lines)) from None
            raise
        if not host.is_local and done.code == 255:
            raise unreachable(host, done.stderr)
        return done

    def script(
        self, host: Host, text: str, *, data: bytes | None = None, timeout: float | None = 60,
        check: bool = True,
    ) -> Completed:  # fmt: skip
        """Run a few lines of shell on a host."""
        command = ssh.script(host.url, text, self.options)
        return self.execute(host, command, data=data, timeout=timeout, check=check)

    def stream(self, host: Host, command: Command, write: Callable[[IO[bytes]], None]) -> Completed:
        """Run a command whose standard input `write` produces, however large it is."""
        self._mark(host)
        try:
            process = subprocess.Popen(
                command.argv, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise missing_program(command.argv[0]) from None
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        self._streams[process] = host.url
        said: list[bytes] = []
        output: IO[bytes] = process.stdout
        reader = threading.Thread(target=lambda: said.append(_all(output)), daemon=True)
        reader.start()
        try:
            try:
                write(process.stdin)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it ended early; its exit code and words tell why
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            self._streams.pop(process, None)
        reader.join()
        text = b"".join(said).decode("utf-8", "replace")
        if not host.is_local and code == 255:
            raise unreachable(host, text)
        return Completed(code, text, text)

    def _mark(self, host: Host) -> None:
        if not host.is_local:
            self._used.add(host.url)

    def _known_hosts(self, environ: Mapping[str, str], declared: str | None) -> str:
        if declared:
            path = self.folder / declared
            if not path.is_file():
                raise UsageError(
                    f"known_hosts: {declared} does not exist.",
                    "Write the hosts' public keys into it, and commit it.",
                )
            return declared
        return self._file(environ.get("MCGITOPS_KNOWN_HOSTS", ""), "MCGITOPS_KNOWN_HOSTS", 0o600)

    def _file(self, value: str, name: str, mode: int) -> str:
        """A variable that holds a path, or the text itself: then it is put into a private file."""
        if not value.strip():
            return ""
        if "\n" not in value.strip() and (path := Path(value).expanduser()).is_file():
            return str(path.resolve())
        if "\n" not in value.strip() and " " not in value.strip():
            raise UsageError(f"{name} names no file.", "Give an existing path, or the text itself.")
        target = self._private / name
        secret = Secret(name, value)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w") as file:
            # ssh refuses a key whose last line has no end, as it comes from many secret stores
            file.write(secret.reveal().replace("\r\n", "\n").rstrip("\n") + "\n")
        return str(target)


def unreachable(host: Host, said: str) -> HostUnreachable:
    """What ssh's own words mean, and what to do."""
    address = host.name if host.port in (None, 22) else f"[{host.name}]:{host.port}"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return HostUnreachable(
            host, "its host key is not the pinned one. Nothing was sent.",
            "If the host was set up anew, replace its line in known_hosts; else someone is in "
            "between.",
        )  # fmt: skip
    if "Host key verification failed" in said:
        return HostUnreachable(
            host, "its host key is not known. Nothing was sent.",
            f"Get its public key in a trusted way (on the host: cat /etc/ssh/ssh_host_*_key.pub) "
            f"and put it into known_hosts as: {address} ssh-ed25519 AAAA….",
        )  # fmt: skip
    if "Permission denied" in said:
        user = f"user {host.user}" if host.user else "this user"
        return HostUnreachable(
            host, f"it does not let {user} in with the keys offered.",
            "Set MCGITOPS_SSH_KEY to the private key, and put the public one into "
            "~/.ssh/authorized_keys there.",
        )  # fmt: skip
    if match := re.search(
        r"Could not resolve hostname|Connection refused|timed out|No route to host|"
        r"Network is unreachable|Connection reset|closed by remote|Broken pipe|not responding",
        said,
    ):
        return HostUnreachable(
            host, f"it can't be reached ({match[0].lower()}).",
            "Check its address and port, and that its SSH server runs.",
        )  # fmt: skip
    lines = [line for line in said.strip().splitlines() if line.strip()]
    last = lines[-1].rstrip(".") if lines else "the connection broke"
    return HostUnreachable(host, f"{last}.", "Try the same with ssh by hand.")


def _short_temporary_folder() -> str:
    own = tempfile.gettempdir()
    return "/tmp" if len(own) > 40 and os.access("/tmp", os.W_OK) else own  # noqa: S108


def _all(stream: IO[bytes]) -> bytes:
    kept = b""
    while chunk := stream.read(65536):
        kept = (kept + chunk)[-65536:]
    return kept
