"""The real packages whose files the readers' tests read, and files that they wrote.

They are heavy and none of them is ours to depend on, so they have an environment of their own,
`.cache/writers`, from `requirements/writers.lock`. Each script in `tests/writers/`, and those of
`tests/fixtures/readers/write/` whose packages are there, writes files of one package into the
folder that is its argument; what it wrote is kept until the script, or the lock, changes. Nothing
is fetched when a script runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import images
from tests.lab.program import REPOSITORY, ROOT, run, say

os.environ.setdefault("UV_CACHE_DIR", str(ROOT / ".cache" / "uv"))
LOCK = ROOT / "requirements" / "writers.lock"
SCRIPTS = (ROOT / "tests" / "writers", ROOT / "tests" / "fixtures" / "readers" / "write")
MLFLOW = ("alembic", "mlflow-skinny", "sqlalchemy")
IMAGE_PYTHON = "3.11"  # of the base image
ENVIRONMENT = ROOT / ".cache" / "writers"


def python() -> Path:
    """The Python that has the packages; a second call does nothing."""
    with _alone():
        return _made()


def written(script: str) -> Path:
    """What the script of that name wrote. Don't change it: copy it first."""
    (source,) = [path for folder in SCRIPTS if (path := folder / f"{script}.py").is_file()]
    with _alone():
        interpreter = _made()
        digest = hashlib.sha256(source.read_bytes() + LOCK.read_bytes()).hexdigest()[:12]
        folder = ENVIRONMENT / "files" / f"{script}-{digest}"
        if folder.is_dir():
            return folder
        folder.parent.mkdir(exist_ok=True)
        # Not below this checkout: some look for the repository that they are in, and one makes it
        # a project of its own.
        with (
            tempfile.TemporaryDirectory(prefix="mclab-writer-") as name,
            tempfile.TemporaryDirectory(dir=folder.parent) as beside,
        ):
            made = Path(name) / "made"
            made.mkdir()
            run(interpreter, source, made, cwd=made, env=environment(name), timeout=240)
            for path in made.rglob("*"):
                if path.is_symlink():  # a convenience that leads nowhere once the folder has moved
                    path.unlink()
            moved = Path(beside) / "made"
            shutil.copytree(made, moved)
            moved.rename(folder)  # whole or not at all
        return folder


def mlflow_image() -> str:
    """The tag of an image with Python and MLflow, of the versions that the lock names."""
    with _alone():
        base = images.base_image()
        digest = hashlib.sha256(f"{base}\0{MLFLOW}\0".encode() + LOCK.read_bytes()).hexdigest()
        tag = f"{REPOSITORY}/mlflow:{images.SUITE}-{digest[:12]}"
        if not images.exists(tag):
            with tempfile.TemporaryDirectory(prefix="mclab-mlflow-") as name:
                folder = Path(name)
                run(
                    _uv(), "pip", "install", "--quiet", "--target", folder / "packages",
                    "--python", sys.executable, "--python-version", IMAGE_PYTHON,
                    "--only-binary", ":all:", "--constraint", LOCK, *MLFLOW,
                )  # fmt: skip
                (folder / "Dockerfile").write_text(
                    "ARG BASE_IMAGE\nFROM $BASE_IMAGE\nENV GIT_PYTHON_REFRESH=quiet\n"
                    f"COPY packages/ /usr/local/lib/python{IMAGE_PYTHON}/dist-packages/\n"
                )
                images.build(tag, folder, f"BASE_IMAGE={base}")
        return tag


def environment(home: str | Path) -> dict[str, str]:
    """Variables for a writer: nothing is sent, and notes of its own go below `home`."""
    return {
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_CACHE_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
    }


def _made() -> Path:
    interpreter = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / ".lock"
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return interpreter
    where = ENVIRONMENT.relative_to(ROOT)
    say(f"Making {where}/ from {LOCK.relative_to(ROOT)}: packages whose files are read in tests …")
    uv = _uv()
    stamp.unlink(missing_ok=True)
    run(uv, "venv", "--quiet", "--clear", "--python", _base(), ENVIRONMENT)
    run(uv, "pip", "sync", "--quiet", "--require-hashes", "--python", interpreter, LOCK)
    stamp.write_text(digest)
    return interpreter


def _uv() -> str:
    return shutil.which("uv") or str(ROOT / ".venv" / "bin" / "uv")


def _base() -> str:
    """The interpreter that the running one's environment was made from."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time: tests run side by side."""
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (ENVIRONMENT.parent / "writers.guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield
