"""Which packages a call imports is read from Python's own report; every listed verb exists."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.cli import VERBS, WATCHED, imported
from benchmarks.support.programs import ROOT
from mcgitops.cli.main import VERBS as EXISTING

REPORT = """\
import time: self [us] | cumulative | imported package
import time:       184 |        184 |   _io
import time:       150 |       4000 |     yaml.loader
import time:       601 |       5210 | yaml
something that the program itself said
import time: not a line of the report
"""


def test_packages_are_read_from_the_report() -> None:
    assert imported(REPORT) == {"_io", "yaml"}


def test_the_report_of_this_python_is_understood() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import json.decoder"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "json" in imported(done.stderr)


def test_verbs_that_are_measured_exist_and_may_use_only_what_is_watched() -> None:
    for verb in VERBS:
        assert verb.arguments[0].startswith("--") or verb.arguments[0] in EXISTING
        assert verb.uses <= set(WATCHED)


def test_the_lock_of_the_peer_is_pinned_and_names_no_index() -> None:
    text = (ROOT / "benchmarks" / "dvc.lock").read_text()
    packages = [line for line in text.splitlines() if line and line[0] not in " #-"]
    assert any(line.startswith("dvc==") for line in packages)
    assert all("==" in line for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text
    assert "--index" not in text
