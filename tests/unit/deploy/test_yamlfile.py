"""Text stays text between PyYAML and Compose."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcgitops.deploy import yamlfile

TRICKY = [
    "1e3", "010", "0o17", "0x1F", "1_000", "12:30:45", "2001-01-01", "yes", "on", "y", "null", "~",
    "", " ", ".inf", ".5", "-", "a: b", "# x", "'", '"', "\\", "a\nb", "é ✓", "{}", "[", "*x", "!t",
    "%", "@", "`", "true", "NaN", "=", "<<", "1.", "+1", "0b1", "\u2028", "tab\there", "\x7f",
]  # fmt: skip


def test_compose_reads_every_text_as_the_text_that_it_was(tmp_path: Path) -> None:
    document = {"services": {"x": {"image": "x"}}, "x-texts": TRICKY}
    (tmp_path / "compose.yml").write_text(yamlfile.write(document))
    printed = subprocess.run(
        ["docker", "compose", "config", "--no-interpolate", "--format", "json"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert json.loads(printed)["x-texts"] == TRICKY


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text())
def test_we_read_what_we_wrote(text: str) -> None:
    assert yamlfile.read(yamlfile.write({"key": text, "list": [text, 1, None, True]})) == {
        "key": text, "list": [text, 1, None, True],
    }  # fmt: skip


def test_numbers_as_compose_prints_them_are_numbers(tmp_path: Path) -> None:
    numbers = [1000000.0, 0.00001, 1e21, -2.5e-9, 1500000.5, 7, 0.25]
    (tmp_path / "compose.yml").write_text(
        f"services: {{x: {{image: x}}}}\nx-numbers: {json.dumps([*numbers, '1e+06', '1e-05'])}\n"
    )
    printed = subprocess.run(
        ["docker", "compose", "config"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert "1e+06" in printed  # which YAML 1.1 takes for text
    assert yamlfile.read(printed)["x-numbers"] == [*numbers, "1e+06", "1e-05"]
