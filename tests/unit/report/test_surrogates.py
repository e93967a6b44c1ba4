"""Halves of surrogate pairs, which UTF-8 can't write: no view fails over them, or writes them.

Python makes them of the JSON escape, and of file names that are not UTF-8.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.cli import listing
from mcgitops.forge import handover
from mcgitops.forge.event import FinishedRun
from mcgitops.report import chart, html, json_view, markdown, terminal
from mcgitops.report.escape import writable
from mcgitops.report.model import Report
from tests.unit.report import situations
from tests.unit.report.test_markdown import is_sound

HALVES = st.text(
    st.one_of(
        st.characters(categories=["Cs"]),
        st.sampled_from("\ud800\udfff\udc80\ude00a|`<&@\n\u202e\U0001f600"),
    ),
    min_size=1,
    max_size=12,
)


kinds_of = functools.cache(typing.get_type_hints)


def poisoned(value: Any, text: str, kind: Any = None) -> Any:
    """The value with `text` behind every text in it that isn't one of a few words of ours."""
    if isinstance(value, str):
        return value if typing.get_origin(kind) is typing.Literal else value + text
    if isinstance(value, tuple):
        return tuple(poisoned(item, text) for item in value)
    if isinstance(value, dict):
        return {poisoned(key, text): poisoned(item, text) for key, item in value.items()}
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    kinds = kinds_of(type(value))
    fields = [field.name for field in dataclasses.fields(value) if field.init]
    return dataclasses.replace(
        value, **{n: poisoned(getattr(value, n), text, kinds[n]) for n in fields}
    )


SITUATIONS = ("waived", "classes", "curves", "improvement")


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    return {name: getattr(situations, name)() for name in SITUATIONS}


@given(name=st.sampled_from(SITUATIONS), text=HALVES)
@settings(max_examples=40)
def test_no_view_fails_or_writes_what_is_not_utf8(reports, name, text):
    report = poisoned(reports[name], text)
    comment = markdown.render(report)
    ours = {report.full_report, *(artifact.link for artifact in report.artifacts)}
    is_sound(comment, links={*ours, f"{report.full_report}#artifacts"})
    views = {
        "markdown": comment,
        "terminal": terminal.render(report, width=90),
        "html": html.render(report),
        "svg": chart.svg(report),
        "json": json_view.render(report),
        "handed over": handover.packed(report),
        "listing": listing.json_text(json_view.to_data(report)),
        "csv": listing.csv_text(["a" + text], [[text]]),
    }
    for view, written in views.items():
        assert written.encode().decode() == written, view
    for view in ("json", "handed over", "listing"):
        read = json_view.from_data(json.loads(views[view]))
        assert read.headline == writable(report.headline)
        assert len(read.metrics) == len(report.metrics)


def test_what_a_fork_hands_over_with_halves_becomes_a_comment(reports):
    sha = reports["waived"].head.commit
    run = FinishedRun(1, 1, "pull_request", sha, "feature", "stranger/wine", "acme/wine")
    good = handover.packed(reports["waived"])
    bad = good.replace("accuracy", "\\ud800")
    assert bad != good
    report = handover.report_of(bad.encode(), run)
    assert "\ud800" in {change.name for change in report.metrics}
    comment = handover.comment(report, "https://github.com/acme/wine/actions/runs/1")
    assert "\ufffd" in comment
    assert comment.encode().decode() == comment
