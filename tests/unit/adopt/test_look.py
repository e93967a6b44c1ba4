"""Looking reads little, changes nothing, and survives what real folders hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcgitops.adopt import look
from mcgitops.project.model import Mount, Project, Service
from mcgitops.project.spec import ProjectSpec


def _project(folder: Path, *services: Service) -> Project:
    return Project("shop", folder, (), {s.name: s for s in services}, ProjectSpec(), {})


def _service(folder: Path, name: str = "train", **definition: object) -> Service:
    return Service(name, definition, mounts=(Mount("bind", str(folder / "out"), "/app/out"),))


def test_files_and_the_numbers_in_them_are_seen(tmp_path: Path):
    (tmp_path / "out/deep").mkdir(parents=True)
    (tmp_path / "out/metrics.json").write_text('{"auc": 0.9, "by": {"a": 1}, "ok": true, "n": "x"}')
    (tmp_path / "out/broken.json").write_text("{")
    (tmp_path / "out/nested.json").write_text("[" * 100_000)
    (tmp_path / "out/deep/model.pkl").write_bytes(b"12")
    (tmp_path / "out/.hidden").write_text("")
    seen = look.look(_project(tmp_path, _service(tmp_path)))
    assert set(seen.files) == {
        "out/metrics.json", "out/broken.json", "out/nested.json", "out/deep/model.pkl",
    }  # fmt: skip
    assert seen.files["out/metrics.json"].numbers == ("auc", "by.a")
    assert seen.files["out/broken.json"].numbers == ()


def test_the_folder_of_a_database_is_not_looked_into(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/base.json").write_text("{}")
    database = _service(tmp_path, "db", healthcheck={"test": ["CMD", "true"]})
    assert look.look(_project(tmp_path, database)).files == {}


def test_what_may_not_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "out/locked").mkdir(parents=True)
    (tmp_path / "out/locked/b.pkl").write_text("")
    (tmp_path / "out/a.pkl").write_text("")
    really = os.access  # root may read everything, so what others may not is simulated
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path).name != "locked" and really(path, mode)
    )
    assert set(look.look(_project(tmp_path, _service(tmp_path))).files) == {"out/a.pkl"}


def test_a_crowded_folder_is_cut_and_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(look, "_MOST_FILES", 5)
    (tmp_path / "out").mkdir()
    for number in range(8):
        (tmp_path / f"out/{number}.pkl").write_text("")
    seen = look.look(_project(tmp_path, _service(tmp_path)))
    assert len(seen.files) == 5
    assert seen.crowded == ("out",)


@pytest.mark.parametrize(
    ("command", "script", "text", "named"),
    [
        (["python", "train.py"], "train.py", 'open("/app/out/m.pkl")', ["out/m.pkl"]),
        (["python", "-m", "pkg.fit"], "pkg/fit.py", "x = 'out/metrics.json'", ["out/metrics.json"]),
        (["python", "/src/train.py"], "train.py", 'P / "model.joblib"', ["out/model.joblib"]),
        (["sh", "-c", "python a/train.py"], "a/train.py", '"../etc/model.pkl"', []),
        (["python", "train.py"], "train.py", 'f"{name}.pkl" "https://x.org/*.json"', []),
        (["fit", "--out=/app/out/model.onnx"], "x.py", "", ["out/model.onnx"]),
        (["fit", "/etc/passwd.json"], "x.py", "", []),
    ],
)
def test_names_in_commands_and_scripts_are_found_where_they_are_on_this_side(
    tmp_path: Path, command: list[str], script: str, text: str, named: list[str]
):
    (tmp_path / script).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / script).write_text(text)
    seen = look.look(_project(tmp_path, _service(tmp_path, command=command)))
    assert [item.path for item in seen.named["train"]] == named


def test_the_environment_and_the_dockerfiles_command_count_too(tmp_path: Path):
    (tmp_path / "Dockerfile").write_text('FROM x\nCMD ["python", "go.py"]\n')
    (tmp_path / "go.py").write_text("'scores.json'")
    service = _service(
        tmp_path, build={"context": str(tmp_path)}, environment={"MODEL": "/app/out/m.pt"}
    )
    named = look.look(_project(tmp_path, service)).named["train"]
    assert [(item.path, item.where) for item in named] == [
        ("out/m.pt", "its environment"),
        ("out/scores.json", "go.py"),
    ]
