"""`ssh` with pinned keys: one command on a host, or the same on this machine for `local://`.

Host keys are never learnt here: an unknown or a changed key ends the command.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mcgitops.commands.command import Command
from mcgitops.deferred import dataclass

LOCAL = "local://"


@dataclass(frozen=True)
class SshOptions:
    """How hosts are reached. Empty fields leave the choice to the user's own ssh configuration."""

    known_hosts: str = ""
    identity: str = ""
    control_path: str = ""  # a socket in a private folder: connections to a host share one
    connect_timeout: int = 10

    def arguments(self) -> tuple[str, ...]:
        """The options as ssh takes them."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": str(self.connect_timeout),
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "LogLevel": "ERROR",
        }
        if self.known_hosts:
            options["UserKnownHostsFile"] = _config_word(self.known_hosts)
            options["GlobalKnownHostsFile"] = "/dev/null"
        if self.identity:
            options["IdentitiesOnly"] = "yes"
        if self.control_path:
            options |= {
                "ControlMaster": "auto",
                "ControlPersist": "60",
                "ControlPath": _config_word(self.control_path),
            }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        if self.identity:
            words += ["-i", self.identity]
        return tuple(words)


def on_host(
    url: str,
    argv: Sequence[str],
    options: SshOptions = SshOptions(),
    *,
    tied: bool = False,
    reason: str = "",
) -> Command:
    """`argv` on a host: quoted for its shell behind ssh, as it is on this machine.

    tied: the program there ends with the connection (a terminal makes sshd hang up on it).
    """
    if url == LOCAL:
        return Command(tuple(argv), host="", reason=reason)
    start = ssh(url, options)
    if tied:
        start = (start[0], "-tt", *start[1:])
    return Command((*start, shlex.join(argv)), host=url, reason=reason)


def script(url: str, text: str, options: SshOptions = SshOptions(), *, reason: str = "") -> Command:
    """A few lines of POSIX shell on a host, whatever the user's login shell there is."""
    return on_host(url, ("sh", "-c", text), options, reason=reason)


def ssh(url: str, options: SshOptions) -> tuple[str, ...]:
    """`ssh … -- user@host`, to which the remote command is one more argument."""
    address = url.removeprefix("ssh://").rstrip("/")
    destination, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or port == "":
        destination, port = address, ""
    # [::1] is how a URL writes an IPv6 address; ssh wants it bare
    user, at, name = destination.rpartition("@")
    destination = f"{user}{at}{name.removeprefix('[').removesuffix(']')}"
    return ("ssh", *options.arguments(), *(("-p", port) if port else ()), "--", destination)


def forward(url: str, address: str, port: int, options: SshOptions = SshOptions(), *,
            aloud: bool = False) -> Command:  # fmt: skip
    """Standard input and output become a connection that the host makes to `address`.

    aloud: over a connection of its own, which is slower, but says why the host refuses.
    """
    start, *rest, _, destination = ssh(url, options)
    said = ("-o", "LogLevel=INFO", "-o", "ControlPath=none") if aloud else ()
    target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    # of an option that is given twice ssh takes the first
    return Command((start, *said, *rest, "-W", target, "--", destination), host=url)


def close(url: str, options: SshOptions) -> Command:
    """End the shared connection to a host."""
    *start, _, destination = ssh(url, options)
    return Command((*start, "-O", "exit", "--", destination), host=url)


def _config_word(value: str) -> str:
    """A value for `-o`: ssh splits it like a line of its configuration, and expands %."""
    quoted = value if value.endswith("%C") else value.replace("%", "%%")
    return f'"{quoted}"' if any(character.isspace() for character in quoted) else quoted
