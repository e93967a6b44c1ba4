"""A whylogs profile is read through the real package, in the environment that has it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.lab import writers
from tests.lab.program import ROOT, run

FIXTURE = Path(__file__).parents[2] / "fixtures" / "readers" / "whylogs"

READ = """
import json, sys
from pathlib import Path
from mcgitops.metrics import detect
from mcgitops.metrics.files import Folder
found = detect.find(Folder.of(Path(sys.argv[1])))
print(json.dumps({"metrics": found.metrics, "warnings": found.warnings}))
"""


def read(folder: Path, home: Path) -> dict:
    environment = {**writers.environment(home), "PYTHONPATH": str(ROOT)}
    done = run(writers.python(), "-c", READ, folder, cwd=home, env=environment, timeout=120)
    return json.loads(done.stdout)


def test_a_profile_gives_the_summaries_of_its_columns_and_one_that_is_cut_off_a_warning(tmp_path):
    content = (FIXTURE / "profile_lengths.bin").read_bytes()
    cut = {f"cut_{size}.bin": content[:size] for size in (5, 20, 200, len(content) - 1)}
    for name, part in {"profile.bin": content, **cut}.items():
        (tmp_path / name).write_bytes(part)
    found = read(tmp_path, tmp_path)
    if sys.version_info >= (3, 13):  # the package has no wheels for it
        assert len(found["warnings"]) == 5
        assert "install mcgitops[whylogs]" in found["warnings"][0]
        return
    assert {text.partition(":")[0] for text in found["warnings"]} == set(cut)
    (values,) = found["metrics"].values()
    assert values["length.counts.n"] == 20
    assert values["length.distribution.mean"] == 10.5
    assert values["length.distribution.max"] == 20
    assert values["kind.types.string"] == 20
    assert not any("frequent" in name for name in values)
