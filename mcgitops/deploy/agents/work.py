"""An agent at work: asks what is wanted, looks at its host, acts on what `agent.decide` says.

It never ends by itself: where the store or the engine can't be reached, or a rollout fails, it says
so once and tries again after a growing pause.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.deploy.agents.decide import MOST_TRIES, Decision, Memory, Seen, decide, judge, pause
from mcgitops.deploy.agents.place import AgentPlace
from mcgitops.deploy.agents.pulled import pulled
from mcgitops.deploy.agents.wanted import Source, Want, allows
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.names import compose_project
from mcgitops.deploy.rollout import carry_out, deploy
from mcgitops.deploy.target import target_of_placement
from mcgitops.deploy.told import Told
from mcgitops.errors import HostNeedsAttention, McgitopsError, StoreError, UsageError
from mcgitops.project.hosts import LOCAL, Host, HostFacts, Placement
from mcgitops.project.model import Project
from mcgitops.store.store import Store

ROLLOUT = 3600.0
"""How long one may take from one sign of life to the next: images may be large."""

Say = Callable[[str, str], None]
"""What happened, in a word for programs, and a sentence for people."""


@dataclass(frozen=True)
class Job:
    """What an agent works for."""

    project: str
    environment: str
    folder: Path  # with this host's values
    store: Store
    source: Source
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Turn:
    """How one look ended: the exit code that `--once` gives, and whether to look again soon."""

    code: int = 0
    again: bool = False


class Agent:
    """One environment's agent on one host."""

    def __init__(self, job: Job, place: AgentPlace, say: Say, every: float = 30.0) -> None:
        self._job = job
        self._place = place
        self._tell = say
        self._every = every
        self._memory = place.memory()
        self._settled: Want | None = None
        self._looked = False  # whether this host's state was dealt with since the start
        self._failures = 0
        self._mends = 0
        self._standing = ""  # what was said last of a state that lasts
        self._lost_at: float | None = None

    def run(self) -> None:
        """Look again and again, until it is interrupted."""
        self._tell("started", f"{self._job.environment} of {self._job.project} follows "
                   f"{self._job.source.name}, every {self._every:g} s")  # fmt: skip
        while True:
            turn = self.turn()
            self._failures = self._failures + 1 if turn.again else 0
            seconds = pause(self._every, self._failures, random.random())  # noqa: S311
            self._place.beat(seconds + 2 * self._every + 10)
            time.sleep(seconds)

    def turn(self) -> Turn:
        """Look once, and do what there is to do."""
        self._place.beat(ROLLOUT)
        try:
            want = self._job.source.newest()
        except StoreError as error:
            return self._lost(error)
        self._found_again()
        if self._looked and want == self._settled:
            return Turn()
        try:
            return self._act(want)
        except McgitopsError as error:
            self._say("error", f"{error} Trying again.")
            return Turn(error.exit_code, again=True)

    def _act(self, want: Want | None) -> Turn:
        facts = self._look()
        decision = decide(want, Seen.of(facts), self._memory, starting=not self._looked)
        turn = Turn(5 if decision.failed else 0)
        if decision.action == "rest":
            self._say("waiting", f"{decision.reason}.")
        elif decision.action == "mend":
            assert facts.current is not None  # noqa: S101 - that is what is brought back
            turn = self._mend(decision, facts.current, turn)
        else:
            assert want is not None  # noqa: S101 - only what is wanted is deployed
            turn = self._deploy_wanted(want)
        if not turn.again:
            self._looked, self._settled = True, want
        return turn

    def _mend(self, decision: Decision, current: Placement, turn: Turn) -> Turn:
        """Bring back what ran before a rollout that was cut off."""
        if self._mends >= MOST_TRIES:
            self._say("needs-attention", f"{decision.reason}; {decision.release} could not be "
                      "brought back: mend this host, then start the agent anew.")  # fmt: skip
            return Turn(6)
        self._say("mending", f"{decision.release} is brought back: {decision.reason}.")
        self._mends += 1
        self._bring_back(current)
        self._mends = 0
        self._say("mended", f"{decision.release} runs, healthy.")
        return turn

    def _look(self) -> HostFacts:
        host = Host.parse(LOCAL)
        name, environment = self._job.project, self._job.environment
        with Connections(self._job.folder, {}) as connections:
            facts = connections.look(host, name, environment, compose_project(name, environment))
        if facts.problem:
            raise HostNeedsAttention(f"{host.label}: {facts.problem}", facts.hint)
        return facts

    def _deploy_wanted(self, want: Want) -> Turn:
        before = self._memory
        tries = before.tries if before.is_of(want) and before.state == "trying" else 0
        # an agent that is killed has tried, however far it got
        self._remember(Memory(want.release, want.commit, want.number, "trying", tries + 1))
        try:
            self._deploy(want.release)
        except McgitopsError as error:
            return self._failed(error, tries)
        except KeyboardInterrupt:
            self._remember(replace(self._memory, tries=tries))
            raise
        self._remember(replace(self._memory, state="deployed", tries=0))
        self._say("deployed", f"{want.release} runs, healthy.")
        return Turn()

    def _failed(self, error: McgitopsError, tries: int) -> Turn:
        judgement = judge(error)
        if judgement == "again" or judgement == "counted":
            self._remember(replace(self._memory, tries=tries + (judgement == "counted")))
            # "rolled back" would be a lie where only the store was away
            cause = error.__cause__
            raise cause if judgement == "again" and isinstance(cause, StoreError) else error
        self._remember(replace(self._memory, state=judgement, tries=0))
        self._say(judgement, str(error))
        if judgement == "rolled-back":
            failed = self._memory.release
            self._say("waiting", f"{failed} failed here: waiting for another release.")
        # a host that could not be put back is mended by the next look
        return Turn(error.exit_code, again=judgement == "needs-attention")

    def _project(self, release: str) -> Project:
        """What the release says itself of the project and this environment."""
        job = self._job
        record = job.store.release(job.project, release)
        if record is None:
            raise UsageError(f"The store {job.store.url} has no release {release}.")
        return pulled(job.store, record, job.environment, job.folder)

    def _deploy(self, release: str) -> None:
        """The rollout itself, the same as anybody's."""
        job = self._job
        project = self._project(release)
        spec = project.spec.environments[job.environment]
        if not spec.pull:
            raise UsageError(
                f"Release {release} says that CI deploys {job.environment}.",
                f"Add pull: true to environments.{job.environment}, and release again.",
            )
        if spec.trigger is not None and not allows(spec.trigger, release):
            raise UsageError(f"The trigger of {job.environment} doesn't allow {release}.")
        told = Told(job.project, job.environment, spec, release, job.folder, job.environ,
                    self._progress)  # fmt: skip
        with told:
            told.of(
                deploy(project, job.store, job.environment, release, job.environ,
                       say=self._progress)
            )  # fmt: skip

    def _bring_back(self, placement: Placement) -> None:
        """What was committed last, with the values that it has there."""
        job = self._job
        aim = target_of_placement(
            self._project(placement.release), job.store, job.environment, placement, job.environ
        )
        carry_out(aim, say=self._progress, force=True)

    def _progress(self, line: str) -> None:
        self._place.beat(ROLLOUT)
        self._tell("rollout", line)

    def _remember(self, memory: Memory) -> None:
        self._place.remember(memory)
        self._memory = memory

    def _lost(self, error: StoreError) -> Turn:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self._tell("store-lost", f"{error} Trying again until it answers.")
        return Turn(error.exit_code, again=True)

    def _found_again(self) -> None:
        if self._lost_at is not None:
            took = time.monotonic() - self._lost_at
            self._tell("store-back", f"{self._job.source.name} answers again, after {took:.0f} s.")
            self._lost_at = None

    def _say(self, event: str, text: str) -> None:
        """Say something that lasts: not again while it stays the same."""
        if text != self._standing:
            self._standing = text
            self._tell(event, text)
