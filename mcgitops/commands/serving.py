"""What is run on a host to reach a port of a container: its state, and a relay of bytes.

A relay makes standard input and output a connection to a port, with whichever of a few programs
is there. Each function returns an argument list; `commands.ssh.on_host` takes it to the host.
"""

from __future__ import annotations

Argv = tuple[str, ...]

NO_RELAY = "mcgitops: no relay"
"""What a relay says on standard error where it finds none of its programs."""

_PYTHON = """\
import os, socket, sys, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while b := os.read(0, 65536): s.sendall(b)
    os._exit(0)
threading.Thread(target=up, daemon=True).start()
while b := s.recv(65536):
    sys.stdout.buffer.write(b)
    sys.stdout.buffer.flush()
os._exit(0)
"""
# whichever side ends first ends the other: nothing is left behind in the container. Not `wait -n`:
# it misses a side that has ended before it is reached.
_BASH = """\
exec 3<>"/dev/tcp/$0/$1" 4<&0 || exit 1
cat <&3 & down=$!
cat <&4 >&3 2>/dev/null & up=$!
while kill -0 $down 2>/dev/null && kill -0 $up 2>/dev/null; do sleep 0.05; done
kill $down $up 2>/dev/null
exit 0
"""
_RELAY = f"""\
has() {{ command -v "$1" >/dev/null 2>&1; }}
if has bash && has cat && has sleep; then exec bash -c '{_BASH}' "$1" "$2"; fi
if has python3; then exec python3 -c '{_PYTHON}' "$1" "$2"; fi
if has socat; then exec socat - "TCP:$1:$2"; fi
if has nc; then exec nc "$1" "$2"; fi
if has curl; then exec curl --silent --show-error --no-buffer "telnet://$1:$2"; fi
echo '{NO_RELAY}' >&2
exit 69
"""


def relay(address: str, port: int) -> Argv:
    """Connect to a port with bash, python3, socat, nc or curl."""
    return ("sh", "-c", _RELAY, "relay", address, str(port))


def inside(container: str, argv: Argv) -> Argv:
    """A program in a running container, with our standard input."""
    return ("docker", "exec", "--interactive", container, *argv)


def state(container: str) -> Argv:
    """`running 0 172.18.0.3 …`: state, exit code, addresses."""
    template = (
        "{{.State.Status}} {{.State.ExitCode}}"
        "{{range .NetworkSettings.Networks}} {{.IPAddress}}{{end}}"
    )
    return ("docker", "container", "inspect", "--format", template, container)
