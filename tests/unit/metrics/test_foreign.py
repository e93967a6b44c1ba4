"""Whatever somebody else's reader found can be kept in a record."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest

from mcgitops.metrics.foreign import harmless
from mcgitops.metrics.values import Check, Findings, Warnings
from mcgitops.store.records import ImageRef, RunRecord


def test_numbers_of_numpy_and_texts_that_are_none_become_values_of_a_record() -> None:
    values = {
        "single": np.float32(0.5),
        "count": np.int64(3),
        "is": np.bool_(True),
        "own": 1,
        "nan": np.float16("nan"),
        "torn": "\ud800",
        "odd": object,
        "none": None,
    }
    found = harmless(Findings(metrics={"a": values}), Warnings())  # type: ignore[dict-item]
    record = RunRecord(
        project="p", stage="s", fingerprint="f" * 64, state="succeeded",
        started=datetime.now(UTC), image=ImageRef(reference="i"), metrics=found.metrics,
    )  # fmt: skip
    kept = RunRecord.model_validate(json.loads(record.model_dump_json())).metrics["a"]
    assert (kept["single"], kept["count"], kept["own"], kept["none"]) == (0.5, 3, 1, None)
    assert isinstance(kept["nan"], float)
    assert math.isnan(kept["nan"])
    assert kept["torn"] == "?"


def test_a_check_whose_state_is_none_is_refused() -> None:
    findings = Findings(checks=(Check("a", "b", "fine"),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the check b has the state fine"):
        harmless(findings, Warnings())
