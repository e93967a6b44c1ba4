"""Which words in a comment or a label waive a gate, and what a report says then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.cli.report import fail_on_gates
from mcgitops.compare.model import GateResult, MetricChange, Waiver
from mcgitops.compare.waive import waive
from mcgitops.errors import GateFailed
from mcgitops.forge.event import Other, Word, read_word
from mcgitops.forge.rerun import chosen, is_waiver, workflow_file
from mcgitops.forge.waivers import commands, label_gate
from mcgitops.report import json_view
from mcgitops.report.model import Report, Revision
from mcgitops.report.waived import with_waivers, without_waivers
from tests.unit.report.test_markdown import is_sound


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("/mcgitops waive accuracy", [("accuracy", "")]),
        ("/mcgitops waive accuracy the data is harder ", [("accuracy", "the data is harder")]),
        ("/mcgitops  waive\taccuracy\tso", [("accuracy", "so")]),
        ('/mcgitops waive "val accuracy" why', [("val accuracy", "why")]),
        ("/mcgitops waive `val/f1` why", [("val/f1", "why")]),
        ("/mcgitops waive all", [("*", "")]),
        ("/mcgitops waive * it is Friday", [("*", "it is Friday")]),
        ("text\r\n/mcgitops waive a\r\n/mcgitops waive b no\r\n", [("a", ""), ("b", "no")]),
        ("```\n/mcgitops waive a\n```\n/mcgitops waive b", [("b", "")]),
        ("~~~~\n~~~\n/mcgitops waive a\n~~~~\n", []),
        ("```\n/mcgitops waive a", []),
        ("> /mcgitops waive accuracy", []),
        ("  /mcgitops waive accuracy", []),
        ("see /mcgitops waive accuracy", []),
        ("/mcgitops waive", []),
        ("/mcgitops waive ``", []),
        ("/mcgitops waived accuracy", []),
        ("/mcgitopswaive accuracy", []),
        ("", []),
    ],
)
def test_a_command_stands_on_a_line_of_its_own(body: str, found: list[tuple[str, str]]) -> None:
    assert list(commands(body)) == found


@given(st.text(max_size=300))
def test_any_comment_gives_short_reasons_on_one_line(text: str) -> None:
    for gate, reason in [*commands(text), *commands(f"/mcgitops waive {text}")]:
        assert 0 < len(gate) <= 200
        assert len(reason) <= 200
        assert len(reason.splitlines()) <= 1


def test_labels() -> None:
    assert label_gate("mcgitops/waive-accuracy") == "accuracy"
    assert label_gate("mcgitops/waive-all") == "*"
    assert label_gate("mcgitops/waive-") == label_gate("bug") == label_gate("waive-x") == ""


def gate(metric: str, state: str = "failed") -> GateResult:
    text = "0.94 < 0.95, gate failed" if state == "failed" else "0.96 ≥ 0.95"
    return GateResult(metric, "", "at least 0.95", state, text)  # type: ignore[arg-type]


def report(*gates: GateResult) -> Report:
    metrics = tuple(
        MetricChange("train", "", "m.json", g.metric, g.metric, (1.0,), (0.9,), "higher", "worse",
                     base_mean=1.0, head_mean=0.9, gates=(g,))
        for g in gates
    )  # fmt: skip
    return Report("wine", "gate failed", "accuracy fell", Revision("a" * 40), Revision("b" * 40),
                  metrics=metrics, gates=gates)  # fmt: skip


ADA = Waiver("accuracy", "ada", "label")
ALL = Waiver("*", "grace", "comment", "known", "https://x/1")


def test_a_failed_gate_is_waived_with_who_and_why() -> None:
    gates, used = waive([gate("accuracy"), gate("loss"), gate("f1", "passed")], [ADA])
    assert [g.state for g in gates] == ["waived", "failed", "passed"]
    assert gates[0].text == "0.94 < 0.95, gate waived by ada"
    assert used == (ADA,)
    gates, used = waive([gate("accuracy"), gate("loss")], [ALL, ADA])
    assert [g.text.partition("by ")[2] for g in gates] == ["ada", "grace: known"]
    assert used == (ADA, ALL)


def test_what_did_not_fail_is_not_waived() -> None:
    gates = [gate("accuracy", state) for state in ("passed", "warned", "not judged")]
    assert waive(gates, [ADA, ALL]) == (tuple(gates), ())
    assert waive([gate("Accuracy")], [ADA])[0][0].state == "waived"  # labels know no case
    assert waive([gate("accuracy2")], [ADA])[1] == ()


def test_a_report_whose_failed_gates_are_all_waived_ends_well_and_says_so() -> None:
    changed = with_waivers(report(gate("accuracy")), [ADA])
    fail_on_gates(changed)
    assert (changed.status, changed.headline) == (
        "warning", "accuracy failed its gate, which is waived",
    )  # fmt: skip
    assert changed.metrics[0].gate_state == "waived"
    assert changed.waivers == (ADA,)
    two = with_waivers(report(gate("accuracy"), gate("loss")), [ALL])
    assert two.headline == "2 gates failed and are waived: accuracy, loss"


def test_one_that_is_not_waived_still_fails() -> None:
    changed = with_waivers(report(gate("accuracy"), gate("loss")), [ADA])
    with pytest.raises(GateFailed, match="1 gate failed: loss"):
        fail_on_gates(changed)
    assert (changed.status, changed.headline) == (
        "gate failed", "loss is below its gate; the gate of accuracy is waived",
    )  # fmt: skip
    assert [gate.metric for gate in changed.gates] == ["loss", "accuracy"]
    assert [change.name for change in changed.metrics] == ["loss", "accuracy"]
    more = with_waivers(
        report(gate("accuracy"), gate("loss"), gate("f1")), [ADA, replace(ADA, gate="f1")]
    )
    assert more.headline == "loss is below its gate; 2 gates are waived: accuracy, f1"
    assert with_waivers(report(gate("loss")), [ADA]) == report(gate("loss"))


def test_waivers_that_cannot_be_believed_are_taken_away() -> None:
    forged = without_waivers(with_waivers(report(gate("accuracy"), gate("loss")), [ALL]))
    assert {g.state for g in forged.gates} == {"failed"}
    assert {m.gate_state for m in forged.metrics} == {"failed"}
    assert forged.waivers == ()
    assert forged.status == "gate failed"
    assert forged.headline == "2 gates failed: accuracy, loss"
    assert {g.text for g in forged.gates} == {"0.94 < 0.95, gate failed"}
    untouched = report(gate("accuracy"))
    assert without_waivers(untouched) == untouched


HOSTILE = st.text(st.sampled_from(list("ab @#|`<>[]()!*_\\/:.-\n\u202e")), max_size=40)


@given(HOSTILE, HOSTILE)
def test_hostile_reasons_and_names_mean_nothing_in_the_comment(name: str, reason: str) -> None:
    from mcgitops.report import markdown

    failed = gate(name or "x")
    text = " ".join(reason.split())
    waiver = Waiver(failed.metric, "ada", "comment", text, "https://evil.example/")
    shown = with_waivers(report(failed), [waiver])
    is_sound(markdown.render(shown))
    assert json_view.from_data(json_view.to_data(shown)) == shown


def test_who_said_what_is_read_from_the_event() -> None:
    comment = {
        "action": "created",
        "issue": {"number": 7, "pull_request": {}},
        "comment": {"body": "/mcgitops waive a"},
        "sender": {"login": "ada"},
    }
    issue = {"GITHUB_EVENT_NAME": "issue_comment"}
    comment["issue"] = {"number": 7, "pull_request": {"url": "x"}}
    assert read_word(issue, comment) == Word(7, "ada", comment="/mcgitops waive a")
    on_an_issue = {**comment, "issue": {"number": 7}}
    assert isinstance(read_word(issue, on_an_issue), Other)
    assert isinstance(read_word(issue, {**comment, "action": "edited"}), Other)
    pull = {"GITHUB_EVENT_NAME": "pull_request"}
    label = {"pull_request": {"number": 7}, "label": {"name": "mcgitops/waive-a"},
             "sender": {"login": "ada"}}  # fmt: skip
    said = Word(7, "ada", label="mcgitops/waive-a")
    assert read_word(pull, {**label, "action": "labeled"}) == said
    taken = read_word(pull, {**label, "action": "unlabeled"})
    assert isinstance(taken, Word)
    assert taken.taken_back
    assert isinstance(read_word(pull, {**label, "action": "synchronize"}), Other)
    for damaged in (None, [], {}, {"action": "created", "issue": 5}):
        assert isinstance(read_word(issue, damaged), Other)
    assert is_waiver(said)
    assert not is_waiver(Word(7, "ada", comment="hello"))
    assert not is_waiver(Word(7, "ada", label="bug"))


def run(number: int, **more: str | None) -> dict[str, object]:
    return {"id": number, "event": "pull_request", "status": "completed", "conclusion": "failure",
            "html_url": f"u{number}"} | more  # fmt: skip


def test_the_newest_run_is_done_again_where_that_can_change_something() -> None:
    assert chosen([run(1), run(3), run(2)], taken_back=False).run == 3
    assert chosen([run(1)], taken_back=False).how == "rerun-failed-jobs"
    good = run(2, conclusion="success")
    assert chosen([run(1), good], taken_back=True).how == "rerun"
    assert chosen([run(1), good], taken_back=False).reason == "its run didn't fail (success)"
    going = run(4, status="in_progress", conclusion=None)
    assert "hasn't ended" in chosen([run(1), going], taken_back=True).reason
    assert "no run" in chosen([run(1, event="schedule")], taken_back=False).reason


@pytest.mark.parametrize("bad", ["", "../x.yml", "a/b.yml", "x", "-x.yml", "x.yml?y", "a b.yml"])
def test_a_workflow_is_named_by_its_file(bad: str) -> None:
    assert workflow_file("mcgitops-models.yaml") == "mcgitops-models.yaml"
    with pytest.raises(ValueError, match="file name"):
        workflow_file(bad)
