"""A stage whose data isn't what its Croissant description says is not trained."""

from __future__ import annotations

from pathlib import Path

from tests.integration.train.conftest import Make

FIXTURE = Path(__file__).parents[2] / "fixtures" / "readers" / "croissant"


def test_data_that_differs_from_its_description_stops_the_training_and_names_the_file(
    trial: Make,
) -> None:
    files = {f"data/{path.name}": path.read_bytes() for path in sorted(FIXTURE.iterdir())}
    project = trial(
        "cat data/train.csv > out/model.txt; printf '{\"accuracy\": 1}' > out/metrics.json",
        keys="metrics: [out/metrics.json]\noutputs: [out/model.txt]\n"
        "croissant: [data/metadata.json]",
        files=files,
    )
    project.train()
    assert project.text("out/model.txt") == (FIXTURE / "train.csv").read_text()
    project.write({"data/train.csv": "length,kind\n9,a\n"})
    done = project("train", check=False)
    assert done.code == 2
    assert "data/train.csv isn't what data/metadata.json describes: its sha256 is" in done.stderr
    assert "Traceback" not in done.stderr
    # nothing new was made, and what was trained from good data is still found
    assert project.text("out/model.txt") == (FIXTURE / "train.csv").read_text()
