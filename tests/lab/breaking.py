"""`python -m tests.lab.breaking VERB …` is `mcgitops VERB …`, and something breaks at one step.

The environment variable MCLAB_FAULT names the step and what breaks. The program itself is as it is:
the places where a rollout carries out its steps are wrapped from outside.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mcgitops.cli.main import main
from mcgitops.commands.ssh import SshOptions
from mcgitops.deploy.execution import Deployment
from mcgitops.deploy.lock import HostLock
from tests.lab.program import run

Kind = Literal["process", "host", "network", "disk"]
Moment = Literal["before", "amid", "after"]
FILLER = "/disk/filler"


@dataclass(frozen=True)
class Fault:
    """What breaks, where and when."""

    kind: Kind
    moment: Moment
    delay: float  # seconds after the step's begin, where it is amid
    url: str
    phase: str
    step: str
    service: str
    container: str  # the host's own
    network: str
    mark: str  # a file that is there afterwards

    def to_json(self) -> str:
        """As MCLAB_FAULT."""
        return json.dumps(asdict(self))

    def strike(self) -> None:
        """Break it."""
        Path(self.mark).touch()
        if self.kind == "process":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.kind == "host":
            run("docker", "kill", self.container)
        elif self.kind == "network":
            run("docker", "network", "disconnect", self.network, self.container)
        else:
            # the last `cat` ends with an error: nothing fits any more
            text = f"cat /dev/zero >{FILLER}; cat /dev/zero >>{FILLER}"
            run("docker", "exec", self.container, "sh", "-c", text, check=False)

    def around(self, act: Callable[[], Any]) -> Any:
        """The step, with what breaks before, amid or after it."""
        if self.moment == "before":
            self.strike()
            return act()
        if self.moment == "after":
            try:
                return act()
            finally:  # a step that fails is over as well
                self.strike()

        def later() -> None:
            time.sleep(self.delay)
            self.strike()

        thread = threading.Thread(target=later)
        thread.start()
        try:
            return act()
        finally:
            thread.join()


class Once:
    """Finds the step among all, and lets the fault happen at its first execution only."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._lock = threading.Lock()
        self._done = False

    def at(self, key: tuple[str, str, str, str], act: Callable[[], Any]) -> Any:
        """Execute a step."""
        fault = self._fault
        with self._lock:
            here = not self._done and key == (fault.url, fault.phase, fault.step, fault.service)
            self._done = self._done or here
        return fault.around(act) if here else act()


def wrap(once: Once) -> None:
    """Put `once` around what a rollout does."""
    step, take, release = Deployment._step, HostLock.take, HostLock.release
    arguments = SshOptions.arguments

    def wrapped_step(self: Deployment, one: Any, what: Any) -> None:
        if what.name in ("lock", "unlock"):
            return step(self, one, what)
        key = (one.host.url, what.phase, what.name, what.service)
        return once.at(key, lambda: step(self, one, what))  # type: ignore[no-any-return]

    def wrapped_take(self: HostLock) -> None:
        once.at((self._host.url, "prepare", "lock", ""), lambda: take(self))

    def wrapped_release(self: HostLock) -> None:
        once.at((self._host.url, "finish", "unlock", ""), lambda: release(self))

    def quicker(self: SshOptions) -> tuple[str, ...]:
        # a network that is cut is noticed after 3 s rather than 15, so that many cases fit
        said = {"ConnectTimeout": "2", "ServerAliveInterval": "1"}
        return tuple(
            f"{name}={said[name]}" if (name := word.partition("=")[0]) in said else word
            for word in arguments(self)
        )

    Deployment._step = wrapped_step  # type: ignore[assignment, method-assign]
    HostLock.take = wrapped_take  # type: ignore[method-assign]
    HostLock.release = wrapped_release  # type: ignore[method-assign]
    SshOptions.arguments = quicker  # type: ignore[method-assign]


if __name__ == "__main__":
    wrap(Once(Fault(**json.loads(os.environ["MCLAB_FAULT"]))))
    main()
