"""Stores and the network, and stores and kill -9: what is left when things break.

Not a time but a table of outcomes. Each scenario of push, pull, gc or verify, of a repair, or of
pushing or pulling pinned data, through a proxy that harms 1 to 30 % of what passes has to end
complete and verified, or with a clear error and nothing lost; what is killed leaves nothing half
that is visible; and the next call completes it. A file of more than 4 GiB goes to the bucket and
back, and so do a million small ones. SEED in the environment repeats a run, SCENARIOS (MORE: of
repairs and data), KILLS, HUGE (bytes of that file) and ENTRIES (small files) make it smaller.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from benchmarks.support import projects
from mcgitops.store.store import open_store
from tests.lab import data_faults, s3, store_entries
from tests.lab.store_faults import RATES, VERBS, Ground, Outcome, Scenario, scenarios
from tests.lab.store_kills import Killed, Yard, kills

SCENARIOS = 320
MORE = 120
KILLS = 200
LEAST = (300, 200)
TRIES = 5
HUGE = 4 * 1024**3 + 1
ENTRIES = 1_000_000
SHARES = {"push": 0.32, "pull": 0.3, "gc": 0.26, "train": 0.12, "repair": 0.1, "data pull": 0.1}
"""Of KILLS; the last two come on top."""


def main() -> int:
    """1 where one ends badly, or where they are too few."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
    count = int(os.environ.get("SCENARIOS") or SCENARIOS)
    more = int(os.environ.get("MORE") or MORE)
    killed = int(os.environ.get("KILLS") or KILLS)
    print(f"SEED={seed}", file=sys.stderr)
    began = time.monotonic()
    image = projects.base_image()
    with projects.workplace() as folder, s3.rclone(folder / "server") as server:
        os.environ.update(server.env)
        outcomes = _broken(Ground(_made(folder / "broken"), server), scenarios(seed, count))
        ground = data_faults.Ground(_made(folder / "data"), server)
        outcomes += _broken(ground, data_faults.scenarios(seed, more))
        shares = {verb: round(killed * share) for verb, share in SHARES.items()}
        ends = _killed(folder / "killed", server, seed, shares, image)
        huge = int(os.environ.get("HUGE") or HUGE)
        whole = _huge(folder / "huge", server, huge)
        entries = int(os.environ.get("ENTRIES") or ENTRIES)
        many = store_entries.steps(_made(folder / "entries"), server, entries)
        steps = list(many) if entries else []
    print(f"\n{entries:,} files of a few bytes as outputs of one run, and as many of pinned data")
    print(_table_of(steps))
    print(
        f"\nA file of {huge:,} bytes {'came back whole' if whole else 'CAME BACK AS ANOTHER ONE'}."
    )
    good = whole and not any(step.problem for step in steps)
    return verdict(outcomes, ends, seed, time.monotonic() - began) or int(not good)


def _table_of(steps: Sequence[store_entries.Step]) -> str:
    rows = [
        (step.name, f"{step.seconds:.1f} s", f"{step.peak_bytes / 2**20:.0f} MiB", step.problem)
        for step in steps
    ]
    return tabulate(rows, ("call", "took", "memory", "wrong"), disable_numparse=True)


def _huge(folder: Path, server: s3.S3Server, size: int) -> bool:
    """A sparse file to the bucket and back."""
    folder.mkdir()
    with (folder / "there").open("wb") as stream:
        stream.write(b"begin")
        stream.truncate(size)
    store = open_store(server.url("huge"))
    digest, stored = store.put_file(folder / "there")
    store.fetch(digest, folder / "back")
    return stored == size == (folder / "back").stat().st_size


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _broken(ground: Ground, chosen: Sequence[Scenario]) -> list[Outcome]:
    outcomes = []
    for scenario in chosen:
        outcome = ground.run(scenario)
        outcomes.append(outcome)
        for text in outcome.problems:
            print(f"{scenario}: {text}", file=sys.stderr, flush=True)
    return outcomes


def _killed(
    folder: Path, server: s3.S3Server, seed: int, shares: dict[str, int], image: str
) -> list[Killed]:
    """Each until it met its call at work: one that comes too late tells less."""
    yard = Yard(folder, server, image)
    ends = []
    for kill in kills(seed, shares):
        for _ in range(TRIES):
            end = yard.run(kill)
            ends.append(end)
            for text in end.problems:
                print(f"{kill}: {text}", file=sys.stderr, flush=True)
            if end.code == -signal.SIGKILL:
                break
    return ends


def verdict(outcomes: Sequence[Outcome], ends: Sequence[Killed], seed: int, took: float) -> int:
    """Print the tables."""
    print(f"\nA network that breaks, SEED={seed}")
    rows = []
    for verb in (*VERBS, *data_faults.VERBS):
        for rate in RATES:
            some = [
                one for one in outcomes if (one.scenario.verb, one.scenario.rate) == (verb, rate)
            ]
            said = sum(bool(one.said) for one in some)
            bad = sum(bool(one.problems) for one in some)
            faults = sum(one.faults for one in some)
            rows.append((verb, f"{rate:.0%}", len(some), faults, len(some) - said, said, bad))
    heads = ("verb", "harmed", "scenarios", "faults", "complete at once", "clear error", "wrong")
    print(tabulate(rows, heads, disable_numparse=True))
    print("\nkill -9")
    count, killed = (
        Counter(end.kill.verb for end in ends),
        Counter(end.kill.verb for end in ends if end.code == -signal.SIGKILL),
    )
    wrong = Counter(end.kill.verb for end in ends if end.problems)
    print(
        tabulate(
            [(verb, count[verb], killed[verb], wrong[verb]) for verb in SHARES],
            ("verb", "calls", "killed before their end", "wrong"),
            disable_numparse=True,
        )
    )
    bad = sum(bool(one.problems) for one in outcomes) + sum(wrong.values())
    met = killed.total()
    print(f"\n{len(outcomes)} scenarios and {met} kills, {bad} ended badly, {took:.0f} s.")
    enough = len(outcomes) >= LEAST[0] and met >= LEAST[1]
    if not enough:
        print(f"{LEAST[0]} scenarios and {LEAST[1]} kills are wanted.")
    return 1 if bad or not enough else 0


if __name__ == "__main__":
    sys.exit(main())
