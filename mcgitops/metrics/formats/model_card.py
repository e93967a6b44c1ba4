"""Model cards: the results in the front matter of a `README.md`, `model-index`.

A metric is called `DATASET.TYPE`, so that a name doesn't change when a second data set joins.
Format: Hugging Face's model card metadata.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching
from mcgitops.metrics.formats import yaml_file
from mcgitops.metrics.formats.parsed import HEAD
from mcgitops.metrics.values import Findings, UnreadableError, Warnings, flatten

_LIMIT = 1 << 20
_INDEX = re.compile(rb"^model-index\s*:", re.MULTILINE)


def claims(files: Files) -> Iterator[Claim]:
    """Markdown that begins with front matter which has a `model-index`."""
    for path in matching(files, "README.md", "[Mm]odel[_-]?[Cc]ard.md", "MODEL_CARD.md"):
        start = head(files, path, HEAD)
        if start.removeprefix(b"\xef\xbb\xbf").startswith(b"---") and _INDEX.search(start):
            yield Claim(path, (path,))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """The results' metrics."""
    with files.open(claim.source) as stream:
        content = stream.read(_LIMIT).removeprefix(b"\xef\xbb\xbf")
    matter = re.match(rb"---[ \t]*\r?\n(.*?\n)---[ \t]*(?:\r?\n|$)", content, re.DOTALL)
    if matter is None:
        raise UnreadableError("has front matter without an end: it seems to be cut off.")
    data = yaml_file.load(io.BytesIO(matter[1]), warnings)
    models = data.get("model-index") if isinstance(data, Mapping) else None
    values: dict[str, Any] = {}
    for model, result in _results(models, warnings):
        for metric in _maps(result.get("metrics"), "metrics", warnings):
            if metric.get("type") is None or "value" not in metric:
                warnings.add("has a metric without a type or a value.")
                continue
            values[_free(_name(result, metric), model, values)] = metric["value"]
    if not values:
        warnings.add("has a model-index without results.")
    return Findings(metrics={claim.source: flatten(values, warnings)})


def _results(models: Any, warnings: Warnings) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for model in _maps(models, "model-index", warnings):
        for result in _maps(model.get("results"), "results", warnings):
            yield str(model.get("name") or ""), result


def _maps(items: Any, what: str, warnings: Warnings) -> Iterator[Mapping[str, Any]]:
    """The mappings of a list; anything else is said and left out."""
    found = items if isinstance(items, list) else []
    if items is not None and found is not items:
        warnings.add(f"has {what} that is no list.")
    for item in found:
        if isinstance(item, Mapping):
            yield item
        else:
            warnings.add(f"has an entry of {what} that is no mapping.")


def _name(result: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    data = result.get("dataset")
    data = data if isinstance(data, Mapping) else {}
    parts = [data.get("type") or data.get("name"), data.get("config"), data.get("split")]
    where = "/".join(str(part) for part in parts if part and part != "default")
    return f"{where}.{metric['type']}" if where else str(metric["type"])


def _free(name: str, model: str, taken: Mapping[str, Any]) -> str:
    """A name that no other result has: that of a second model goes by its name."""
    if name in taken and model:
        name = f"{model}.{name}"
    count, base = 1, name
    while name in taken:
        count += 1
        name = f"{base} #{count}"
    return name
