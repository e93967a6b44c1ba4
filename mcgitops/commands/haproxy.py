"""HAProxy's runtime API, spoken inside the proxy's own container: nothing is open to a network.

Source: HAProxy's management guide, section 9.3 ("Unix Socket commands").
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Literal

Argv = tuple[str, ...]
State = Literal["ready", "drain", "maint"]

# what can open a connection differs between the official images (Debian: bash, Alpine: nc)
_CLIENT = (
    "if command -v bash >/dev/null 2>&1; then"
    ' exec bash -c \'exec 3<>"/dev/tcp/$0/$1" && cat >&3 && cat <&3\' "$0" "$1";'
    ' elif command -v nc >/dev/null 2>&1; then exec nc "$0" "$1";'
    ' else exec socat -t 5 - "TCP:$0:$1"; fi'
)


def client(container: str, admin: str) -> Argv:
    """`docker exec` of a client that sends its standard input to the runtime API."""
    name, _, port = admin.rpartition(":")
    return ("docker", "exec", "--interactive", container, "sh", "-c", _CLIENT, name, port)


def look(backends: Iterable[str]) -> str:
    """The text that asks for the state and the load of backends."""
    asked = [f"show servers state {name};show stat {name} 4 -1" for name in backends]
    return ";".join(asked) + "\n"


def set_states(changes: Iterable[tuple[str, str, State]]) -> str:
    """The text that sets (backend, server) to a state, in this order."""
    said = [f"set server {backend}/{server} state {state}" for backend, server, state in changes]
    return ";".join(said) + "\n"


def survey() -> str:
    """Shell: what each proxy of the current release says, as lines of `facts.host`'s script.

    Run in the environment's folder, with the containers in `$seen`. The manifest is read with sed:
    a host needs no other tool.
    """
    found = shlex.quote('"behind": {"service": "[^"]*", "admin": "[^"]*"}')
    fields = shlex.quote(r's/.*"service": "\([^"]*\)", "admin": "\([^"]*\)".*/\1 \2/')
    return (
        f"grep -o {found} current/release.json | sort -u | sed {fields}"
        " | while read -r service admin; do\n"
        "for name in $(printf '%s\\n' \"$seen\" |"
        r' sed -n "s|^@made running \"$service\" [^ ]* /||p"); do'
        "\n"
        "said=$(echo 'show servers state;show stat' |"
        f' docker exec --interactive "$name" sh -c {shlex.quote(_CLIENT)}'
        ' "${admin%:*}" "${admin##*:}" 2>/dev/null) || said=\n'
        'printf \'%s\\n\' "$said" | sed "s/^/@proxy $name /"\n'
        "done; done\n"
    )
