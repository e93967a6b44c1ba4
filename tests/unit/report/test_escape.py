"""Hostile text does nothing: seen by a real Markdown parser, in running text, tables and HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mcgitops.report import escape

GITHUB = MarkdownIt("gfm-like")  # tables, strikethrough, bare links, raw HTML, as GitHub reads it
GITHUB.linkify.set({"fuzzy_link": True, "fuzzy_email": True})  # even more than GitHub links

HOSTILE = [
    "|", "a|b", "\\|", "a\\|b|", "`", "``a`", "`|`", "*b*", "_i_", "__b__", "~~s~~", "# h",
    "[a](http://x.example)", "![i](http://x.example/i.png)", "<b>", "<script>alert(1)</script>",
    "</details>", "<!-- x", "-->", "<!--\n-->", "&lt;", "&#64;all", "@everyone", "a@b.example",
    "user/repo#12", "#12", "GH-12", "JIRA-7", "www.x.example", "http://x.example",
    "https://x.example|", "ftp://x.example", "mailto:a@b.example", "deadbeef", "0123456789abcdef",
    "a\nb", "a\r\n\r\n# h", "\u2028b", "\u202eevil", "a\u200bb", "\x1b[31mred", "\x00", "\ud800",
    "$x$", "$`x`$", ":smile:", "```", "~~~", "- x", "1. x", "> x", "a  \nb", "\\", "a\\", "  ", "",
    "e" + "\u0301" * 50, "🙂", "نص", "x" * 5000, "|" * 500, "`" * 300, "@" * 300, "a" * 79 + "|",
    "w.aG", "x.com", "train.py",
]  # fmt: skip

texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=60),
    st.text(st.sampled_from("|`\\<>!-#@&[]()*_~$:\n \t./wh0aGH\u202e\u200b\"'"), max_size=60),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map("".join),
)


class Text(HTMLParser):
    """Splits rendered HTML into tags, text, and the text within code."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.code = ""
        self.bare = ""
        self.comments = 0
        self._inside = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not any(name in ("href", "src") for name, _ in attrs)
        self._inside += tag == "code"

    def handle_endtag(self, tag):
        self._inside -= tag == "code"
        self.code += " " if tag == "code" else ""

    def handle_comment(self, data):
        self.comments += 1

    def handle_data(self, data):
        if self._inside:
            self.code += data
        else:
            self.bare += data


def is_harmless(rendered: Text, allowed: set[str]) -> None:
    assert set(rendered.tags) <= allowed, rendered.tags
    assert rendered.comments == 0
    # what a forge links or mentions outside of code
    assert not re.search(r"[@#$`|\\<>]|\bwww\.|://|\b[0-9a-f]{7,64}\b", rendered.bare)
    # not even in code is anybody mentioned
    assert not re.search(r"@\w|#\w", rendered.code)


def same(shown: str, text: str, limit: int = 80) -> bool:
    """Whether what is seen is the cleaned text, up to the signs that we replace."""
    text = escape.clean(text, limit).replace("|", "∣") or "(empty)"
    return " ".join(shown.replace("\u200b", "").split()) == " ".join(text.split())


@given(texts)
@settings(max_examples=200, deadline=None)
def test_running_text(text):
    for shown in (escape.plain(text), escape.code(text)):
        rendered = Text(GITHUB.render(f"### name: {shown} and more"))
        is_harmless(rendered, {"h3", "code"})
        found = (rendered.bare + rendered.code).replace("name:", "").replace("and more", "")
        assert same(rendered.code or found, text)


@given(texts)
@settings(max_examples=200, deadline=None)
def test_sentences(text):
    rendered = Text(GITHUB.render(f"said: {escape.prose(text)} end"))
    assert set(rendered.tags) <= {"p", "code"}
    assert not re.search(r"[@#$`|\\]|\bwww\.|://|\b[0-9a-f]{7,64}\b", rendered.bare)
    assert not re.search(r"@\w|#\w", rendered.code)


@given(texts, texts)
@settings(max_examples=200, deadline=None)
def test_a_table_keeps_its_cells(one, two):
    table = f"| a | b | c |\n|:--|:--|:--|\n| {escape.plain(one)} | {escape.code(two)} | end |"
    html = GITHUB.render(table)
    assert html.count("<td") == 3
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html, re.DOTALL)
    assert cells[2] == "end"
    for cell, text in zip(cells, (one, two), strict=False):
        rendered = Text(cell)
        is_harmless(rendered, {"code"})
        assert same(rendered.code or rendered.bare, text)


@given(st.lists(texts, max_size=5))
@example(["```", "````text", "~~~"])
@settings(max_examples=150, deadline=None)
def test_a_code_block_ends_where_we_end_it(lines):
    html = GITHUB.render(f"{escape.fence(lines)}\n\nafter **it**")
    assert html.count("<pre>") == 1
    assert html.endswith("<p>after <strong>it</strong></p>\n")


@given(texts)
@settings(max_examples=150, deadline=None)
def test_clean_is_one_short_visible_line(text):
    found = escape.clean(text, 50)
    assert len(found) <= 50
    assert "<!--" not in found
    assert "-->" not in found
    assert found.isprintable() or found == ""
    found.encode()
    assert escape.clean(found, 50) == found


@given(texts)
@settings(deadline=None)
def test_mermaid_titles_end_no_string_and_start_no_directive(text):
    assert not re.search(r"[\"'`;%#<>{}\[\]\n&]", escape.mermaid(text))
    assert escape.mermaid(text)


@pytest.mark.parametrize(
    "text",
    [
        "accuracy",
        "log_loss",
        "macro avg.f1-score",
        "out/metrics.json",
        "SEED=0",
        "50%",
        "val 1.5",
        "class_1.f1",
        "class 0.recall",
    ],
)
def test_harmless_names_stay_as_they_are(text):
    assert escape.plain(text) == text
    assert Text(GITHUB.render(f"x {text} y")).tags == ["p"]


@pytest.mark.parametrize(
    "text",
    [
        "w.aG",
        "train.py",
        "x.com/y",
        "a.b.org",
        "www.example",
        "GH-12",
        "deadbeef1",
        "a:b",
        "_x_",
        "JIRA-7",
        "a@b",
        "ünï",
        "-x",
        "x.",
    ],
)
def test_what_could_mean_something_is_code(text):
    assert escape.plain(text).startswith("`")


def test_words_of_a_sentence_are_judged_one_by_one():
    assert escape.prose("train SEED=1, @all, x") == "train SEED=1, `@\u200ball`, x"
    assert escape.prose("drop 0.03 > 0.005, gate failed; p < 0.001 (Welch, 3 + 3)") == (
        "drop 0.03 > 0.005, gate failed; p < 0.001 (Welch, 3 + 3)"
    )


def test_many_digits_of_a_number_of_ours_name_no_commit() -> None:
    assert escape.ours("0.0002518 − 12.5 MB") == "`0.0002518` − 12.5 MB"
    assert escape.ours("1,234,567") == "1,234,567"
