"""Try a wheel as a stranger would: an empty environment, the locked dependencies, a new project.

python -m tests.lab.wheel dist/mcgitops-….whl
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import venv
from pathlib import Path

from tests.lab.program import ROOT, LabError, run, say


def try_out(wheel: Path, folder: Path) -> list[str]:
    """Install `wheel` below `folder` and use it; returns the files that `init` made."""
    environment = folder / "environment"
    python = install(wheel, environment)
    program = environment / "bin" / "mcgitops"
    project = folder / "project"
    project.mkdir()
    # Nothing of the checkout may help: another folder, isolated from PYTHON* variables.
    env = {name: "" for name in os.environ if name.startswith("PYTHON")}
    version = run(program, "--version", cwd=project, env=env).stdout.strip()
    where = run(python, "-c", "import mcgitops; print(mcgitops.__file__)", cwd=project, env=env)
    if not where.stdout.startswith(str(environment)):
        raise LabError(f"not the installed package was used: {where.stdout}")
    run(program, "init", cwd=project, env=env)
    run(program, "check", cwd=project, env=env)
    made = sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())
    say(f"{version}: init made {', '.join(made)}")
    return made


def install(wheel: Path, environment: Path) -> Path:
    """A new environment with the locked dependencies and the wheel; returns its Python."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv:
        venv.create(environment, with_pip=False)
        python = environment / "bin" / "python"
        pip: tuple[str | Path, ...] = (uv, "pip", "install", "--quiet", "--python", python)
    else:
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        pip = (python, "-m", "pip", "--quiet", "install")
    run(*pip, "--require-hashes", "--requirement", ROOT / "requirements" / "main.lock")
    run(*pip, "--no-deps", wheel)
    return python


def main() -> int:
    """Try the wheel that the command line names."""
    with tempfile.TemporaryDirectory(prefix="mclab-wheel-") as name:
        try:
            try_out(Path(sys.argv[1]).resolve(), Path(name))
        except LabError as error:
            say(str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
