"""What a stage writes and how it comes into the folder: whole, the caller's own, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.train.conftest import Make, Trial

pytestmark = pytest.mark.engine


def replaced(project: Trial) -> dict[str, set[bytes]]:
    """What was set aside: path → every content that it had when it was."""
    root = project.folder / ".mcgitops/replaced"
    kept: dict[str, set[bytes]] = {}
    for path in root.rglob("*"):
        if path.is_file():
            name = "/".join(path.relative_to(root).parts[1:])
            kept.setdefault(name, set()).add(path.read_bytes())
    return kept


def test_a_folder_of_outputs_is_exactly_what_the_run_wrote(trial: Make) -> None:
    project = trial(
        "mkdir -p out/model/deep; cp data/train.csv out/model/a; echo x > out/model/deep/b; "
        "chmod +x out/model/deep/b; touch out/model/empty; ln -s a out/model/link; "
        "ln out/model/a out/model/hard; test ! -e data/more || echo more > out/model/more",
        keys="outputs: [out/model/]",
        files={"out/model/stale": "of mine", "out/beside": "stays", "data/more": ""},
    )
    done = project("train")
    model = project.folder / "out/model"
    names = sorted(path.relative_to(model).as_posix() for path in model.rglob("*"))
    assert set(names) >= {"a", "deep", "deep/b", "empty", "hard", "more", "link"}
    assert project.text("out/model/link") == "1,2\n"
    assert "stale" not in names
    assert project.text("out/model/hard") == "1,2\n"
    assert os.access(model / "deep/b", os.X_OK)
    assert not os.access(model / "a", os.X_OK)
    assert project.text("out/beside") == "stays"
    assert replaced(project) == {"out/model/stale": {b"of mine"}}
    assert "out/model/stale was not in the store; it is kept in .mcgitops/replaced/" in done.stderr
    # a second run writes fewer files: what the first one wrote goes, since the store has it
    (project.folder / "data/more").unlink()
    project("train")
    assert not (model / "more").exists()
    assert replaced(project) == {"out/model/stale": {b"of mine"}}


def test_links_come_back_as_what_they_lead_to_and_none_leads_out(trial: Make) -> None:
    project = trial(
        "mkdir -p 'out/steps/step 2/ü'; echo w > 'out/steps/step 2/ü/w'; cd out; "
        "ln -s 'steps/step 2' best; ln -s best latest; ln -s /app/out/steps/step\\ 2/ü/w direct; "
        "ln -s /etc/passwd passwd; ln -s ../../etc above; ln -s steps/none broken; ln -s . here; "
        "ln -s round round",
        keys="outputs: [out/]",
    )
    out = project.folder / "out"
    for _ in range(2):
        (run,) = project.train()["runs"]["train"]
        texts = {
            path.relative_to(out).as_posix(): path.read_text()
            for path in out.rglob("*")
            if path.is_file()
        }
        assert {name for name, text in texts.items() if text == "w\n"} == {
            "steps/step 2/ü/w", "best/ü/w", "latest/ü/w", "direct",
        }  # fmt: skip
        assert not any(path.is_symlink() for path in out.rglob("*"))
        assert not {"passwd", "above", "broken", "here", "round"} & {p.name for p in out.iterdir()}
        assert sorted(run["warnings"]) == [
            "out/above is a link that leads out, and was left out.",
            "out/broken is a link that leads round or to no file that is kept, and was left out.",
            "out/here is a link that leads round or to no file that is kept, and was left out.",
            "out/passwd is a link that leads out, and was left out.",
            "out/round is a link that leads round or to no file that is kept, and was left out.",
        ]
        shutil.rmtree(out)  # the second time it all comes from the store


def test_a_file_of_the_users_under_an_outputs_name_is_set_aside_not_lost(trial: Make) -> None:
    project = trial(files={"out/model.txt": "by hand", "out/metrics.json": "mine too"})
    project("train")
    assert project.text("out/model.txt") == "model\n"
    assert replaced(project) == {"out/model.txt": {b"by hand"}, "out/metrics.json": {b"mine too"}}
    edits = [f"edited {number}" for number in range(4)]  # several within a second: each is kept
    for edit in edits:
        project.write({"out/model.txt": edit})
        project("train")
        assert project.text("out/model.txt") == "model\n"
    assert replaced(project)["out/model.txt"] == {b"by hand", *(edit.encode() for edit in edits)}


def test_files_that_were_not_declared_are_warned_about_and_not_kept(trial: Make) -> None:
    project = trial(
        "echo '{}' > out/metrics.json; echo m > out/model.txt; echo t > out/trace.log",
        files={"out/notes.txt": "seeded, not written"},
    )
    done = project("train")
    assert "out/trace.log written but not declared: not kept." in done.stderr
    assert "notes" not in done.stderr
    assert not (project.folder / "out/trace.log").exists()
    assert project.text("out/notes.txt") == "seeded, not written"


def test_a_stage_does_not_see_what_its_last_run_wrote(trial: Make) -> None:
    project = trial(
        "ls out > listed; cat listed; echo '{}' > out/metrics.json; cp listed out/model.txt",
        files={"out/metrics.json": "old", "out/model.txt": "old", "out/kept": "an input"},
    )
    project("train")
    assert project.text("out/model.txt") == "kept\n"


def test_inputs_keep_what_is_not_declared_away_from_the_stage(trial: Make) -> None:
    script = "find /app/data -type f | sort > out/model.txt; echo '{}' > out/metrics.json"
    keys = "metrics: [out/metrics.json]\noutputs: [out/model.txt]\ninputs: [data/train.csv, data/d]"
    files = {"data/secret.csv": "s", "data/d/x": "x", "data/e/y": "y"}
    project = trial(script, keys=keys, files=files)
    project("train")
    assert project.text("out/model.txt") == "/app/data/d/x\n/app/data/train.csv\n"
    project.write({"data/secret.csv": "changed", "data/new": ""})
    assert "Nothing to do" in project("train").stdout
    project.write({"data/d/x": "changed"})
    assert len(project.train()["trained"]) == 1


def test_spaces_unicode_and_quotes_in_folders_and_files(trial: Make) -> None:
    project = trial(
        "cat \"data/größe $(printf '\\047')1.csv\" > 'out/métrique 数 \"1\".json'",
        keys="metrics: ['out/métrique 数 \"1\".json']",
        files={"data/größe '1.csv": '{"a": 1}', "data/new\nline": "x"},
        folder="mon projet été 'x' \"y\" $HOME",
    )
    result = project.train()
    assert project.text('out/métrique 数 "1".json') == '{"a": 1}'
    assert result["runs"]["train"][0]["metrics"] == {'out/métrique 数 "1".json': {"a": 1}}
    assert project.train()["trained"] == []


def test_hostile_log_lines_are_shown_harmless(trial: Make) -> None:
    project = trial(
        "echo '::set-output name=a::b'; printf '\\033[2J\\033]0;title\\007 bell\\n'; "
        "printf 'no end of line \\377\\376'; "
        "echo '{}' > out/metrics.json; echo m > out/model.txt"
    )
    plain = project("train")
    assert "\033" not in plain.stderr
    assert "\007" not in plain.stderr
    assert "::set-output name=a::b" in plain.stderr
    record = project.train()["runs"]["train"][0]
    assert record["log_tail"][0] == "::set-output name=a::b"
    assert record["log_tail"][2] == "no end of line ��"
    project = trial("echo '::error::x'; echo '{}' > out/metrics.json; echo m > out/model.txt")
    grouped = project("train", env={"CI": "true", "GITHUB_ACTIONS": "true"})
    lines = (grouped.stdout + grouped.stderr).splitlines()
    at = next(i for i, line in enumerate(lines) if line == "::error::x")
    stops = [line for line in lines[:at] if line.startswith("::stop-commands::")]
    assert stops, "the log is not wrapped in stop-commands"
    assert f"::{stops[-1].removeprefix('::stop-commands::')}::" in lines[at:]


def test_a_large_output_streams_through(trial: Make) -> None:
    project = trial(
        "dd if=/dev/zero of=out/model.txt bs=1M count=200 2>/dev/null; echo '{}' > out/metrics.json"
    )
    record = project.train()["runs"]["train"][0]
    assert (project.folder / "out/model.txt").stat().st_size == 200 * 1024 * 1024
    (output,) = record["outputs"]
    assert output["size"] == 200 * 1024 * 1024


def test_metrics_in_yaml_toml_and_csv_are_read(trial: Make) -> None:
    project = trial(
        "printf 'a: 1\\nb: {c: .nan}\\n' > out/m.yaml; printf 'd = 2.5\\n' > out/m.toml; "
        "printf 'epoch,loss\\n1,0.5\\n2,0.25\\n' > out/m.csv",
        keys="metrics: [out/m.yaml, out/m.toml, out/m.csv]",
    )
    metrics = project.train()["runs"]["train"][0]["metrics"]
    assert metrics["out/m.yaml"] == {"a": 1, "b.c": {"float": "nan"}}
    assert metrics["out/m.toml"] == {"d": 2.5}
    assert metrics["out/m.csv"]["loss"] == 0.25


def test_a_user_of_the_services_own_can_write_and_outputs_belong_to_the_caller(
    trial: Make,
) -> None:
    project = trial(
        "id -u > out/model.txt; echo '{}' > out/metrics.json",
        service='user: "1000:1000"\nvolumes: ["./data:/app/data:ro", "./out:/app/out"]',
    )
    project("train")  # the folder isn't there yet
    assert project.text("out/model.txt") == "1000\n"
    assert (project.folder / "out/model.txt").stat().st_uid == os.getuid()
    assert (project.folder / "out").stat().st_uid == os.getuid()


def as_user(project: Trial, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The program as an ordinary user who may use the engine's socket."""
    argv = [sys.executable, "-m", "mcgitops", *arguments]
    if os.getuid() == 0:
        group = Path("/var/run/docker.sock").stat().st_gid
        user = ["setpriv", "--reuid=12345", "--regid=12345", f"--groups={group}"]
        python = Path(sys.executable).resolve()
        if not all(parent.stat().st_mode & 0o001 for parent in python.parents):
            # this Python lives in root's home: reading it is allowed, writing nothing
            user += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        argv = [*user, *argv]
    return subprocess.run(
        argv, cwd=project.folder, capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if "COVERAGE" not in k} | {"HOME": str(home)},
    )  # fmt: skip


def test_an_ordinary_user_gets_no_file_of_roots(trial: Make, tmp_path: Path) -> None:
    project = trial(
        "id -u > out/model.txt; echo '{}' > out/metrics.json; mkdir out/d; echo x > out/d/e",
        keys="metrics: [out/metrics.json]\noutputs: [out/model.txt, out/d]",
    )
    home = tmp_path / "home"
    home.mkdir()
    uid = os.getuid() or 12345
    for root in (project.folder, home):
        for path in (root, *root.rglob("*")):
            os.chown(path, uid, uid if uid == 12345 else -1)
    for parent in project.folder.parents:
        if parent.stat().st_uid == os.getuid() and parent.is_relative_to("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o755)
    done = as_user(project, "train", home=home)
    assert done.returncode == 0, done.stderr
    assert project.text("out/model.txt") == "0\n"  # root in the container, and yet
    others = [p for p in project.folder.rglob("*") if p.lstat().st_uid != uid]
    assert others == []
    again = as_user(project, "train", home=home)
    assert "Nothing to do" in again.stdout
    shutil.rmtree(home)


def test_a_run_whose_files_the_store_lost_is_a_sentence(trial: Make) -> None:
    project = trial()
    record = project.train()["runs"]["train"][0]
    digest = record["outputs"][0]["digest"].removeprefix("sha256:")
    (project.folder / ".mcgitops/store/objects/sha256" / digest[:2] / digest).unlink()
    (project.folder / "out/model.txt").unlink()
    done = project("train", check=False)
    assert done.code == 1
    assert "lacks 1 of its files" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(project("plan", "--json").stdout)["stages"][0]["state"] == "cached"
