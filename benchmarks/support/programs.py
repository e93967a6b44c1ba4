"""The programs that are compared, each in an environment of its own that is made once and kept.

Ours is installed as a user gets it, from the wheel and the lock: the development environment has
hooks (coverage, an editable path) that would be measured along. The peer is DVC, from its own lock.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.support.measure import clean_environment

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"


def dvc() -> Path:
    """DVC's program."""
    return _environment("dvc", ROOT / "benchmarks" / "dvc.lock") / "bin" / "dvc"


def store_peers() -> Path:
    """The folder of DVC's program with its part for S3, and of rclone's."""
    return _environment("store", ROOT / "benchmarks" / "store.lock") / "bin"


def aws() -> Path:
    """The program of AWS."""
    return _environment("aws", ROOT / "benchmarks" / "aws.lock") / "bin" / "aws"


def dvc_environment(folder: Path) -> dict[str, str]:
    """DVC at its best: no statistics sent, no look for updates; its caches below `folder`."""
    settings = folder / "config"
    (settings / "dvc").mkdir(parents=True, exist_ok=True)
    (settings / "dvc" / "config").write_text(
        "[core]\n    analytics = false\n    check_update = false\n"
    )
    return clean_environment(
        DVC_NO_ANALYTICS="1",
        DVC_GLOBAL_CONFIG_DIR=str(settings / "dvc"),
        DVC_SYSTEM_CONFIG_DIR=str(settings / "none"),
        DVC_SITE_CACHE_DIR=str(folder / "site-cache"),
    )


def mcgitops() -> Path:
    """Our program, of this checkout as it is now."""
    environment = _environment("mcgitops", ROOT / "requirements" / "main.lock")
    with tempfile.TemporaryDirectory(prefix="mclab-bench-wheel-") as name:
        _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", name)
        (wheel,) = Path(name).glob("*.whl")
        # the version stays the same from one checkout to the next
        _install(environment, "--no-deps", "--reinstall", str(wheel))
    return environment / "bin" / "mcgitops"


def python() -> Path:
    """The Python that has our program."""
    return mcgitops().parent / "python"


def _environment(name: str, lock: Path) -> Path:
    """A virtual environment with exactly what a lock says; a second call does nothing."""
    folder = CACHE / name
    stamp = folder / ".lock"
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return folder
    print(f"Installing {lock.relative_to(ROOT)} into {folder.relative_to(ROOT)} …", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=_uv() is None, symlinks=True)
    _install(folder, "--require-hashes", "--requirement", str(lock))
    stamp.write_text(digest)
    return folder


def _install(environment: Path, *arguments: str) -> None:
    python_ = environment / "bin" / "python"
    uv = _uv()
    if uv is not None:
        # as pip does it: otherwise whoever comes first is measured compiling
        options = ["--quiet", "--compile-bytecode", "--python", str(python_)]
        _run(uv, "pip", "install", *options, *arguments)
        return
    pip = (str(python_), "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    options = ["--force-reinstall" if word == "--reinstall" else word for word in arguments]
    _run(*pip, *options)


def _uv() -> str | None:
    """uv, where there is one: ours first."""
    return shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv[:5])} …: exit {done.returncode}\n{done.stderr[-2000:]}")
