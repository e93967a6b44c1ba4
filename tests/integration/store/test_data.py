"""`mcgitops data` on real buckets and folders: what is pinned here comes back elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mcgitops.cli.main import run
from mcgitops.run.data_push import pinned
from mcgitops.store.store import open_store
from tests.conftest import ProjectFactory
from tests.lab import s3

FIXTURE = Path(__file__).parents[2] / "fixtures" / "dvc"
COMPOSE = """
name: sets
services:
  train:
    image: example
    volumes: ["./sets:/app/sets:ro", "./out:/app/out"]
    x-mcgitops: {metrics: [out/metrics.json]}
x-mcgitops: {store: "STORE"}
"""
DATA = {
    "sets/a/ü b.txt": "one\n",
    "sets/a/empty": "",
    "sets/a/b/'$(x)\t\\é": "three\n",
    "sets/a/#!x": "four\n",
}

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Say:
    """The program, within this process: exit code, standard output, standard error."""

    def call(folder: Path, *words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["-C", str(folder), *words])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def project(factory: ProjectFactory, store: str = "../bucket") -> Path:
    folder = factory({"compose.yml": COMPOSE.replace("STORE", store), ".gitignore": "/out\n"})
    factory.write(folder, DATA)
    raw = os.fsencode(folder / "sets/a") + b"/\xff\xfe.bin"
    with open(raw, "wb") as stream:  # noqa: PTH123  (a name that is no text)
        stream.write(b"raw")
    (folder / "sets/a/none").mkdir()
    (folder / "sets/a/b/link").symlink_to("../ü b.txt")
    (folder / "sets/a/run.sh").write_text("#!/bin/sh\n")
    (folder / "sets/a/run.sh").chmod(0o755)
    return folder


def clone(folder: Path, name: str = "clone") -> Path:
    target = folder.parent / name
    subprocess.run(["git", "clone", "--quiet", folder, target], check=True)
    return target


def listing(folder: Path) -> dict[bytes, tuple[str, bytes]]:
    """Everything below a folder: kind, and content or where a link leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.fsencode(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder", b"")
        else:
            kind = "executable" if os.access(path, os.X_OK) else "file"
            found[name] = (kind, path.read_bytes())
    return found


@pytest.mark.s3
def test_what_was_added_here_comes_back_from_the_bucket_elsewhere(
    project_factory: ProjectFactory,
    rclone_s3: s3.S3Server,
    monkeypatch: pytest.MonkeyPatch,
    say: Say,
) -> None:
    for name, value in rclone_s3.env.items():
        monkeypatch.setenv(name, value)
    folder = project(project_factory, rclone_s3.url("data"))
    code, out, _ = say(folder, "data", "add", "sets/a")
    assert code == 0
    assert "sets/a: 6 files, 28 B, pinned in sets/a.mcgitops" in out
    assert "mcgitops push brings the data to s3://models/data" in out
    assert (folder / "sets/.gitignore").read_text() == "/a\n"
    project_factory.commit(folder, {}, "Pin")
    assert project_factory.git(folder, "status", "--porcelain") == ""

    # not pushed: every machine says so, and what helps
    there = clone(folder)
    with monkeypatch.context() as stranger:
        stranger.delenv("AWS_ACCESS_KEY_ID")
        code, out, err = say(there, "data", "status")
        assert code == 1
        assert "sets/a  not here, 6 files, 28 B\n" in out
        assert "Whether the store has the data is not known: " in err
        assert "AWS_ACCESS_KEY_ID" in err
        code, out, _ = say(there, "data", "status", "--json")
        assert code == 1
        assert json.loads(out)["pins"][0]["in_store"] is None
    code, out, _ = say(there, "data", "status")
    assert code == 1
    assert "not in s3://models/data" in out
    assert "push it from the machine where it was added" in out
    code, _, err = say(there, "data", "pull")
    assert code == 1
    assert "it was not pushed yet. On the machine where it was added: mcgitops push." in err
    _, _, err = say(there, "push")
    assert "the data of sets/a is neither here nor in s3://models/data" in err

    assert "Data: 6 files (28 B)." in say(folder, "push")[1]
    assert "Nothing to push" in say(folder, "push")[1]
    assert say(folder, "data", "status")[0] == 0

    # one file, then all of it
    assert "1 file written (4 B)." in say(there, "data", "pull", "sets/a/ü b.txt")[1]
    assert list(listing(there / "sets/a")) == ["ü b.txt".encode()]
    assert say(there, "data", "pull", "sets/a/nothing")[0] == 2
    assert say(there, "data", "pull")[0] == 0
    assert listing(there / "sets/a") == listing(folder / "sets/a")
    assert "All data is here" in say(there, "data", "pull")[1]
    assert "sets/a  as pinned, 6 files, 28 B" in say(there, "data", "status")[1]


def test_a_pins_change_is_shown_brought_and_taken_back(
    project_factory: ProjectFactory, say: Say
) -> None:
    folder = project(project_factory)
    say(folder, "data", "add", "--push", "sets/a")
    first = project_factory.commit(folder, {}, "Pin")
    there = clone(folder)
    say(there, "data", "pull")
    (folder / "sets/a/empty").unlink()
    project_factory.write(folder, {"sets/a/new": "new!\n", "sets/a/ü b.txt": "other\n"})
    code, out, _ = say(folder, "data", "status")
    assert code == 1
    assert "changed here" in out
    expected = ["- empty  0 B", "+ new  5 B", "~ ü b.txt  4 B → 6 B"]
    assert [line.strip() for line in out.splitlines()[1:4]] == expected
    _, out, _ = say(folder, "data", "add", "--push", "--json", "sets/a")
    (added,) = json.loads(out)
    assert [(file["path"], file["change"]) for file in added["change"]["files"]] == [
        ("empty", "removed"), ("new", "added"), ("ü b.txt", "changed"),
    ]  # fmt: skip
    second = project_factory.commit(folder, {}, "Pin again")
    _, out, _ = say(folder, "data", "diff", first, second)
    assert out.splitlines()[0] == "sets/a  1 added, 1 removed, 1 changed, 28 B → 35 B"
    assert [line.strip() for line in out.splitlines()[1:]] == expected

    # elsewhere git brings the pin: what was as before is brought up to it, what wasn't stays
    subprocess.run(["git", "pull", "--quiet"], cwd=there, check=True)
    (there / "sets/a/#!x").write_text("mine\n")
    assert "changed here" in say(there, "data", "status")[1]
    code, _, err = say(there, "data", "pull")
    assert code == 0
    assert "sets/a was changed here and stays so: mcgitops data add sets/a pins it" in err
    assert (there / "sets/a/#!x").read_text() == "mine\n"
    _, out, err = say(there, "data", "pull")
    assert "stays so" in err
    assert "as it is pinned" not in out
    assert (there / "sets/a/ü b.txt").read_text() == "other\n"
    assert not (there / "sets/a/empty").exists()
    # back to what is pinned: the only copy of a file is kept
    _, _, err = say(there, "data", "pull", "--force")
    assert "sets/a/#!x was in no store; it is kept in .mcgitops/replaced/." in err
    (kept,) = (there / ".mcgitops/replaced").rglob("#!x")
    assert kept.read_text() == "mine\n"
    assert listing(there / "sets/a") == listing(folder / "sets/a")

    # what garbage collection must keep: both states, and only they
    store = open_store(str(folder.parent / "bucket"))
    needed, unknown = pinned(folder, [store])
    assert not unknown
    assert not store.missing(needed)
    assert {holding.digest for holding in store.objects.holdings()} == needed
    # a clone that pinned nothing itself needs the last state alone, where history doesn't count
    now, _ = pinned(there, [store], history=False)
    assert now < needed == pinned(there, [store])[0]


def test_a_damaged_object_never_gets_into_the_folder_and_the_next_call_completes(
    project_factory: ProjectFactory, say: Say
) -> None:
    folder = project(project_factory)
    say(folder, "data", "add", "--push", "sets/a")
    project_factory.commit(folder, {}, "Pin")
    there = clone(folder)
    objects = (folder.parent / "bucket/objects").rglob("*")
    (stored,) = (path for path in objects if path.is_file() and path.read_bytes() == b"one\n")
    stored.chmod(0o644)
    stored.write_bytes(b"two\n")
    # whom it concerns is said, whichever store it is, and also where the data was never fetched
    code, out, _ = say(there, "verify")
    assert code == 1
    assert "Concerns sets/a/ü b.txt, which is pinned." in out
    mine = folder / ".mcgitops/store/objects" / stored.relative_to(folder.parent / "bucket/objects")
    mine.chmod(0o644)
    mine.write_bytes(b"2")
    code, out, _ = say(folder, "verify", "--store", "local")
    assert code == 1
    assert "Concerns sets/a/ü b.txt, which is pinned." in out
    assert say(folder, "verify", "--store", "local", "--repair")[0] == 0
    assert mine.read_bytes() == b"one\n"
    code, _, err = say(there, "data", "pull")
    assert code == 1
    assert "is damaged" in err
    assert "Traceback" not in err
    assert not (there / "sets/a/ü b.txt").exists()
    assert say(folder, "push", "--again")[0] == 0
    stored.write_bytes(b"one\n")
    assert say(there, "data", "pull")[0] == 0
    assert listing(there / "sets/a") == listing(folder / "sets/a")


def test_a_flipped_byte_that_no_stat_shows_is_found_and_brought_back(
    project_factory: ProjectFactory, say: Say
) -> None:
    folder = project(project_factory)
    assert say(folder, "data", "add", "sets/a")[0] == 0
    assert say(folder, "push")[0] == 0
    assert say(folder, "verify")[0] == 0
    long_ago = 1_000_000_000
    place = folder / "sets/a/ü b.txt"
    os.utime(place, (long_ago, long_ago))
    say(folder, "data", "status")  # from now on the index knows it
    place.write_text("two\n")
    os.utime(place, (long_ago, long_ago))
    (folder / "sets/a/more").write_text("extra")
    # as where a disk has flipped it, and nobody has written: no clock of the file says so
    with sqlite3.connect(folder / ".mcgitops/index.sqlite") as known:
        changed = known.execute(
            "UPDATE file SET ctime_ns = ?, seen_ns = ? WHERE path = ?",
            (place.stat().st_ctime_ns, time.time_ns() + 10**9, "ü b.txt"),
        )
        assert changed.rowcount > 0
    assert "~ ü b.txt" not in say(folder, "data", "status")[1]

    code, out, _ = say(folder, "verify")
    assert code == 1
    assert say(folder, "verify", "--store", "local")[0] == 0  # the stores are sound
    assert "sets/a isn't as it is pinned: + more; ~ ü b.txt." in out
    shown = json.loads(say(folder, "verify", "--json")[1])
    assert shown["data"] == {"sets/a": {"added": ["more"], "removed": [], "changed": ["ü b.txt"]}}
    assert say(folder, "data", "pull", "--force", "sets/a")[0] == 0
    assert place.read_text() == "one\n"
    assert say(folder, "verify")[0] == 0
    assert "isn't as it is pinned" not in say(folder, "verify")[1]


@pytest.mark.parametrize(
    ("make", "words", "said"),
    [
        ("ln -s /etc/passwd sets/a/out", ("sets/a",), "sets/a/out is a symbolic link that leads"),
        ("ln -s ../../compose.yml sets/a/out", ("sets/a",), "leads out of sets/a"),
        ("mkfifo sets/a/pipe", ("sets/a",), "sets/a/pipe is a named pipe"),
        ("git init -q sets/a/inner", ("sets/a",), "sets/a/inner/.git can't be pinned"),
        ("true", ("sets/nothing",), "sets/nothing doesn't exist"),
        ("true", ("compose.yml",), "git tracks compose.yml"),
        ("true", ("..",), ".. is outside the project folder"),
        ("true", (".",), ". can't be pinned"),
        ("mkdir out; touch out/metrics.json", ("out",), "out/metrics.json is an output"),
        ("ln -s a sets/door", ("sets/door",), "sets/door is no folder and no file"),
    ],
)
def test_what_cant_be_pinned_is_refused_and_nothing_is_written(
    project_factory: ProjectFactory, say: Say, make: str, words: tuple[str, ...], said: str
) -> None:
    folder = project(project_factory)
    subprocess.run(["sh", "-ec", make], cwd=folder, check=True)
    code, out, err = say(folder, "data", "add", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert not list(folder.rglob("?*.mcgitops"))
    assert not (folder / "sets/.gitignore").exists()


def test_commands_to_paste_name_one_path_whatever_its_name_holds(
    project_factory: ProjectFactory, say: Say
) -> None:
    folder = project(project_factory)
    name = "sets/a  b; $(id) "
    (folder / name).write_text("1")
    assert say(folder, "data", "add", name)[0] == 0
    assert "mcgitops data pull" not in say(folder, "data", "status")[1]
    (folder / name).write_text("22")
    said = say(folder, "data", "status")[1]
    assert f"mcgitops data add '{name}' pins it" in said
    assert f"mcgitops data pull --force '{name}' brings back" in said
    assert f"mcgitops data add '{name}' pins it" in say(folder, "data", "pull")[2]


def test_a_name_of_every_legal_byte_comes_back(project_factory: ProjectFactory, say: Say) -> None:
    folder = project_factory({"compose.yml": COMPOSE.replace("STORE", "../bucket")})
    name = bytes(byte for byte in range(1, 256) if byte != ord("/"))
    (folder / "sets").mkdir()
    with open(os.fsencode(folder / "sets") + b"/" + name, "wb") as stream:  # noqa: PTH123
        stream.write(b"content")
    assert say(folder, "data", "add", "sets")[0] == 0
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    subprocess.run(["git", "commit", "--quiet", "-m", "pinned"], cwd=folder, check=True)
    assert say(folder, "push")[0] == 0
    there = clone(folder)
    assert say(there, "data", "pull")[0] == 0
    assert listing(there / "sets") == listing(folder / "sets")
    assert name in listing(there / "sets")


def test_a_pin_within_a_pin_is_refused_and_the_users_ignore_lines_stay(
    project_factory: ProjectFactory, say: Say
) -> None:
    folder = project(project_factory)
    (folder / "sets/.gitignore").write_text("# mine\n*.tmp")
    name = "[x]*?  "
    (folder / "sets" / name).write_text("strange")
    assert say(folder, "data", "add", f"sets/{name}")[0] == 0
    assert (folder / "sets/.gitignore").read_text() == "# mine\n*.tmp\n/\\[x]\\*\\?\\ \\ \n"
    listed = ["git", "ls-files", "--others", "--exclude-standard", "-z", "sets"]
    unknown = subprocess.check_output(listed, cwd=folder).split(b"\0")
    assert f"sets/{name}.mcgitops".encode() in unknown
    assert f"sets/{name}".encode() not in unknown
    say(folder, "data", "add", "sets/a")
    for path in ("sets", "sets/a/b"):
        code, _, err = say(folder, "data", "add", path)
        assert code == 2
        assert "pins" in err
    (folder / "sets/a.mcgitops").write_text("<<<<<<< HEAD\n")
    code, _, err = say(folder, "data", "status")
    assert code == 2
    assert "sets/a.mcgitops has conflict markers of a merge." in err


def test_a_manifest_of_somebody_else_writes_nothing_outside_its_folder(
    project_factory: ProjectFactory, say: Say
) -> None:
    folder = project(project_factory)
    store = open_store(str(folder.parent / "bucket"))
    digest, size = store.put_bytes(b"evil")
    for path in ("../../evil", "x/../../../evil", ".git/hooks/post-checkout"):
        manifest, _ = store.put_bytes(f"mcgitops data 1\n{digest} x {size} {path}\n".encode())
        (folder / "sets/b.mcgitops").write_text(
            f"format: 1\nkind: folder\ndigest: {manifest}\ntree: {manifest}\nfiles: 1\nbytes: 4\n"
        )
        before = listing(folder)
        code, _, err = say(folder, "data", "pull")
        assert code == 2
        assert "leads out of its folder" in err
        left = {n: v for n, v in listing(folder).items() if not n.startswith(b".mcgitops")}
        assert left == {n: v for n, v in before.items() if not n.startswith(b".mcgitops")}
    manifest, _ = store.put_bytes(
        f"mcgitops data 1\nlink:../.. - 0 d\n{digest} - {size} d/evil\n".encode()
    )
    text = (folder / "sets/b.mcgitops").read_text()
    (folder / "sets/b.mcgitops").write_text(text.replace(text.split()[5], manifest))
    assert say(folder, "data", "pull")[0] == 2
    assert not (folder.parent / "evil").exists()


def test_a_description_is_verified_by_the_pin_without_the_data(
    project_factory: ProjectFactory, say: Say
) -> None:
    croissant = FIXTURE.parent / "readers" / "croissant"
    compose = COMPOSE.replace("STORE", "../bucket").replace(
        "{metrics", "{croissant: [sets/metadata.json], metrics"
    )
    folder = project_factory({
        "compose.yml": compose, "sets/metadata.json": (croissant / "metadata.json").read_bytes(),
    })  # fmt: skip
    for path in croissant.iterdir():
        if path.name != "metadata.json":
            shutil.copy(path, folder / "sets" / path.name)
    say(folder, "data", "add", "--push", "sets/train.csv")
    project_factory.commit(folder, {}, "Pin")
    there = clone(folder)
    code, out, _ = say(there, "data", "status")
    assert "sets/metadata.json  describes the data as it is" in out, out
    assert code == 0
    assert not (there / "sets/train.csv").exists()
    (folder / "sets/train.csv").write_text("length,kind\n9,a\n")
    say(folder, "data", "add", "--push", "sets/train.csv")
    project_factory.commit(folder, {}, "Pin what isn't described")
    subprocess.run(["git", "pull", "--quiet"], cwd=there, check=True)
    code, out, _ = say(there, "data", "status")
    assert code == 1
    assert "sets/train.csv isn't what sets/metadata.json describes: its sha256 is" in out


@pytest.mark.s3
def test_a_dvc_projects_data_comes_from_its_own_bucket_unchanged(
    project_factory: ProjectFactory,
    rclone_s3: s3.S3Server,
    monkeypatch: pytest.MonkeyPatch,
    say: Say,
) -> None:
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", "/nonexistent")
    client = rclone_s3.client()
    for path in (FIXTURE / "remote").rglob("*"):
        if path.is_file():
            key = f"dvc/{path.relative_to(FIXTURE / 'remote')}"
            client.put_object(Bucket=rclone_s3.bucket, Key=key, Body=path.read_bytes())
    folder = project_factory({
        "compose.yml": COMPOSE.replace("sets", "images").replace("STORE", "../bucket")
    })  # fmt: skip
    shutil.copytree(FIXTURE / "project", folder, dirs_exist_ok=True)
    (folder / ".dvc/config").write_text(
        f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = s3://{rclone_s3.bucket}/dvc\n"
        f"    endpointurl = {rclone_s3.endpoint}\n"
    )
    project_factory.commit(folder, {}, "A project of DVC")
    (folder / ".dvc/config.local").write_text(
        f"['remote \"storage\"']\n    access_key_id = {rclone_s3.access_key}\n"
        f"    secret_access_key = {rclone_s3.secret_key}\n"
    )

    def fingerprint() -> str:
        plan = json.loads(say(folder, "plan", "--json")[1])
        return str(plan["stages"][0]["runs"][0]["fingerprint"])

    before = fingerprint()
    assert "data pull --for train  # images: 4 files, 2.1 kB" in say(folder, "plan")[1]
    assert "4 files written (2.1 kB)." in say(folder, "data", "pull", "--for", "train")[1]
    assert (folder / "images/a.txt").read_bytes() == b"one\r\ntwo\r\n"
    assert (folder / "images/deep/empty").read_bytes() == b""
    assert not (folder / "labels/train.csv").exists()
    assert fingerprint() == before
    assert "data pull" not in say(folder, "plan")[1]
    assert "images            as pinned" in say(folder, "data", "status")[1]
    (folder / "images/a.txt").write_bytes(b"changed")
    assert fingerprint() != before
    assert "warning: images is not as images.dvc says" in say(folder, "plan")[1]
    assert "images isn't as DVC tracks it: ~ a.txt. dvc add" in say(folder, "verify")[1]
    assert say(folder, "data", "add", "images")[0] == 2
    assert "images was changed here and stays so: dvc add" in say(folder, "data", "pull")[2]

    # a damaged copy never gets into the folder
    shutil.rmtree(folder / "images")
    stored = [path for path in (FIXTURE / "remote").rglob("*") if path.is_file()]
    (name,) = (path for path in stored if path.read_bytes() == b"one\r\ntwo\r\n")
    key = f"dvc/{name.relative_to(FIXTURE / 'remote')}"
    client.put_object(Bucket=rclone_s3.bucket, Key=key, Body=b"flipped")
    code, _, err = say(folder, "data", "pull", "images")
    assert code == 1
    assert "is damaged: its MD5 is not" in err
    assert not (folder / "images/a.txt").exists()
