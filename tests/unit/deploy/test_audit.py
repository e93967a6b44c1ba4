"""Journals and what is removed, with a real shell in a real folder; and how journals are merged."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from mcgitops.commands import compose_host, journal
from mcgitops.deploy.audit import Line, merge, parse, table
from mcgitops.deploy.lock import Owner, acquire_script
from mcgitops.deploy.retention import prune_script
from mcgitops.store.records import DeploymentRecord

HOSTILE = "v1'\"$(touch hacked)\x1b[2J\u202e\n"


def shell(text: str, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{path}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "-c", text], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_a_commit_is_noted_with_whom_the_lock_names(tmp_path: Path) -> None:
    owner = Owner(HOSTILE, "deploying v1 to production")
    assert shell(acquire_script(str(tmp_path), owner, 60), tmp_path).returncode == 0
    (tmp_path / "releases/v1/1111").mkdir(parents=True)
    note = journal.entry("deployed", HOSTILE, "1111")
    text = compose_host.commit(str(tmp_path), "v1/1111", "", "v1", leaving="v2", note=note)
    assert shell(text, tmp_path).returncode == 0
    (line,) = parse("a", (tmp_path / "journal").read_text())
    assert (line.what, line.release, line.by) == ("deployed", HOSTILE, HOSTILE)
    assert line.token == owner.token
    assert line.when > 0
    assert (tmp_path / "rejected/v2").exists()
    assert not (tmp_path / "hacked").exists()
    # what was not committed is not noted
    gone = compose_host.commit(str(tmp_path / "gone"), "v1/1111", "", note=note)
    assert shell(gone, tmp_path).returncode != 0
    assert len((tmp_path / "journal").read_text().splitlines()) == 1


def test_a_journal_is_bounded(tmp_path: Path) -> None:
    old = "".join(f'{{"what": "deployed", "release": "v{n}", "when": {n}}}\n' for n in range(500))
    (tmp_path / "journal").write_text(old)
    shell(journal.entry("deployed", "new"), tmp_path)
    lines = parse("a", (tmp_path / "journal").read_text())
    assert (len(lines), lines[0].release, lines[-1].release) == (journal.LINES, "v1", "new")


def test_damaged_lines_of_a_journal_are_left_out() -> None:
    assert parse("a", 'rubbish\n[1]\n{"what": 1}\n{"what": "deployed", "when": "x"}\n') == []


def test_only_what_no_release_names_is_removed(tmp_path: Path) -> None:
    """docker is a program that says what an engine would: an engine's own answer is in the
    integration test."""
    home = tmp_path / "mcgitops/wine"
    root = home / "production"
    said = tmp_path / "said"
    tools = tmp_path / "bin"
    tools.mkdir()
    kept, gone, used, other = (f"mcgitops/wine/api:sha256-{c * 16}" for c in "0123")
    (tools / "docker").write_text(
        "#!/bin/sh\ncase $1 in\n"
        f"ps) echo {used};;\n"
        f"image) case $2 in ls) printf '%s\\n' {kept} {gone} {used} {other} mcgitops/wine/api:mine "
        f"mcgitops/wine-2/api:sha256-{'4' * 16};;\n"
        f"rm) echo $3 >> {said};; esac;;\nesac\n"
    )
    (tools / "docker").chmod(0o755)
    for folder, image, file in (
        (root / "releases/v2/2222", kept, "aa"),
        (root / "releases/it's old/1111", gone, "bb"),
        (home / "staging/releases/v1/1111", other, "cc"),
    ):
        folder.mkdir(parents=True)
        (folder / "release.json").write_text(json.dumps({"images": [{"reference": image}]}))
        (folder / "compose.yml").write_text(f"source: ../../../files/{file}/x\n")
    for name in ("files/aa", "files/bb", "secrets/dd"):
        (root / name).mkdir(parents=True)
    text = prune_script(str(root), "wine", ["it's old/1111"])
    # without a current release nothing is removed
    assert shell(text, tmp_path, str(tools)).returncode == 0
    assert (root / "files/bb").exists()
    (root / "current").symlink_to("releases/v2/2222")
    done = shell(text, tmp_path, str(tools))
    assert done.returncode == 0, done
    left = sorted(str(path.relative_to(root)) for path in root.glob("*/*"))
    assert left == ["current/compose.yml", "current/release.json", "files/aa", "releases/v2"]
    assert said.read_text().split() == [gone]
    # again, while another environment's rollout is at work: its images may not be named yet
    lock = home / "staging/lock"
    lock.mkdir()
    (lock / "owner.json").write_text('{"expires": 99999999999}')
    said.unlink()
    assert shell(text, tmp_path, str(tools)).returncode == 0
    assert not said.exists()


def record(token: str, release: str, minute: int, **hosts: str) -> DeploymentRecord:
    moment = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
    return DeploymentRecord(
        project="wine", environment="production", id=f"2026-{token}", release=release,
        hosts={f"ssh://{name}": how for name, how in hosts.items()}, state="succeeded",
        started=moment, finished=moment, by="ada",
    )  # fmt: skip


def test_store_and_hosts_are_one_list_that_says_who_knows_what() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    journals = {
        "a": [Line("a", "deployed", "v1", when=at, by="ada", token="t1"),
              Line("a", "deployed", "v2", when=at + 120, by="eve", token="t2")],
        "b": [Line("b", "deployed", "v2", when=at + 121, by="eve", token="t2"),
              Line("b", "rejected", "v2", when=at + 122, by="eve", token="t2")],
    }  # fmt: skip
    labels = {"ssh://a": "a", "ssh://b": "b"}
    events = merge(
        [record("t1", "v1", 0, a="deployed", b="deployed", c="deployed"),
         record("t3", "v3", 5, a="untouched")],
        journals, labels,
    )  # fmt: skip
    assert [(one.release, one.note) for one in events] == [
        ("v3", ""),
        ("v2", "only the hosts know it"),
        ("v1", "c is no host of it any more; only the store knows it of b"),
    ]
    assert events[1].hosts == {"a": "deployed", "b": "deployed, rejected"}
    # where the store could not be asked nobody can tell
    alone = merge(None, journals, labels)
    assert [(one.release, one.note) for one in alone] == [("v2", ""), ("v1", "")]


def test_hostile_names_do_nothing_to_a_terminal() -> None:
    text = table(merge(None, {"a": [Line("a", "deployed", HOSTILE, by=HOSTILE)]}, {}))
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text
    assert "\u202e" not in text
