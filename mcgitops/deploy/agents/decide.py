"""What an agent does next: decided from what is wanted, what the host runs and what it remembers.

Pure. The rules: a release that is wanted anew is deployed; one that failed here, or that somebody
rolled back, is not tried again; a rollout that was cut off is finished or taken back; and where
somebody deployed another release by hand since, that stays until something newer is wanted.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import unquote

from mcgitops.deferred import dataclass
from mcgitops.deploy.agents.wanted import Want
from mcgitops.deploy.execution import Paused
from mcgitops.deploy.outcome import NeedsAttention, RolledBack
from mcgitops.errors import McgitopsError, StoreError
from mcgitops.project.hosts import HostFacts

MOST_TRIES = 5
"""How often a rollout is begun that ends before anything is known about the release."""
LONGEST_PAUSE = 300.0

State = Literal["", "trying", "deployed", "rolled-back", "needs-attention", "paused"]
Judgement = Literal["rolled-back", "needs-attention", "paused", "counted", "again"]


@dataclass(frozen=True)
class Memory:
    """What the agent did last, kept on the host from start to start."""

    release: str = ""
    commit: str = ""
    number: int = 0
    state: State = ""
    tries: int = 0

    def is_of(self, want: Want) -> bool:
        """Whether it is about this release."""
        return (self.release, self.commit) == (want.release, want.commit)


@dataclass(frozen=True)
class Seen:
    """The host, as far as the agent is concerned. Names of releases."""

    current: str = ""
    attempt: str = ""  # of a rollout that is not final
    rejected: frozenset[str] = frozenset()

    @classmethod
    def of(cls, facts: HostFacts) -> Seen:
        """Out of a host's facts."""
        return cls(
            facts.current.release if facts.current else "",
            unquote(facts.attempt.partition("/")[0]),
            facts.rejected,
        )


@dataclass(frozen=True)
class Decision:
    """`deploy` the release that is wanted, `mend` what ran before, or `rest`.

    failed: what is wanted does not run here, because it failed.
    """

    action: Literal["deploy", "mend", "rest"]
    release: str
    reason: str
    failed: bool = False


def decide(want: Want | None, seen: Seen, memory: Memory, *, starting: bool = False) -> Decision:
    """What to do now. starting: the agent has not looked at this host before."""
    if want is None:
        return _settled(seen, seen.current, "no release is wanted yet")
    if memory.is_of(want) and memory.state == "paused":
        left = f"{want.release} failed here, and was left as it is: its failure_action is pause"
        return Decision("rest", want.release, left, failed=True)
    if reason := _refused(want, seen, memory):
        return _settled(seen, seen.current, reason, failed=True)
    if not memory.is_of(want) or memory.state == "trying":
        return Decision("deploy", want.release, "it is wanted")
    if seen.current != want.release:
        by_hand = f"{seen.current or 'nothing'} was deployed here by hand after {want.release}"
        return _settled(seen, seen.current, by_hand)
    if starting or seen.attempt:
        return Decision("deploy", want.release, "its containers and values are checked")
    return Decision("rest", want.release, f"{want.release} runs")


def _refused(want: Want, seen: Seen, memory: Memory) -> str:
    """Why a release that is wanted isn't deployed; "" where it is."""
    wait = "waiting for another release"
    if want.release in seen.rejected:
        return f"{want.release} was rolled back here: {wait}"
    if not memory.is_of(want):
        return ""
    if memory.state in ("rolled-back", "needs-attention"):
        return f"{want.release} failed here: {wait}"
    if memory.state == "trying" and memory.tries >= MOST_TRIES:
        return f"{want.release} could not be deployed in {memory.tries} tries: {wait}"
    return ""


def _settled(seen: Seen, release: str, reason: str, *, failed: bool = False) -> Decision:
    """Nothing new is deployed; but a rollout that was cut off is taken back."""
    if seen.attempt and seen.current:
        why = f"a rollout of {seen.attempt} was cut off"
        return Decision("mend", seen.current, f"{why}; {reason}", failed)
    return Decision("rest", release, reason, failed)


def judge(error: McgitopsError) -> Judgement:
    """What a failed rollout says about the release.

    `again`: nothing, the surroundings failed. `counted`: nothing was touched, but it may be the
    release's fault, so not for ever. Otherwise the release failed here.
    """
    if not isinstance(error, RolledBack | NeedsAttention):
        return "again"
    idle = ("", "untouched", "nothing to do")
    if any(one.outcome not in idle for one in error.report.hosts.values()):
        if isinstance(error.__cause__, Paused):
            return "paused"
        return "rolled-back" if isinstance(error, RolledBack) else "needs-attention"
    if isinstance(error, NeedsAttention) or isinstance(error.__cause__, StoreError):
        return "again"
    return "counted"


def pause(every: float, failures: int, chance: float) -> float:
    """Seconds until the next look: longer with each failure in a row, up to five minutes.

    chance: between 0 and 1, so that agents that failed together don't come back together.
    """
    if not failures:
        return every
    longest = max(LONGEST_PAUSE, every)
    return float(min(longest, every * 2.0 ** min(failures, 32)) * (0.5 + chance / 2))
