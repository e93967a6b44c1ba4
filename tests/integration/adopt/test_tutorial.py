"""The tutorial, executed: every command of the page, in order, and what it prints."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.program import ROOT

pytestmark = pytest.mark.engine

PAGE = ROOT / "docs/tutorial/first-project.md"
MARK = "@@ "


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _shape(line: str) -> str:
    """A line without what differs each time: digits, identifiers, widths, the machine's names."""
    line = re.sub(r"\b[0-9a-f]{7,64}\b", "ID", line)
    line = re.sub(r"[0-9]+([.,][0-9]+)?", "0", line)
    line = re.sub(r"[kM]?i?B\b", "B", line.replace("−", "-").replace("+", "-"))
    line = re.sub(r"[\s─-]+", " ", line).strip()
    return re.sub(r"(0 B|–) (?=accuracy)", "", line)  # too short a run has no sample of its memory


# what is different on another machine, or from one training to the next
_VARIES = ("warning: service train", "train: wall time", " -- ", "locked by", "image size")


def test_the_tutorial_does_what_it_says(
    tmp_path: Path, base_image: str, unique_name: Callable[..., str]
):
    name = unique_name("flowers")
    text = PAGE.read_text().replace("flowers", name).replace(f"{name}.csv", "flowers.csv")
    port = str(_free_port())
    text = text.replace("localhost:8080", f"localhost:{port}")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    shown: list[tuple[str, list[str]]] = []
    for line in "".join(blocks).splitlines():
        if line.startswith("$ "):
            shown.append((line[2:], []))
        elif line != "…":
            shown[-1][1].append(line)

    script = "exec 2>&1\n" + "".join(
        f"echo '{MARK}{number}'\n{command}\n_code=$?; [ $_code = 0 ] || echo \"exit $_code\"\n"
        for number, (command, _) in enumerate(shown)
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "XDG_DATA_HOME": "",  # so that it is below HOME, as the page says
            # plugins of docker may be below the caller's home
            "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker"),
            "BASE_IMAGE": base_image,
            "PORT": port,
            "COLUMNS": "140",
        },
    )
    printed = re.split(rf"(?m){MARK}\d+\n", done.stdout)[1:]
    assert len(printed) == len(shown), done.stdout + done.stderr
    for (command, expected), output in zip(shown, printed, strict=True):
        # each line, and all in one: what is long wraps elsewhere where a number has more digits
        got = [*map(_shape, output.splitlines()), _shape(" ".join(output.splitlines()))]
        for line in expected:
            if not line.strip() or any(part in line for part in _VARIES):
                continue
            if command.startswith("docker compose") or "build-arg" in line:
                continue  # another program's progress, and the image that this machine has
            assert any(_shape(line) in one for one in got), (
                f"$ {command}\nthe page: {line}\nprinted:\n{output}"
            )
        exits = [line for line in output.splitlines() if line.startswith("exit ")]
        assert exits == [line for line in expected if line.startswith("exit ")], output
