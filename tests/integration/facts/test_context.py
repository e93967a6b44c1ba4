"""What we take for the build context is what the builder takes: each ignore file is built."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mcgitops.facts.context import skip_ignored
from mcgitops.facts.files import walk
from tests.lab.engine import Engine

FILES = (
    "a.txt", "b.pyc", "README.md", "docs/a.txt", "docs/b.md", "docs/deep/c.md", "src/a.py",
    "src/a.pyc", "src/pkg/b.py", "src/pkg/node_modules/x.js", "node_modules/y.js", "out/model.bin",
    "out/keep/report.md", "outer/z.txt", "data[1]/q.csv", "data1/q.csv", "weird (1)/+.txt",
    "a-b.log", "aXb.log", "x/y/z/deep.log", ".env", ".hidden/file",
)  # fmt: skip
IGNORED = {
    "plain names, comments, slashes": "# a comment\n/out/\n  docs  \n\nREADME.md\n./src/pkg\n",
    "stars stay within a folder": "*.pyc\n*/a.txt\nsrc/*/b.py\na?b.log\n",
    "two stars cross folders": "**/node_modules\n**/*.md\nx/**/deep.log\n",
    "two stars at the end": "out/**\nx**\n",
    "two stars without a slash": "**.pyc\n**.log\n",
    "all but exceptions": "*\n!src\n!docs/deep\n!out/keep/*.md\n",
    "an exception below two stars": "**\n!**/*.py\n!data1/**\n",
    "the last that fits wins": "src\n!src/pkg\nsrc/pkg/node_modules\n!src/a.py\n",
    "an exception of an excluded folder's parent": "out/keep\n!out\n",
    "sets and escapes": "data[0-9]\n[a-b]*.pyc\na[^Y-Z]b.log\nweird (1)\n\\.env\n",
    "a bracket escaped": "data\\[1]\n",
    "hidden ones": ".*\n!.env\n",
    "dots are cleaned": "docs/../src/./pkg/\n../out\n.\n",
    "a star in the middle": "out*\n!outer\n",
}


@pytest.mark.engine
@pytest.mark.parametrize("name", IGNORED)
def test_the_builder_takes_the_same_files(name: str, tmp_path: Path, engine: Engine) -> None:
    context, taken = tmp_path / "context", tmp_path / "taken"
    for path in FILES:
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).write_text(path)
    (context / ".dockerignore").write_text(IGNORED[name])
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--output", f"type=local,dest={taken}", context],
        check=True, capture_output=True,
    )  # fmt: skip
    built = sorted(p.relative_to(taken).as_posix() for p in taken.rglob("*") if p.is_file())
    ours = sorted(found.path for found in walk(context, skip_ignored(context)))
    assert ours == built
    assert 0 < len(built) < len(FILES) + 2
