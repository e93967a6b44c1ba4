"""The one Jinja2 environment of pages and images: HTML and SVG, everything in them escaped.

Every value becomes one line of visible characters, and is escaped, whatever the template forgets.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from mcgitops.compare import numbers
from mcgitops.compare.model import Interval
from mcgitops.report import words
from mcgitops.report.escape import clean
from mcgitops.resources import templates

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

LONGEST = 300
"""Characters of a value."""


def render(name: str, **values: object) -> str:
    """The template `templates/html/NAME`."""
    return _environment().get_template(name).render(**values)


def raw(text: str) -> Markup:
    """Text of ours that is markup already."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates("html")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(
        revision=words.revision,
        value=words.value,
        parameter=words.parameter,
        size=numbers.size,
        plain=numbers.plain,
        line=_line,
        link=_link,
        interval=_interval,
        fit=fit,
        ours=raw,
    )
    return environment


def _shown(value: object) -> object:
    """Every value on its way into the page: one line of visible characters."""
    if hasattr(value, "__html__") or isinstance(value, (int, float)):
        return value
    return clean(str(value), LONGEST)


def _line(text: str) -> str:
    """A line of a log, with its indentation (which `clean` takes away)."""
    indent = len(text) - len(text.lstrip(" "))
    return raw(" " * min(indent, 40) + str(_escaped(clean(text, 500))))


def _escaped(text: str) -> Markup:
    from markupsafe import escape

    return escape(text)


def _link(url: str) -> str:
    """The address, where it is a plain https one; else ""."""
    is_plain = re.fullmatch(r"https://[A-Za-z0-9.-]+(:\d+)?/[A-Za-z0-9._~/?#=&%+-]*", url)
    return url if is_plain and len(url) <= LONGEST else ""


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{numbers.plain(interval.low)} to {numbers.plain(interval.high)}"


def fit(text: str, most: int) -> str:
    """At most `most` narrow characters: wide ones (Chinese, emoji) count twice."""
    import unicodedata

    text = clean(text, LONGEST)
    widths = [2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text]
    if sum(widths) <= most:
        return text
    total, end = 1, 0
    while total + widths[end] <= most:
        total += widths[end]
        end += 1
    return text[:end].rstrip() + "…"
