"""The build context that is fingerprinted is the one that the real builder receives.

One difference would be a stale hit (a file reaches the image and isn't counted) or a training for
nothing, so ignore files written by hand and made up are given to BuildKit, and what arrives in the
image is compared with our walk.
"""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from mcgitops.facts.context import skip_ignored
from mcgitops.facts.files import walk
from tests.lab.engine import Engine

pytestmark = pytest.mark.engine

FILES = (
    "a.py", "b.txt", "README.md", "Data.CSV", "data/train.csv", "data/raw/x.csv", "data/raw/.keep",
    "out/model.joblib", "out/deep/er/m.json", "src/a.py", "src/a.pyc", "src/lib/b.py",
    "src/lib/__pycache__/b.pyc", ".hidden", "docs/index.md", "we ird/na me.txt", "x[1].txt",
    "x1.txt", "é/ü.txt", "#c", "!bang", "back\\slash", "d/e/f/g/h.txt",
)  # fmt: skip
WRITTEN = (
    "", "*", "**", "*.py", "**/*.py", "/a.py", "a.py/", "/data/", "data/**", "data/*",
    "data/*\n!data/train.csv", "*\n!src", "*\n!src/lib/b.py", "**\n!src/lib/b.py", "*\n!**/*.py",
    "**/*.pyc\n!src/a.pyc", "out\n!out/deep/er/m.json", "out/**\n!out/deep/er", "a.py\n!a.py\na.py",
    "*.CSV", "data.csv", "#c", "\\#c", " #c", "  a.py  \r\n\tb.txt\r", ".", "./a.py",
    "./data/../a.py", "..", "/", "x[1].txt", "x?.txt", "x[^0-9]*", "x[!0-9]*", "x\\[1\\].txt",
    "! a.py", "*\n! a.py", "we ird", "**/na*", "**/lib/**", "src/**/*.py*", "**/deep/**/m.json",
    "d/*/f", "*/*/b.py", "**/.*", "*.*", "**/ü.txt", "back\\\\slash", "\\!bang", "\ufeffa.py",
    "*\n!data\ndata/raw", "data**", "**data", "src/**\n!src/**/b.py", "d\n!d/*/f/*", "*/\n",
    "src//lib", ".dockerignore", "a.(py)", "a|b", "a.p+", "****/b.py", "s*c", "**c", "**\n!*/a.py",
    "*\n!./src/lib/", "**\n!s*/lib", "[a-c].py", "[a\\-c].py", "x[[]1].txt",
)  # fmt: skip
PARTS = (
    "a.py", "*.py", "data", "raw", "src", "lib", "*", "**", "?.py", "*.csv", "b.*", "d", "e", "f",
    "s*", "[a-d]*", "out", "deep", "er", "x*", "h.txt", "m.json", ".*", "**b.py",
)  # fmt: skip
AT_ONCE = 25  # builds that one call of bake does side by side


def made_up(seed: int) -> str:
    """An ignore file of a few random patterns; the same one for the same seed."""
    chance = random.Random(seed)

    def pattern() -> str:
        text = "/".join(chance.choices(PARTS, k=chance.choice((1, 1, 2, 2, 3))))
        if chance.random() < 0.1:
            text = "/" + text
        return "!" + text if chance.random() < 0.35 else text

    return "\n".join(pattern() for _ in range(chance.choice((2, 2, 3, 4))))


def write_context(folder: Path, ignore: dict[str, str]) -> Path:
    """A build context with all `FILES`, a link, and these ignore files."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "link").symlink_to("src/a.py")
    for name, text in ignore.items():
        (folder / name).write_text(text)
    return folder


def received(root: Path, contexts: dict[str, Path], dockerfiles: dict[str, str]) -> dict[str, set]:
    """What `COPY .` finds of each context, by the real builder."""
    found = {}
    names = list(contexts)
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        targets = {
            name: {
                "context": str(contexts[name]),
                **(
                    {"dockerfile": dockerfiles[name]}
                    if name in dockerfiles
                    else {"dockerfile-inline": f"FROM scratch\nCOPY . /{name}\n"}
                ),
                "output": [f"type=local,dest={root / 'received' / name}"],
            }
            for name in some
        }
        (root / "bake.json").write_text(json.dumps({"target": targets}))
        done = subprocess.run(
            ["docker", "buildx", "bake", "--progress=plain", "--allow", "fs=*",
             "--file", str(root / "bake.json"), *some],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        for name in some:
            base = root / "received" / name / name
            paths = base.rglob("*")
            found[name] = {
                p.relative_to(base).as_posix() for p in paths if p.is_symlink() or not p.is_dir()
            }
    return found


def test_what_the_builder_receives_is_what_is_fingerprinted(engine: Engine, tmp_path: Path) -> None:
    texts = [*WRITTEN, *(made_up(seed) for seed in range(15))]
    contexts = {
        f"c{number}": write_context(tmp_path / f"c{number}", {".dockerignore": text})
        for number, text in enumerate(texts)
    }
    there = received(tmp_path, contexts, {})
    wrong = {}
    for (name, context), text in zip(contexts.items(), texts, strict=True):
        ours = {found.path for found in walk(context, skip_ignored(context))}
        if ours != there[name]:
            wrong[text] = {"missed": there[name] - ours, "too many": ours - there[name]}
    assert wrong == {}
    assert len({frozenset(paths) for paths in there.values()}) > 30  # they do differ


def test_a_dockerfiles_own_ignore_file_comes_first(engine: Engine, tmp_path: Path) -> None:
    ignore = {
        ".dockerignore": "*.py",
        "serve.Dockerfile.dockerignore": "data",
        "serve.Dockerfile": "FROM scratch\nCOPY . /own\n",
    }
    context = write_context(tmp_path / "context", ignore)
    there = received(tmp_path, {"own": context}, {"own": "serve.Dockerfile"})["own"]
    ours = {found.path for found in walk(context, skip_ignored(context, "serve.Dockerfile"))}
    assert ours == there
    assert "a.py" in ours
    assert "data/train.csv" not in ours
