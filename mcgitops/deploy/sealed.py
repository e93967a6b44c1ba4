"""Encrypted files, opened by the real programs: SOPS and age. What they hold stays in memory.

The programs' own words are never quoted, since some of them quote the file: what went wrong is
told from exit codes and known phrases. A key reaches a program through its standard input (age) or
its environment (SOPS), never as an argument.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mcgitops.commands.command import Secret
from mcgitops.errors import UsageError

SUFFIX = ".age"
KEY = "MCGITOPS_AGE_KEY"
_SOPS_NO_KEY = 128
_INSTALL = {
    "age": "Install it (Debian: age), or see age-encryption.org.",
    "sops": "Install it from getsops.io.",
}
Kind = Literal["dotenv", "yaml", "json", "binary", "ini", "plain"]


def is_age(path: str) -> bool:
    """Whether a file is encrypted with age, by its name."""
    return path.endswith(SUFFIX)


def read_values(path: Path, shown: str, environ: Mapping[str, str]) -> str | dict[str, str]:
    """A file of values: the text of a dotenv file, or names with their values as they are."""
    if is_age(shown):
        return _text(open_age(path, shown, environ), shown)
    content = _content(path, shown)
    kind = kind_of(content, path.suffix)
    if kind == "plain":
        if path.suffix in (".json", ".yaml", ".yml") or {"sops", "enc"} & set(_parts(path)):
            raise UsageError(
                f"{shown} is not encrypted with SOPS.",
                f"Encrypt it before you commit it: sops --encrypt --in-place {shown}.",
            )
        return _text(content, shown)
    if kind == "ini":
        raise UsageError(
            f"{shown} is an INI file.", "Keep values in dotenv, YAML or JSON: NAME, then value."
        )
    if kind in ("yaml", "json"):
        return _flat(_sops(path, shown, kind, "json", environ), shown)
    # as text: so the same file gives the same values, whether it is encrypted or not
    return _text(_sops(path, shown, kind, kind, environ), shown)


def open_age(path: Path, shown: str, environ: Mapping[str, str]) -> bytes:
    """The content of a file that is encrypted with age."""
    content = _content(path, shown)
    if not content.lstrip().startswith((b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE")):
        raise UsageError(
            f"{shown} is not encrypted with age, though its name ends in {SUFFIX}.",
            "Encrypt it: age --encrypt --recipient age1… --output FILE.age FILE.",
        )
    identity = _identity(shown, environ)
    done = _run(
        ("age", "--decrypt", "--identity", "-", str(path)), shown, environ,
        input=identity.reveal().encode(),
    )  # fmt: skip
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace")
    if "no identity matched" in said:
        raise UsageError(
            f"{shown} can't be decrypted: the age key in {identity.name} is not one that it is "
            "encrypted for.",
            f"Set {KEY} to a key that is, or encrypt the file for this one as well.",
        )
    if "passphrase-encrypted" in said:
        raise UsageError(
            f"{shown} is encrypted with a passphrase.",
            "Encrypt it for a key: age --encrypt --recipient age1….",
        )
    if 'reading "-"' in said:
        raise UsageError(
            f"{identity.name} holds no age key.",
            "It takes the path of a key file, or the key itself: AGE-SECRET-KEY-1….",
        )
    raise _damaged(shown)


def kind_of(content: bytes, suffix: str = "") -> Kind:
    """How SOPS has encrypted a file, by what it has put into it; `plain` where it hasn't."""
    text = content.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        try:
            document = json.loads(text)
        except ValueError:
            return "json" if re.search(r'"sops"\s*:', text) else "plain"
        if not isinstance(document, dict) or "sops" not in document:
            return "plain"
        # what SOPS makes of a file whose kind it doesn't know
        return "binary" if set(document) == {"data", "sops"} and suffix != ".json" else "json"
    if re.search(r"^sops_(?:version|mac)=", text, re.MULTILINE):
        return "dotenv"
    if re.search(r"^[\"']?sops[\"']?:", text, re.MULTILINE):
        return "yaml"
    return "ini" if re.search(r"^\[sops\]\s*$", text, re.MULTILINE) else "plain"


def _sops(
    path: Path, shown: str, kind: Kind, wanted: str, environ: Mapping[str, str]
) -> bytes:  # fmt: skip
    environ = dict(environ)
    if environ.get(KEY, "").strip():
        environ["SOPS_AGE_KEY"] = _identity(shown, environ).reveal()
    done = _run(
        ("sops", "--decrypt", "--input-type", kind, "--output-type", wanted, str(path)),
        shown, environ,
    )  # fmt: skip
    if done.returncode == 0:
        return done.stdout
    if done.returncode == _SOPS_NO_KEY:
        raise UsageError(
            f"{shown} can't be decrypted: SOPS has none of the keys that it is encrypted for.",
            f"Set {KEY}, SOPS_AGE_KEY_FILE or what else your keys need; "
            f"sops --decrypt {shown} tells which are missing.",
        )
    raise _damaged(shown)


def _run(
    argv: Sequence[str], shown: str, environ: Mapping[str, str], input: bytes = b""  # noqa: A002
) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    try:
        return subprocess.run(
            argv, input=input, env=dict(environ), capture_output=True, check=False
        )
    except FileNotFoundError:
        raise UsageError(
            f"{shown} needs the program {argv[0]}, which is not installed, or not on PATH.",
            _INSTALL[argv[0]],
        ) from None


def _identity(shown: str, environ: Mapping[str, str]) -> Secret:
    """The age key: the first place that has one. Named for messages after where it is from."""
    given = environ.get(KEY, "").strip()
    if given.startswith(("AGE-SECRET-KEY-", "AGE-PLUGIN-")) or "\n" in given:
        return Secret(KEY, given + "\n")
    if given:
        return _key_file(given, KEY)
    if text := environ.get("SOPS_AGE_KEY", "").strip():
        return Secret("SOPS_AGE_KEY", text + "\n")
    if name := environ.get("SOPS_AGE_KEY_FILE", "").strip():
        return _key_file(name, "SOPS_AGE_KEY_FILE")
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "/")) / ".config")
    usual = Path(home) / "sops" / "age" / "keys.txt"
    if usual.is_file():
        return _key_file(str(usual), str(usual))
    raise UsageError(
        f"{shown} is encrypted with age, and there is no key for it.",
        f"Set {KEY} to the path of the key file, or to the key itself.",
    )


def _key_file(name: str, source: str) -> Secret:
    try:
        return Secret(source, Path(name).expanduser().read_text("utf-8"))
    except (OSError, ValueError):
        # what it says isn't repeated: it may be a key that was cut or mistyped
        raise UsageError(
            f"{source} names no file that can be read.",
            "Give the path of an age key file, or the key itself: AGE-SECRET-KEY-1….",
        ) from None


def _content(path: Path, shown: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{shown} can't be read ({error.strerror}).",
            "Commit it encrypted, or put it there before deploying.",
        ) from None


def _flat(content: bytes, shown: str) -> dict[str, str]:
    """Names and values out of SOPS' JSON; numbers as they are written."""
    document: Any = json.loads(content, parse_int=str, parse_float=str)
    flat: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, dict | list):
            raise UsageError(
                f"{shown}: {name} holds more than one value.",
                "A file of values is flat: write NAME: value.",
            )
        if value is None:
            raise UsageError(f"{shown}: {name} has no value.", 'Write "" for an empty one.')
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(
                f"{shown}: {name} can't be the name of a variable.",
                "A name has letters, digits and _, and does not start with a digit.",
            )
        flat[name] = str(value).lower() if isinstance(value, bool) else value
    return flat


def _text(content: bytes, shown: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{shown} holds no text.", "Keep values in UTF-8: NAME=value.") from None


def _parts(path: Path) -> list[str]:
    return path.name.split(".")


def _damaged(shown: str) -> UsageError:
    return UsageError(
        f"{shown} can't be decrypted: it is damaged, or was changed after it was encrypted.",
        "Take it from git again, or encrypt it anew.",
    )
