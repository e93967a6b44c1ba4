"""The lock, with a real shell in a real folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcgitops.deploy import lock
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.lock import HostLock, Locked, Owner
from mcgitops.facts.host import lock_fact
from mcgitops.project.hosts import Host, HostFacts, LockFact

LOCAL = Host.parse("local://")


def shell(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False)


def owner(name: str = "ada", **changes: object) -> Owner:
    return Owner(name, "deploying v1 to production", **changes)  # type: ignore[arg-type]


def test_one_at_a_time_with_the_holder_s_name(tmp_path: Path) -> None:
    root = str(tmp_path / "a folder" / "wine")
    first, second = owner("ada"), owner("eve")
    assert shell(lock.acquire_script(root, first, 60)).returncode == 0
    refused = shell(lock.acquire_script(root, second, 60))
    assert refused.returncode == 75
    held = lock_fact(refused.stdout)
    assert held is not None
    assert (held.owner, held.reason) == ("ada", "deploying v1 to production")
    assert 50 < held.expires - time.time() <= 61
    # renewed by its owner, given back by nobody else
    assert shell(lock.acquire_script(root, first, 120)).returncode == 0
    shell(lock.release_script(root, second))
    assert shell(lock.acquire_script(root, second, 60)).returncode == 75
    shell(lock.release_script(root, first))
    assert shell(lock.acquire_script(root, second, 60)).returncode == 0


def test_an_expired_lock_is_taken_over(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert shell(lock.acquire_script(root, owner("ada"), 0)).returncode == 0
    assert shell(lock.acquire_script(root, owner("eve"), 60)).returncode == 0
    assert json.loads((tmp_path / "lock" / "owner.json").read_text())["owner"] == "eve"


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    scripts = [lock.acquire_script(str(tmp_path), owner(f"o{n}"), 60) for n in range(12)]
    with ThreadPoolExecutor(12) as pool:
        codes = sorted(done.returncode for done in pool.map(shell, scripts))
    assert codes == [0] + [75] * 11
    assert not (tmp_path / "lock.guard").exists()


def test_a_guard_left_by_a_killed_process_is_removed(tmp_path: Path) -> None:
    guard = tmp_path / "lock.guard"
    guard.mkdir()
    os.utime(guard, (time.time() - 300, time.time() - 300))
    assert shell(lock.acquire_script(str(tmp_path), owner(), 60)).returncode == 0


def test_the_lock_of_a_dead_process_of_this_machine_is_taken_at_once(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    shell(lock.acquire_script(str(tmp_path), owner("dead", pid=process.pid), 600))
    with (
        Connections(tmp_path, {}) as connections,
        HostLock(connections, LOCAL, str(tmp_path), owner("next")) as held,
    ):
        held.check()
        assert "next" in (tmp_path / "lock" / "owner.json").read_text()
    assert not (tmp_path / "lock").exists()


def test_a_lock_that_is_renewed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.5)
    said: list[str] = []
    with Connections(tmp_path, {}) as connections:
        held = HostLock(connections, LOCAL, str(tmp_path), owner("ada"))
        other = HostLock(connections, LOCAL, str(tmp_path), owner("eve"), said.append)
        with held, pytest.raises(Locked, match="local is locked by ada: deploying v1"):
            other.acquire()
    assert said == ["local   waits for ada, deploying v1 to production to end, or to turn out dead"]


def test_who_wants_to_wait_gets_the_lock_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.2)
    monkeypatch.setattr(lock, "TELL_EVERY", 0.5)
    said: list[str] = []
    with Connections(tmp_path, {}) as connections:
        held = HostLock(connections, LOCAL, str(tmp_path), owner("ada"))
        held.acquire()

        def tell(line: str) -> None:
            said.append(line)
            if len(said) == 3:  # it has waited longer than a dead owner's lock would be believed
                threading.Thread(target=held.release).start()

        until = time.monotonic() + 60
        other = HostLock(connections, LOCAL, str(tmp_path), owner("eve"), tell, until=until)
        with other:
            assert '"eve"' in (tmp_path / "lock" / "owner.json").read_text()
    assert said[-1] == "local   waits for ada, deploying v1 to production"


def test_a_lock_that_was_taken_away_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.1)
    with Connections(tmp_path, {}) as connections:
        with HostLock(connections, LOCAL, str(tmp_path), owner("ada")) as held:
            (tmp_path / "lock" / "owner.json").unlink()
            shell(lock.acquire_script(str(tmp_path), owner("eve"), 60))
            end = time.monotonic() + 10
            while not held.lost and time.monotonic() < end:
                time.sleep(0.05)
            with pytest.raises(lock.LockLost):
                held.check()
        assert "eve" in (tmp_path / "lock" / "owner.json").read_text()


def test_a_lock_of_another_machine_is_never_dead() -> None:
    fact = lock_fact(json.dumps({"owner": "x", "token": "t", "machine": "other", "pid": 1}))
    assert fact is not None
    assert not lock.is_dead(fact, "")


def test_a_lock_that_nobody_will_give_back_is_told_from_one_that_is_held() -> None:
    process = subprocess.Popen(["sleep", "60"])
    mine = owner(pid=process.pid)
    held = LockFact(mine.name, mine.token, mine.machine, mine.pid, lock.started(mine.pid), 100.0)
    assert not lock.is_stranded(HostFacts(LOCAL, now=50.0))
    assert not lock.is_stranded(HostFacts(LOCAL, now=50.0, lock=held))
    assert lock.is_stranded(HostFacts(LOCAL, now=101.0, lock=held))
    process.kill()
    process.wait()
    assert lock.is_stranded(HostFacts(LOCAL, now=50.0, lock=held))
