"""The HTML report, parsed as browsers parse: what is in it, and that nothing breaks out."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import unicodedata

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.compare.model import Curve, Matrix, MatrixPair
from mcgitops.report import html, json_view, markup
from mcgitops.report.escape import clean
from mcgitops.resources import templates
from tests.browser import reports
from tests.unit.report import situations

TAGS = {
    "html", "head", "meta", "title", "style", "body", "a", "header", "div", "p", "button", "h1",
    "h2", "h3", "span", "bdi", "code", "dl", "dt", "dd", "nav", "ul", "li", "main", "section",
    "pre", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure",
    "figcaption", "svg", "path", "polyline", "label", "input", "output", "footer", "script",
    "strong", "small",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "href", "id", "type", "hidden",
    "scope", "role", "title", "for", "autocomplete", "spellcheck", "rel", "tabindex", "viewBox",
    "preserveAspectRatio", "d", "fill", "points", "open",
}  # fmt: skip
HEADLINE = "accuracy fell below its gate; the gate of f1.macro is waived"


def parsed(text: str):
    """The document as a browser would build it, and what it would complain about."""
    parser = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False)
    document = parser.parse(text)
    return document, [code for _, code, _ in parser.errors]


def texts_of(document, tag: str) -> list[str]:
    return ["".join(element.itertext()) for element in document.iter(tag)]


def without_library(text: str) -> str:
    """The page without uPlot's text: parsing 50 kB of it again and again shows nothing."""
    start = text.index("<script>/*! https://github.com/leeoniya/uPlot")
    end = text.index("</script>", start)
    return text[: start + len("<script>")] + text[end:]


def check(text: str):
    """The sound page, parsed: html5lib takes a third of a second for it."""
    document, errors = parsed(without_library(text))
    assert errors == []
    ids = [element.get("id") for element in document.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in document.iter():
        assert isinstance(element.tag, str), "a comment"
        tag = element.tag.rpartition("}")[2]
        assert tag in TAGS
        for name in element.attrib:
            assert name in ATTRIBUTES or name.startswith(("data-", "aria-"))
        if tag == "a":
            address = element.get("href")
            assert re.fullmatch(r"#[a-z-]+", address) or address.startswith("https://")
        for label in ("aria-labelledby", "aria-describedby", "for"):
            assert set(element.get(label, "").split()) <= set(ids)
    assert [script.get("type") for script in document.iter("script")] == [
        "application/json", None, None,
    ]  # fmt: skip
    assert len(list(document.iter("style"))) == 1
    for character in set(text):
        assert unicodedata.category(character)[0] != "C" or character == "\n"
    return document


def test_the_page_is_sound():
    check(html.render(reports.full()))


@settings(max_examples=25)
@given(
    st.lists(
        st.text(max_size=40)
        | st.sampled_from(reports.HOSTILE)
        | st.text(alphabet="<>&\"'=/!-` \u202e\u2028{}%\\scriptonload", max_size=40),
        min_size=2,
        max_size=8,
    )
)
def test_no_text_breaks_out(texts):
    texts = [*dict.fromkeys((*texts, *reports.HOSTILE[:3]))]
    report = reports.hostile(tuple(texts))
    text = html.render(report)
    document = check(text)
    said = [" ".join(t.split()) for t in texts_of(document, "bdi")]
    for raw in texts:  # each of them is a waiver's gate, as the text that it is
        shown = "every gate" if raw == "*" else clean(raw, markup.LONGEST)
        assert " ".join(shown.split()) in said


def test_every_section_has_its_content():
    document, _ = parsed(html.render(reports.full()))
    sections = {section.get("id"): section for section in document.iter("section")}
    said = {name: " ".join("".join(node.itertext()).split()) for name, node in sections.items()}
    for name, part in {
        "gates": "drop 0.03 > 0.005, gate failed",
        "metrics": "log_loss",
        "changed": "flowers.csv changed, 4.0 kB → 4.2 kB",
        "curves": "head: from ",
        "classes": "virginica",
        "matrices": "taken for",
        "slices": "p = 0.01 after Holm, of 2 slices",
        "costs": "size of out/model.joblib",
        "artifacts": "Get them: mcgitops pull a1b2c3d4e5f6",
        "lineage": "mcgitops/wine:4be1c0",
        "warnings": "its last row is shorter",
    }.items():
        assert part in said[name]
    assert "the new data is harder" in said["gates"]
    links = [a.get("href") for a in document.iter("a")]
    assert "https://forge.example/wine/pull/7#issuecomment-1" in links
    assert "https://reports.example.com/objects/sha256/9d/9d2e" in links
    assert "44.0 MB" in said["artifacts"]
    assert "its last values, up to the base: " in html.render(reports.full())
    for name in ("failures",):
        assert name not in said
    targets = {link[1:] for link in links if link.startswith("#")} - {"main"}
    assert targets == set(said)


def test_the_verdict_comes_first():
    document, _ = parsed(html.render(reports.full()))
    assert texts_of(document, "h1")[0].endswith(f"wine: {HEADLINE}")
    order = [element.tag for element in document.iter() if element.tag in ("h1", "h2", "nav")]
    assert order[:2] == ["h1", "nav"]
    assert order.count("h1") == 1


def test_only_what_stands_in_the_page_may_run():
    text = html.render(reports.full())
    document, _ = parsed(text)
    (policy,) = (
        meta.get("content") for meta in document.iter("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )  # fmt: skip
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"

    def digests(tag: str) -> set[str]:
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        hashes = (hashlib.sha256(part.encode()).digest() for part in found)
        return {f"'sha256-{base64.b64encode(value).decode()}'" for value in hashes}

    assert set(rules["script-src"].split()) == digests("script")
    assert set(rules["style-src"].split()) == digests("style")
    assert len(digests("script")) == 2
    assert "unsafe" not in policy
    ours = r"forge\.example/wine/pull/|reports\.example\.com/objects/"
    assert not re.search(rf"(src|href|action)=.?(https?:)?//(?!{ours})", text)


def test_a_report_without_charts_carries_no_library():
    text = html.render(dataclasses.replace(reports.full(plots=0), curves=()))
    assert "leeoniya" not in text
    assert len(text) < 100_000
    assert 'id="data"' not in text


def test_a_report_out_of_its_json_has_the_thinned_curves():
    report = dataclasses.replace(
        reports.full(),
        curves=(Curve("train", "h.csv", "val_loss", "epoch", (1, 2, 3), (), (0.5, 0.4, 0.3)),),
    )
    data = json_view.to_data(report)
    assert "plots" not in data
    again = json_view.from_data(json.loads(json.dumps(data)))
    assert again.plots == ()
    document, _ = parsed(html.render(again))
    assert [f.get("data-text") for f in document.iter("figure")] == ["val_loss train · h.csv"]


@given(st.recursive(st.text(max_size=20), lambda inner: st.lists(inner, max_size=4)))
def test_embedded_data_is_json_and_no_markup(data):
    text = html.embedded(data)
    assert json.loads(text) == data
    assert not re.search("[<>&\u2028\u2029]", text)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://forge.example/a",
        "https://user:secret@forge.example/",
        "https://forge.example/\"onclick='x'",
        "https://forge.example",
        "data:text/html,x",
        "//forge.example/",
    ],
)
def test_waivers_and_artifacts_link_to_https_only(url):
    report = reports.full()
    report = dataclasses.replace(
        report,
        waivers=(dataclasses.replace(report.waivers[0], url=url),),
        artifacts=(dataclasses.replace(report.artifacts[0], link=url),),
    )
    document, _ = parsed(html.render(report))
    assert all(a.get("href").startswith("#") for a in document.iter("a"))


def test_a_log_keeps_its_indentation_and_nothing_else():
    from mcgitops.compare.model import Failure

    log = ("Traceback:", "    raise <b>x</b>", "\x1b[31mred", "&lt;")
    report = dataclasses.replace(
        reports.full(), failures=(Failure("train SEED=1", "failed", 1, log),)
    )
    document, _ = parsed(html.render(report))
    lines = texts_of(document, "pre")[0].splitlines()
    assert lines == ["Traceback:", "    raise <b>x</b>", "�[31mred", "&lt;"]


def test_a_large_confusion_matrix_is_cut_and_says_so():
    labels = tuple(f"class{i}" for i in range(100))
    counts = tuple(tuple(float(i == j) for j in range(100)) for i in range(100))
    report = dataclasses.replace(
        reports.full(), matrices=(MatrixPair("train", "", Matrix("m.json", labels, counts)),)
    )
    document, _ = parsed(html.render(report))
    (table,) = (t for t in document.iter("table") if t.get("class") == "matrix")
    assert len(list(table.iter("tr"))) == html.MOST_LABELS + 1
    assert "40 more labels are left out" in "".join(table.itertext())


def test_what_others_wrote_is_what_they_published():
    folder = templates("html", "vendor")
    vendor = json.loads((folder / "vendor.json").read_text())
    files = {path.name for path in folder.iterdir()} - {"vendor.json", "README.md"}
    assert files == set(vendor["files"])
    for name, file in vendor["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == file["sha256"]
    assert vendor["license"] == "MIT"
    assert "MIT License" in (folder / "uPlot.LICENSE").read_text()
    assert f"(v{vendor['version']})" in (folder / "uPlot.iife.min.js").read_text()[:200]
    for name in ("report.js", "vendor/uPlot.iife.min.js"):  # what would end their own element
        assert not re.search(r"</script|<!--", templates("html", name).read_text(), re.IGNORECASE)


def test_of_very_many_metrics_the_worst_are_shown(monkeypatch):
    monkeypatch.setattr(html, "MOST_ROWS", 5)
    document, _ = parsed(html.render(reports.full()))
    (section,) = (s for s in document.iter("section") if s.get("id") == "metrics")
    (body,) = section.iter("tbody")
    assert len(list(body.iter("tr"))) == 5
    assert "The first 5 of 13; mcgitops report --json has all." in "".join(section.itertext())


def test_earlier_values_are_bars_that_are_told_in_numbers():
    page = html.render(situations.with_past())
    assert (
        'role="img" aria-label="its last values, up to the base: 0.91, 0.93, NaN, 0.95, 0.94"'
        in page
    )
    assert ">▁▃·▄▄</span> 0.9762" in page
    parsed(page)
    assert "its last values" not in html.render(situations.improvement())
