"""Makes hostile text harmless: the only place that knows how.

Names, values, branches and logs come from files that anybody can change in a pull request. In
Markdown such a text appears either as it is, where it provably means nothing (`plain`), or as a
code span, in which forges neither link nor mention. Nothing else is ever put into a report. The
summary of a fold is HTML: `html_piece` does the same there, with `<code>`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

from mcgitops.report.text import Name, Sentence

ZERO_WIDTH_SPACE = "\u200b"
UNSEEN = "\ufffd"
MOST_MARKS = 3
"""Combining marks in a row that are kept; more of them paint over other lines."""

_HALVES = re.compile("[\ud800-\udfff]")
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:(?:[_./= -]|, )[A-Za-z0-9]+)*%?")
_WORD = re.compile(
    r"[=<>≤≥+·–%]|[+−]?[0-9][0-9.,]*e[+−][0-9]+[,;:.]?|"
    r"\(?[+−]?(?:[<>∞][0-9.,]*|[A-Za-z0-9]+(?:[_./,'’=-][A-Za-z0-9]+)*)%?\)?[,;:.]?"
)
_REFERENCE = re.compile(
    r"\bwww\.|\b[A-Za-z]+-\d|\b[0-9a-f]{7,64}\b|\b(?:https?|ftp|mailto|xmpp)\b"
    r"|[a-z0-9]\.(?:[a-z]{2}|com|org|net|edu|gov|biz|info|pro|web|xxx|aero|asia|coop|museum|name|shop"
    r"|xn--[a-z0-9-]+)(?![a-z0-9])",
    re.IGNORECASE,
)
"""What forges turn into links by themselves, even as bare words; some do so with domains, and
`train.py` is one in Paraguay."""

_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/?#=&%+,:@-]*)?")
MOST_ADDRESS = 2000


def clean(text: str, limit: int = 200) -> str:
    """One line of visible characters, at most `limit` of them.

    Line breaks and tabs become spaces; control, bidirectional and zero-width characters become �.
    """
    cut = len(text) > 4 * limit
    text = text[: 4 * limit]
    if not (text.isascii() and text.isprintable()):
        text = _visible(text)
    text = " ".join(text.split())
    text = text.replace("<!--", "<! --").replace("-->", "-- >")
    if cut or len(text) > limit:
        text = text[: limit - 1].rstrip() + "…"
    return text


def writable(text: str) -> str:
    """The text as UTF-8 can write it: a half of a surrogate pair, which it can't, becomes �.

    Python reads one from the JSON escape of it, and from a file's name that is not UTF-8. What
    goes through `clean` has none left.
    """
    return text if text.isascii() else _HALVES.sub(UNSEEN, text)


def plain(text: str, limit: int = 80) -> str:
    """As it is where it means nothing in Markdown, else a code span. Valid in tables, too."""
    text = clean(text, limit)
    if _PLAIN.fullmatch(text) and not _REFERENCE.search(text):
        return text
    return code(text, limit)


def prose(text: str, limit: int = 300) -> str:
    """A sentence of ours that may hold names: each word that could mean something is a code span.

    Never put it at the beginning of a line.
    """
    words = clean(text, limit).split()
    return " ".join(_word(word, limit) for word in words)


def ours(text: str) -> str:
    """Numbers and words of our own, as they are; but many digits in a row may name a commit."""
    return " ".join(code(word) if _REFERENCE.search(word) else word for word in text.split(" "))


def code(text: str, limit: int = 80) -> str:
    """A code span that is valid in running text and in a table's cell."""
    text = clean(text, limit)
    if not text:
        return "(empty)"
    # A pipe ends a cell even within a code span, and the escape for it shows outside of tables:
    # so it is written as the character that looks like it.
    text = text.replace("|", "∣")
    text = re.sub(r"@|#(?=\w)", lambda match: match.group() + ZERO_WIDTH_SPACE, text)
    fence = "`" * (_longest_run(text, "`") + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def piece(text: str, limit: int = 80) -> str:
    """A piece of running text, by its kind (see `text.py`): a name, a sentence, or our own."""
    if isinstance(text, Name):
        return plain(text, limit)
    return prose(text) if isinstance(text, Sentence) else ours(text)


def html_piece(text: str, limit: int = 60) -> str:
    """The same as HTML, for places where Markdown isn't read."""
    if isinstance(text, Name):
        return _html_code(text, limit)
    if isinstance(text, Sentence):
        words = clean(text, 300).split()
        return " ".join(_html_word(word, limit) for word in words)
    return " ".join(
        _html_code(word, limit) if _REFERENCE.search(word) else html.escape(word)
        for word in text.split(" ")
    )


def link(label: str, address: str) -> str:
    """A link of ours; only the label where the address isn't plainly one of the web.

    label: words of our own, or what `plain` made of a name. address: from the project's
    configuration or the store, never out of a file of a pull request.
    """
    if len(address) > MOST_ADDRESS or not _ADDRESS.fullmatch(address):
        return label
    return f"[{label}](<{address}>)"


def fence(lines: Iterable[str], limit: int = 200) -> str:
    """A code block; nothing within it can end it."""
    body = [_line(line, limit) for line in lines]
    longest = max((_longest_run(line, "`") for line in body), default=0)
    mark = "`" * max(3, longest + 1)
    return "\n".join((f"{mark}text", *body, mark))


def mermaid(text: str, limit: int = 60) -> str:
    """For a quoted text within a Mermaid chart: letters, digits and a few harmless signs."""
    text = re.sub(r"[^\w .,:()/+-]", " ", clean(text, limit))
    return " ".join(text.split()) or "series"


def spreadsheet(text: str) -> str:
    """A text for a cell of CSV: no program takes it for a formula, and it stays one line.

    What begins like a formula gets an apostrophe before it (OWASP, CSV injection).
    """
    text = clean(text, 32_000)  # a cell of a spreadsheet holds 32,767
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _word(word: str, limit: int) -> str:
    if _WORD.fullmatch(word) and not _REFERENCE.search(word):
        return word
    bare = word.rstrip(",;:.")
    return code(bare, limit) + word[len(bare) :] if bare else code(word, limit)


def _html_code(text: str, limit: int) -> str:
    text = clean(text, limit)
    if not text:
        return "(empty)"
    text = re.sub(r"@|#(?=\w)", lambda match: match.group() + ZERO_WIDTH_SPACE, text)
    return f"<code>{html.escape(text)}</code>"


def _html_word(word: str, limit: int) -> str:
    if _WORD.fullmatch(word) and not _REFERENCE.search(word):
        return html.escape(word)
    bare = word.rstrip(",;:.")
    return _html_code(bare, limit) + word[len(bare) :] if bare else _html_code(word, limit)


def _line(text: str, limit: int) -> str:
    """A line of a log: as `clean`, but with its indentation."""
    indent = len(text) - len(text.lstrip(" "))
    return " " * min(indent, 20) + clean(text, limit)


def _visible(text: str) -> str:
    shown: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if category[0] == "M":
            marks += 1
            if marks <= MOST_MARKS:
                shown.append(character)
            continue
        marks = 0
        if character in "\n\r\t\v\f" or category[0] == "Z" or character == "\x85":
            shown.append(" ")
        elif category[0] == "C":
            shown.append(UNSEEN)
        else:
            shown.append(character)
    return "".join(shown)


def _longest_run(text: str, character: str) -> int:
    return max((len(run) for run in re.findall(f"{re.escape(character)}+", text)), default=0)
