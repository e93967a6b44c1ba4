"""What everybody can read of a machine's processes: their command lines, noted many times a second.

    with arguments.watched(host) as seen:
        …
    assert not any("secret" in line for line in seen)

This file is a program as well: it runs as it is on a host, where it needs nothing but Python.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

SECONDS = 0.05
"""Between two looks. One at 150 processes takes 1 ms; `cat` and its likes would take 20."""


@contextmanager
def watched(*hosts: str, seconds: float = SECONDS) -> Iterator[set[str]]:
    """All command lines of this machine and of hosts (containers); complete when it is over.

    seconds: between two looks here.
    """
    seen: set[bytes] = set()
    lines: set[str] = set()
    over = threading.Event()

    def here() -> None:
        silent: dict[str, int] = {}
        while not over.wait(seconds):
            look(seen, silent)

    thread = threading.Thread(target=here)
    with ExitStack() as stack:
        there = [stack.enter_context(_there(host)) for host in hosts]
        thread.start()
        try:
            yield lines
        finally:
            over.set()
            thread.join()
            for process in there:
                said, _ = process.communicate()
                assert process.returncode == 0, "the watch on a host ended early"
                seen.update(said.split(b"\n"))
            lines.update(line.decode(errors="replace") for line in seen)


def look(seen: set[bytes], silent: dict[str, int]) -> None:
    """Note the command lines of all processes, as they are now: words with blanks between.

    silent: how often a process had none. The kernel's own never have, others only while they start.
    """
    names = {name for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208  (it is quick)
    for name in silent.keys() - names:
        del silent[name]
    for name in names:
        if silent.get(name, 0) > _OFTEN:
            continue
        try:
            descriptor = os.open(f"/proc/{name}/cmdline", os.O_RDONLY)
        except OSError:
            continue  # it has ended
        try:
            line = os.read(descriptor, 1 << 20)
            seen.add(line.translate(_PLAIN))
            if not line:
                silent[name] = silent.get(name, 0) + 1
        except OSError:
            continue
        finally:
            os.close(descriptor)


_OFTEN = 10
_PLAIN = bytes.maketrans(b"\0\n", b"  ")


def _there(host: str) -> subprocess.Popen[bytes]:
    source = Path(__file__).read_text()
    return subprocess.Popen(
        ["docker", "exec", "--interactive", host, "python3", "-I", "-c", source],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def main() -> None:
    """Look until standard input ends, then print what was seen."""
    seen: set[bytes] = set()
    silent: dict[str, int] = {}
    while not select.select([sys.stdin], [], [], SECONDS)[0]:
        look(seen, silent)
    sys.stdout.buffer.write(b"\n".join(seen))


if __name__ == "__main__":
    main()
