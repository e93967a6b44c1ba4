"""The patterns of `.dockerignore`, as the builder takes them.

Written after the builder's own matcher (moby/patternmatcher), and held to the builder by a test.
The Docker SDK has one too, but it brings the SDK's HTTP client along, which would be a third of the
time of every plan, it tries every pattern on every path one by one, and where there are exceptions
it differs from the builder below `**`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from functools import cache

Matcher = Callable[[str], bool]
_SET = re.compile(r"(\^?(?:\\.|[^\]\\])+)\]", re.DOTALL)


def patterns(text: str) -> list[str]:
    """The patterns of an ignore file, cleaned; an exception starts with `!`."""
    found: list[str] = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.startswith("#"):
            continue
        pattern = line.strip()
        mark = "!" if pattern.startswith("!") else ""
        pattern = pattern.removeprefix("!").strip()
        if pattern:
            # a leading slash means nothing: every pattern starts at the context's root
            found.append(mark + (posixpath.normpath(pattern).lstrip("/") or "."))
    return found


def matcher(cleaned: Iterable[str]) -> Matcher:
    """Whether a path or a folder that leads to it is excluded."""
    found = [
        (not pattern.startswith("!"), part)
        for pattern in cleaned
        if (part := _expression(pattern.removeprefix("!")))
    ]
    if all(excluding for excluding, _ in found):
        # without exceptions their order doesn't count, and what fits a folder fits all below it
        one = re.compile(f"(?:{'|'.join(part for _, part in found)})(?:/.*)?", re.DOTALL)
        return lambda path: bool(found) and one.fullmatch(path) is not None
    rules = [(excluding, re.compile(part, re.DOTALL)) for excluding, part in found]

    @cache
    def fits(folder: str) -> tuple[bool, ...]:
        return look(folder)[1]

    def look(path: str) -> tuple[bool, tuple[bool, ...]]:
        # As the builder does it: what a folder fits, all below it fits; an exception is only asked
        # where something is excluded so far, and a pattern only where nothing is.
        parent = path.rpartition("/")[0]
        inherited = fits(parent) if parent else (False,) * len(rules)
        result = False
        fitting: list[bool] = []
        for (excluding, expression), known in zip(rules, inherited, strict=True):
            asked = excluding is not result
            fit = known or (asked and expression.fullmatch(path) is not None)
            fitting.append(fit)
            if fit:
                result = excluding
        return result, tuple(fitting)

    return lambda path: look(path)[0]


def reaches(exception: str, folder: str) -> bool:
    """Whether an exception (without its mark) can fit something below `folder`."""
    wanted, has = exception.split("/"), folder.split("/")
    for pattern, segment in zip(wanted, has, strict=False):
        if "**" in pattern:
            return True
        if not re.fullmatch(_expression(pattern), segment):
            return False
    return len(wanted) > len(has)


def _expression(pattern: str) -> str:
    """A pattern as a regular expression; "" for one that is malformed (the builder says so)."""
    out = ""
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            first = at == 1
            at += 1
            if pattern.startswith("/", at):
                at += 1
            elif first and not re.search(r"[*?\[\]\\]", pattern[at:]):
                out += ".*"  # "**.pyc": whatever ends so
                continue
            out += "(?:.*/)?" if at < len(pattern) else ".*"
        elif character == "*":
            out += "[^/]*"
        elif character == "?":
            out += "[^/]"
        elif character == "\\":
            out += re.escape(pattern[at : at + 1] or "\\")
            at += 1
        elif character == "[" and (set_ := _SET.match(pattern, at)):
            # a set as in Go; Python alone gives a bracket, & and ~ in it a meaning
            out += "[" + re.sub(r"([\[&~|])", r"\\\1", set_[1]) + "]"
            at = set_.end()
        else:
            out += re.escape(character)
    try:
        re.compile(out)
    except re.error:
        return ""
    return out
