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


def test_one_that_looks_while_another_gives_it_back_finds_it_held_or_free(tmp_path: Path) -> None:
    """Ten deployments that begin at once: none may end because a file has just gone."""

    def turns(number: int) -> set[int]:
        mine = owner(f"o{number}")
        codes = set()
        for _ in range(8):
            taken = shell(lock.acquire_script(str(tmp_path), mine, 60))
            codes.add(taken.returncode)
            assert taken.stderr == ""
            if taken.returncode == 0:
                assert shell(lock.release_script(str(tmp_path), mine)).returncode == 0
        return codes

    with ThreadPoolExecutor(6) as pool:
        assert set().union(*pool.map(turns, range(6))) <= {0, 75}
    assert list(tmp_path.iterdir()) == []


def test_a_lock_says_since_when_it_is_held(tmp_path: Path) -> None:
    first = owner("ada")
    assert shell(lock.acquire_script(str(tmp_path), first, 60)).returncode == 0
    file = tmp_path / "lock" / "owner.json"
    since = lock_fact(file.read_text()).since  # type: ignore[union-attr]
    assert abs(time.time() - since) < 60
    file.write_text(file.read_text().replace(f"{since:.0f}, ", "1000, "))
    assert shell(lock.acquire_script(str(tmp_path), first, 60)).returncode == 0
    renewed = lock_fact(file.read_text())
    assert renewed is not None
    assert renewed.since == 1000
    assert renewed.expires > 1_000_000


def test_a_freeze_refuses_at_once_and_so_does_who_will_not_wait(tmp_path: Path) -> None:
    with Connections(tmp_path, {}) as connections:
        root = str(tmp_path / "wine" / "production")
        frozen = Owner("eve\x1b[2J", "stocktaking", token=f"{lock.FREEZE}1", pid=0)
        HostLock(connections, LOCAL, root, frozen, lease=3600).take()
        patient = time.monotonic() + 3600
        with pytest.raises(Locked, match="frozen by eve") as refused:
            HostLock(connections, LOCAL, root, owner("ada"), until=patient).take()
        assert "unlock production" in refused.value.hint
        assert "\x1b" not in refused.value.message
        shell(lock.release_script(root, frozen))
        HostLock(connections, LOCAL, root, owner("ada", pid=1)).take()
        with pytest.raises(Locked, match="locked by ada"):
            HostLock(connections, LOCAL, root, owner("bob"), until=-1.0).take()


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
            end = time.monotonic() + 10
            guard = tmp_path / "lock.guard"
            while True:  # as the script itself does: nobody renews meanwhile
                try:
                    guard.mkdir()
                    break
                except FileExistsError:
                    assert time.monotonic() < end
            text = owner("eve").fields() + ', "expires": 9999999999}\n'
            (tmp_path / "lock" / "owner.json").write_text(text)
            guard.rmdir()
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
