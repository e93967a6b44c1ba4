"""Start-up: `mcgitops --version` against `dvc --version`, and what each verb imports."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from benchmarks.support import programs, projects
from benchmarks.support.measure import Sample, clean_environment, in_turn, measured
from benchmarks.support.table import Row, verdict

REPEATS = 25
RATIO = 0.5

WATCHED = (
    "boto3", "botocore", "docker", "github", "jinja2", "numpy", "pydantic", "requests", "rich",
    "scipy", "sqlite3", "tabulate", "urllib3", "yaml",
)  # fmt: skip
"""Packages that cost more than ten milliseconds each, or that only some verbs need."""


@dataclass(frozen=True)
class Verb:
    """A call of the program in a trained project whose store is a folder, and what it may use."""

    arguments: tuple[str, ...]
    uses: frozenset[str] = frozenset()


def _verb(call: str, uses: str = "") -> Verb:
    return Verb(tuple(call.split()), frozenset(uses.split()))


FILE = "yaml"
VERBS = (
    _verb("--version"),
    _verb("--help"),
    _verb("completion bash"),
    _verb("schema"),
    _verb("check", FILE),
    _verb("plan", f"{FILE} sqlite3"),
    _verb("plan --json", f"{FILE} sqlite3"),
    _verb("train", f"{FILE} sqlite3"),
    _verb("push", f"{FILE} sqlite3"),
    _verb("pull", f"{FILE} sqlite3"),
    _verb("runs", f"{FILE} sqlite3"),
    _verb("runs --json", f"{FILE} sqlite3"),
    _verb("compare HEAD main", FILE),
    _verb("compare HEAD main --json", FILE),
    _verb("metrics history accuracy", f"{FILE} sqlite3"),
    _verb("metrics", f"{FILE} sqlite3"),
    _verb("metrics --json", f"{FILE} sqlite3"),
    _verb("report --format json", f"{FILE} sqlite3"),
    _verb("report --format markdown", f"{FILE} sqlite3 jinja2"),
)


def main() -> int:
    """Both parts; 1 where a bound is missed."""
    ours, peer = programs.mcgitops(), programs.dvc()
    with projects.workplace() as folder:
        return max(start_up(ours, peer, folder), imports(ours, folder))


def start_up(ours: Path, peer: Path, folder: Path) -> int:
    """The time that any verb pays."""
    env = programs.dvc_environment(folder / "dvc")

    def call(program: Path, option: str) -> Sample:
        return measured([program, option], folder, env)

    version, peer_version = in_turn(
        REPEATS, lambda: call(ours, "--version"), lambda: call(peer, "--version"), warm_up=2
    )
    help_, peer_again = in_turn(
        REPEATS // 2, lambda: call(ours, "--help"), lambda: call(peer, "--help")
    )
    rows = [
        Row("--version", version, peer_version, "ratio", RATIO),
        Row("--help, against --version", help_, peer_again, "ratio"),
    ]
    return verdict("Start-up", rows, "DVC")


def imports(program: Path, folder: Path) -> int:
    """Which of the watched packages each verb imports; 1 where it doesn't use one."""
    project = projects.make(folder / "project", f"{projects.PREFIX}-cli")
    measured([program, "train"], project)
    lines = []
    missed = False
    for verb in VERBS:
        found = packages(program, project, verb)
        unused = sorted(found & set(WATCHED) - verb.uses)
        missed = missed or bool(unused)
        lines.append(
            [
                " ".join(verb.arguments),
                len(found),
                " ".join(sorted(found & verb.uses)) or "–",
                " ".join(unused) or "–",
                "MISSED" if unused else "kept",
            ]
        )
    heads = ["verb", "packages", "that it uses", "that it doesn't use", ""]
    print(f"\nImports, of the watched: {', '.join(WATCHED)}")
    print(tabulate(lines, heads, disable_numparse=True))
    return 1 if missed else 0


def packages(program: Path, project: Path, verb: Verb) -> set[str]:
    """The top-level packages that a call imports, as Python itself reports them."""
    done = subprocess.run(
        [program.parent / "python", "-X", "importtime", program, *verb.arguments],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
        raise SystemExit(f"mcgitops {' '.join(verb.arguments)}:\n" + "\n".join(said))
    return imported(done.stderr)


def imported(report: str) -> set[str]:
    """The top-level names in what `-X importtime` wrote."""
    names = re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", report, flags=re.MULTILINE)
    return {name.partition(".")[0] for name in names}


if __name__ == "__main__":
    sys.exit(main())
