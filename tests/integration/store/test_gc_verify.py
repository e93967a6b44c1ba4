"""gc and verify as people run them, and against pushes, on a real S3 server."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from mcgitops.store import gc, journal, layout, marks
from mcgitops.store.reach import Roots
from mcgitops.store.records import CommitRecord
from mcgitops.store.repair import repair
from mcgitops.store.store import Store, key_of, open_store
from mcgitops.store.transfer import copy_records
from mcgitops.store.verify import verify
from tests.conftest import ProjectFactory, Runner
from tests.integration.store.conftest import MakeRun, fingerprint
from tests.lab.s3 import S3Server

pytestmark = [pytest.mark.s3, pytest.mark.engine, pytest.mark.usefixtures("engine")]

GRACE = 600.0


def env_of(server: S3Server, prefix: str) -> dict[str, str]:
    return {**server.env, "MCGITOPS_STORE": server.url(prefix)}


def listed(server: S3Server, prefix: str) -> list[str]:
    """The keys of a store, asked by a client that isn't ours."""
    pages = server.client().get_paginator("list_objects_v2").paginate(
        Bucket=server.bucket, Prefix=f"{prefix}/"
    )  # fmt: skip
    keys = (item["Key"] for page in pages for item in page.get("Contents", []))
    return [key.removeprefix(f"{prefix}/") for key in keys]


def test_a_bucket_is_kept_small(
    trained: Path,
    project_factory: ProjectFactory,
    make_run: MakeRun,
    run_mcgitops: Runner,
    rclone_s3: S3Server,
    tmp_path: Path,
) -> None:
    prefix = uuid4().hex
    env = env_of(rclone_s3, prefix)
    local = open_store(str(trained / ".mcgitops/store"))
    for number in range(2, 6):
        make_run(local, number)  # of no commit
    run_mcgitops("push", cwd=trained, env=env)
    before = listed(rclone_s3, prefix)

    looked = run_mcgitops("gc", "--keep-runs", "1", "--dry-run", cwd=trained, env=env)
    assert "to be marked now: 3 runs" in looked.stdout
    assert listed(rclone_s3, prefix) == before
    marked = run_mcgitops("gc", "--keep-runs", "1", cwd=trained, env=env)
    assert "Marked 3 runs" in marked.stdout
    assert set(before) < set(listed(rclone_s3, prefix))
    asked = run_mcgitops(
        "gc", "--keep-runs", "1", "--grace", "0", cwd=trained, env=env, check=False
    )
    assert (asked.code, "Add --yes" in asked.stderr) == (2, True)
    done = json.loads(
        run_mcgitops(
            "gc", "--keep-runs", "1", "--grace", "0", "--yes", "--json", cwd=trained, env=env
        ).stdout
    )
    gone = {f"runs/wine/train/{fingerprint(number)}.json" for number in (2, 3, 4)}
    assert gone <= set(done["done"]["removed"])
    left = listed(rclone_s3, prefix)
    assert gone.isdisjoint(left)
    assert not any(key.startswith("trash/") for key in left)
    assert run_mcgitops("verify", cwd=trained, env=env).code == 0

    other = tmp_path / "other"
    project_factory.git(tmp_path, "clone", "--quiet", str(trained), str(other))
    run_mcgitops("pull", cwd=other, env=env)
    assert (other / "out/model.bin").read_text() == "model 1"
    runs = run_mcgitops("runs", cwd=other, env=env).stdout
    assert fingerprint(5)[:12] in runs
    assert fingerprint(2)[:12] not in runs
    # what went is pushed again where it is needed again
    run_mcgitops("push", "--again", cwd=trained, env=env)
    assert gone <= set(listed(rclone_s3, prefix))
    assert run_mcgitops("verify", cwd=trained, env=env).code == 0


def test_what_goes_of_the_journal_is_shown_before(
    trained: Path, run_mcgitops: Runner, rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = uuid4().hex
    env = env_of(rclone_s3, prefix)
    run_mcgitops("push", cwd=trained, env=env)
    for name, value in rclone_s3.env.items():
        monkeypatch.setenv(name, value)
    log = journal.Journal(open_store(rclone_s3.url(prefix)).backend)
    known = log.since().position
    while known.number < 2 * journal.SPAN + 1:
        known = log.append(records=[f"runs/wine/train/{known.number}.json"], known=known).position
    before = listed(rclone_s3, prefix)
    young = json.loads(run_mcgitops("gc", "--dry-run", "--json", cwd=trained, env=env).stdout)
    assert young["trim"] == 0
    argv = ("gc", "--grace", "0")
    shown = run_mcgitops(*argv, "--dry-run", cwd=trained, env=env).stdout
    assert "The journal is to be trimmed by 64 entries, which are kept together." in shown
    found = json.loads(run_mcgitops(*argv, "--dry-run", "--json", cwd=trained, env=env).stdout)
    assert (found["trim"], found["done"]) == (64, None)
    assert listed(rclone_s3, prefix) == before
    said = run_mcgitops(*argv, cwd=trained, env=env).stdout
    assert "Nothing is unneeded." in said and "Trimmed the journal by 64 entries" in said
    gone = {layout.journal_key(number) for number in range(1, 65)}
    assert set(before) - set(listed(rclone_s3, prefix)) == gone
    again = json.loads(run_mcgitops(*argv, "--dry-run", "--json", cwd=trained, env=env).stdout)
    assert again["trim"] == 0


def test_a_branch_that_is_not_here_stops_it(
    trained: Path, project_factory: ProjectFactory, run_mcgitops: Runner, tmp_path: Path
) -> None:
    git = project_factory.git
    other = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(trained), str(other))
    git(trained, "switch", "--quiet", "-c", "feature")
    git(trained, "commit", "--quiet", "--allow-empty", "-m", "more")
    refused = run_mcgitops("gc", "--store", "local", cwd=other, check=False)
    assert refused.code == 2
    assert "has commits that are not here: of feature. Run git fetch" in refused.stderr
    assert run_mcgitops("gc", "--offline", cwd=other).code == 0
    git(other, "fetch", "--quiet")
    assert run_mcgitops("gc", cwd=other).code == 0


def test_damage_in_a_bucket_is_named_and_mended(
    trained: Path, run_mcgitops: Runner, rclone_s3: S3Server
) -> None:
    prefix = uuid4().hex
    env = env_of(rclone_s3, prefix)
    run_mcgitops("push", cwd=trained, env=env)
    run_mcgitops("pull", cwd=trained, env=env)
    sound = run_mcgitops("verify", cwd=trained, env=env)
    assert "All is as it was written" in sound.stdout
    client = rclone_s3.client()
    victims = [key for key in listed(rclone_s3, prefix) if key.startswith(("objects/", "packs/"))]
    for victim in [key for key in victims if not key.endswith(".index")]:
        place = {"Bucket": rclone_s3.bucket, "Key": f"{prefix}/{victim}"}
        value = bytearray(client.get_object(**place)["Body"].read())
        value[len(value) // 3] ^= 4
        client.put_object(**place, Body=bytes(value))
    run = f"{prefix}/runs/wine/train/{fingerprint(1)}.json"
    client.delete_object(Bucket=rclone_s3.bucket, Key=run)
    (trained / "out/metrics.json").write_text("{}")

    found = run_mcgitops("verify", "--json", cwd=trained, env=env, check=False)
    assert found.code == 1
    data = json.loads(found.stdout)
    remote, local = data["stores"]
    assert (remote["sound"], local["sound"]) == (False, True)
    assert {"object", "run"} <= {finding["kind"] for finding in remote["findings"]}
    assert data["changed"] == ["out/metrics.json"]
    assert data["concerns"] == {"out/metrics.json": f"run {fingerprint(1)[:12]} of train"}
    assert data["extra"] == []
    mended = run_mcgitops("verify", "--repair", cwd=trained, env=env, check=False)
    assert "Everything was repaired" in mended.stdout
    assert mended.code == 1  # the folder is left to its owner
    run_mcgitops("pull", "--force", cwd=trained, env=env)
    again = run_mcgitops("verify", "--json", cwd=trained, env=env)
    assert json.loads(again.stdout)["sound"] is True
    assert [store["sound"] for store in json.loads(again.stdout)["stores"]] == [True, True]


def test_the_folder_is_held_against_what_runs_made(
    trained: Path, project_factory: ProjectFactory, make_run: MakeRun, run_mcgitops: Runner
) -> None:
    """Each byte that is flipped, missing or extra is named, and only what no run made is wrong."""

    def seen() -> tuple[int, dict[str, object]]:
        said = run_mcgitops("verify", "--json", cwd=trained, check=False)
        found = json.loads(said.stdout)
        assert [store["sound"] for store in found["stores"]] == [True]
        assert found["sound"] is (said.code == 0)
        return said.code, {
            name: found[name] for name in ("changed", "missing", "other_runs", "extra")
        }

    nothing: dict[str, object] = {"changed": [], "missing": [], "other_runs": [], "extra": []}
    assert seen() == (0, nothing)  # a fresh clone, to which nothing was brought
    run_mcgitops("pull", cwd=trained)
    assert seen() == (0, nothing)
    model, metrics = trained / "out/model.bin", trained / "out/metrics.json"

    before = model.stat()
    model.chmod(0o644)
    whole = model.read_bytes()
    model.unlink()  # it may be the store's own file
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert seen() == (1, {**nothing, "changed": ["out/model.bin"]})
    said = run_mcgitops("verify", cwd=trained, check=False)
    assert said.code == 1
    assert f"in no store: out/model.bin (run {fingerprint(1)[:12]} of train)" in said.stdout
    assert "mcgitops pull --force brings back" in said.stdout
    assert run_mcgitops("verify", "--store", "local", cwd=trained).code == 0
    run_mcgitops("pull", "--force", cwd=trained)
    assert seen() == (0, nothing)

    metrics.unlink()
    assert seen() == (1, {**nothing, "missing": ["out/metrics.json"]})
    run_mcgitops("pull", cwd=trained)

    make_run(open_store(str(trained / ".mcgitops/store")), 2)  # of no commit, as in a dirty tree
    model.unlink()
    model.write_bytes(b"model 2")
    assert seen() == (0, {**nothing, "other_runs": ["out/model.bin"]})
    run_mcgitops("pull", cwd=trained)
    assert seen() == (0, nothing)

    # only in folders that are declared as outputs; what git tracks, or a run made, is none
    compose = trained / "compose.yml"
    compose.write_text(compose.read_text().replace("outputs: [out/model.bin]", "outputs: [out]"))
    (trained / "out/README.md").write_text("what this is")
    (trained / "out/.gitkeep").touch()
    (trained / "out/deep").mkdir()
    (trained / "out/deep/old.bin").write_bytes(b"model 2")
    project_factory.git(trained, "add", "--force", "out/README.md")
    assert seen() == (0, nothing)
    (trained / "out/deep/\x1b[31mextra").write_bytes(b"nobody made this")
    assert seen() == (1, {**nothing, "extra": ["out/deep/\x1b[31mextra"]})
    said = run_mcgitops("verify", cwd=trained, check=False)
    assert "though no run made it: out/deep/" in said.stdout and "\x1b" not in said.stdout


def collect(store: Store, roots: Roots) -> gc.Swept:
    facts = gc.look(store)
    return gc.collect(store, gc.plan(store, facts, roots, GRACE), facts, roots, GRACE)


def test_a_push_meets_a_collection(
    make_run: MakeRun, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both at once, again and again: what is about to go is pushed as a new commit's runs."""
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    local = open_store(str(tmp_path / "local"))
    first = [make_run(local, number) for number in range(1, 9)]
    commit = "c" * 40
    record = CommitRecord(
        project="wine", stage="train", commit=commit,
        runs=tuple(run.fingerprint for run in first), selected=first[0].fingerprint,
    )  # fmt: skip
    roots = Roots("wine", frozenset({commit}))

    for delay in (0.0, 0.15):
        url = s3_server.url(uuid4().hex)
        copy_records(local, open_store(url), first)
        old = open_store(url)
        facts = gc.look(old)
        plan = gc.plan(old, facts, roots, GRACE)
        marks.write(old.backend, time.time() - 2 * GRACE, [item.key for item in plan.mark])
        with ThreadPoolExecutor(2) as others:
            collections = [others.submit(collect, open_store(url), roots) for _ in range(2)]
            time.sleep(delay)
            copy_records(local, open_store(url), [*first, record])
            for collection in collections:
                collection.result()
        verified = verify(open_store(url))
        assert verified.findings == ()
        there = {one.key for one in verified.survey.records}
        assert there == {key_of(one) for one in (*first, record)}


def test_a_large_object_goes_by_way_of_the_trash(
    rclone_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in rclone_s3.env.items():
        monkeypatch.setenv(name, value)
    store = open_store(rclone_s3.url(uuid4().hex))
    large = tmp_path / "large"
    large.write_bytes(b"\0" * 20_000_000)
    digest, _ = store.put_file(large)
    roots = Roots("wine")
    facts = gc.look(store)
    swept = gc.collect(store, gc.plan(store, facts, roots, 0), facts, roots, 0)
    assert swept.size == 20_000_000
    assert store.missing([digest]) == {digest}


def test_a_store_is_looked_after_on_each_service(
    make_run: MakeRun, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage is found and mended, what is unneeded goes, and the journal is trimmed."""
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(journal, "SPAN", 4)
    monkeypatch.setattr(journal, "LENGTHS", (16, 4))
    local = open_store(str(tmp_path / "local"))
    prefix = uuid4().hex
    url = s3_server.url(prefix)
    for numbers in (range(8), (8, 9)):
        copy_records(local, open_store(url), [make_run(local, number) for number in numbers])
    log = journal.Journal(open_store(url).backend)
    known = log.since().position
    assert known.number == 2

    client = s3_server.client()
    packs = [key for key in listed(s3_server, prefix) if key.startswith("packs/")]
    place = {"Bucket": s3_server.bucket, "Key": f"{prefix}/{packs[0].removesuffix('.index')}"}
    value = bytearray(client.get_object(**place)["Body"].read())
    value[value.index(b"model")] ^= 4
    client.put_object(**place, Body=bytes(value))
    run = layout.run_key("wine", "train", fingerprint(3))
    client.delete_object(Bucket=s3_server.bucket, Key=f"{prefix}/{run}")
    found = verify(open_store(url))
    assert {finding.kind for finding in found.findings} == {"object", "pack", "record"}
    assert repair(open_store(url), found, [local]).is_sound
    for _ in range(6):
        log.append(records=[run])
    roots, store = Roots("wine", keep_runs=2), open_store(url)
    facts = gc.look(store)
    plan = gc.plan(store, facts, roots, 0)
    assert gc.trimmable(store, GRACE) == 0  # its spans are young
    seen = listed(s3_server, prefix)
    foreseen = gc.trimmable(store, 0)
    assert foreseen >= 4 and listed(s3_server, prefix) == seen
    swept = gc.collect(store, plan, facts, roots, 0)
    assert [item.kind for item in swept.removed].count("runs") == 8
    assert swept.trimmed >= foreseen  # it wrote an entry itself
    assert verify(open_store(url)).findings == ()
    assert [one.fingerprint for one in open_store(url).runs("wine")] == [
        fingerprint(9), fingerprint(8),
    ]  # fmt: skip
    for position in (journal.START, known):
        news = log.since(position)
        gone = {key for entry in news.entries for key in entry.gone}
        assert layout.run_key("wine", "train", fingerprint(0)) in gone
        assert not news.anew
