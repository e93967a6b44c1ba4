"""`Command`: one exact program call as a value, and `Secret`: text that never prints itself.

A command is an argument list, an environment, a folder, a host and a reason. It can be executed
(`mcgitops.run.process`) or rendered as a shell line that can be pasted (`shell_line`). Nothing in
here starts anything.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import field, replace
from types import MappingProxyType

from mcgitops.deferred import dataclass


class Secret:
    """A value that must not be seen: prints as `$NAME`, compares by value, is never serialised.

    `reveal()` is the only way to the text; grep for it to find every use.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the environment or the standard input of one process."""
        return self._value

    def __repr__(self) -> str:
        return f"${self.name}"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self.name, self._value) == (other.name, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self.name))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"the secret {self.name} can't be serialised")


def _frozen(mapping: Mapping[str, str | Secret]) -> Mapping[str, str | Secret]:
    return MappingProxyType(dict(mapping))


@dataclass(frozen=True)
class Command:
    """One program call.

    argv:   program and arguments; never holds a secret.
    env:    what is added to the caller's environment of the local process; a remote command gets
            its values from files or standard input.
    cwd:    working folder relative to the project folder ("" is the project folder itself).
    host:   the host that it acts on, `ssh://user@host:port` ("" is this machine). For grouping and
            for people: argv itself already goes through ssh (see `mcgitops.commands.ssh`).
    stdin:  a path (relative to the project folder) whose content is the standard input, or "".
    reason: why this command is needed, for people.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str | Secret] = field(default_factory=dict)
    cwd: str = ""
    host: str = ""
    stdin: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("a command needs a program")
        for argument in self.argv:
            if not isinstance(argument, str):  # a Secret in argv is a bug that must not go by
                raise TypeError(f"argument {argument!r} is not text")
        object.__setattr__(self, "env", _frozen(self.env))

    @property
    def is_ours(self) -> bool:
        """Whether this is one of our own verbs, which the executor calls within the process."""
        return self.argv[0] == "mcgitops" and not self.host

    def because(self, reason: str) -> Command:
        """The same command with a reason."""
        return replace(self, reason=reason)

    def shell_line(self) -> str:
        """The command as one line for bash. Secrets appear as `"$NAME"`, to be set beforehand."""
        words = []
        for name, value in self.env.items():
            shown = f'"${value.name}"' if isinstance(value, Secret) else shlex.quote(value)
            words.append(f"{name}={shown}")
        words.extend(shlex.quote(argument) for argument in self.argv)
        line = " ".join(words)
        if self.stdin:
            line += f" < {shlex.quote(self.stdin)}"
        if self.cwd:
            line = f"(cd {shlex.quote(self.cwd)} && {line})"
        return line

    def to_json(self) -> dict[str, object]:
        """A JSON-ready form; secrets appear by name only."""
        shown: dict[str, object] = {"argv": list(self.argv)}
        if self.env:
            shown["env"] = {k: str(v) if isinstance(v, Secret) else v for k, v in self.env.items()}
        for key in ("cwd", "host", "stdin", "reason"):
            if value := getattr(self, key):
                shown[key] = value
        return shown
