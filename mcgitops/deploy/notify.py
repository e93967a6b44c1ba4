"""Messages to webhooks about a rollout: `notify:` of an environment.

A message is a Jinja2 template that gives JSON, rendered in a sandbox. Release names, problems and
hosts were written by others: built-in templates quote each of them, and nothing in them can address
a person or a channel. A message that can't be sent is a warning, never a failed deployment. The
URL is a secret: no warning repeats it.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.parse import urlsplit

from mcgitops.commands.command import Secret
from mcgitops.deferred import dataclass
from mcgitops.deploy.outcome import Report
from mcgitops.project.environment import TEMPLATES, Notify
from mcgitops.resources import templates

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

State = Literal["started", "succeeded", "rolled-back", "needs-attention"]

TIMEOUT = 10.0
TRIES = 3
PAUSE = 1.0
"""Seconds before the second try; twice that before the third."""
PATIENCE = 2 * TRIES * TIMEOUT
"""The seconds after which a server that keeps on sending crumbs is given up."""

LONGEST = 1500
"""Characters of a problem that are told; the rest is in the log."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SYMBOLS = {"started": "🚀", "succeeded": "✅", "rolled-back": "↩️", "needs-attention": "🔴"}


@dataclass(frozen=True)
class HostOutcome:
    """One host of a notice."""

    name: str
    outcome: str = ""
    before: str = ""
    problem: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Notice:
    """What is told about a rollout. Every text may have been written by somebody else."""

    project: str
    environment: str
    release: str
    state: State
    previous: str = ""
    hosts: tuple[HostOutcome, ...] = ()
    problem: str = ""
    by: str = ""
    commit: str = ""
    seconds: float = 0.0
    url: str = ""  # where the environment is served
    log: str = ""  # the page of the CI run

    @property
    def headline(self) -> str:
        """The notice in one line."""
        where, what = self.environment, self.release
        if self.state == "started":
            return f"{self.project}: deploying {what} to {where}"
        if self.state == "succeeded":
            return f"{self.project}: {where} runs {what}"
        if self.state == "rolled-back":
            kept = f", it runs {self.previous} as before" if self.previous else ""
            return f"{self.project}: {what} is not deployed to {where}{kept}"
        return f"{self.project}: {where} needs attention, deploying {what} did not end well"

    @property
    def lines(self) -> tuple[str, ...]:
        """The rest for people: a line for each host, then who, what and how long."""
        hosts = (
            f"{host.name}: {host.outcome}"
            + (f", it ran {host.before}" if host.before and self.state == "succeeded" else "")
            for host in self.hosts
            if host.outcome
        )
        facts = (
            self.by and f"by {self.by}",
            self.commit and f"commit {self.commit[:7]}",
            self.seconds and f"{self.seconds:.0f} s",
        )
        return (*hosts, *filter(None, (" · ".join(fact for fact in facts if fact),)))


def of_report(report: Report, state: State, *, project: str, **more: str) -> Notice:
    """The notice of a rollout that ended. `more`: `url`, `log`, and what the report leaves open."""
    hosts = report.hosts.values()
    before = dict.fromkeys(host.before for host in hosts if host.before)
    told: dict[str, Any] = {
        "by": report.by, "commit": report.commit,
        "problem": report.problem or next((one.problem for one in hosts if one.problem), ""),
    }  # fmt: skip
    told |= {name: value for name, value in more.items() if value}
    return Notice(
        project=project,
        environment=report.environment,
        release=report.release,
        state=state,
        previous=", ".join(before),
        hosts=tuple(
            HostOutcome(one.host, one.outcome, one.before, one.problem, round(one.seconds, 1))
            for one in hosts
        ),
        seconds=round(report.seconds, 1),
        **told,
    )


class Notifier:
    """Sends notices one after the other beside the work, and says each warning once."""

    def __init__(
        self, specs: Sequence[Notify], folder: Path, environ: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._specs = specs
        self._folder = folder
        self._environ = environ
        self._say = say
        self._said: set[str] = set()
        self._sending: threading.Thread | None = None
        self._warnings: list[str] = []

    def tell(self, notice: Notice, specs: Sequence[Notify] | None = None) -> None:
        """Start to send a notice; `specs` narrows who hears of it."""
        self.wait()
        chosen = self._specs if specs is None else specs
        if any(notice.state in spec.on for spec in chosen):
            arguments = (chosen, notice, self._environ, self._folder)
            self._sending = threading.Thread(
                target=lambda: self._warnings.extend(send(*arguments)), daemon=True
            )
            self._sending.start()

    def wait(self) -> None:
        """Until the last notice is on its way; then say what went wrong with it."""
        if self._sending is not None:
            self._sending.join()
            self._sending = None
        for warning in self._warnings:
            if warning not in self._said:
                self._said.add(warning)
                self._say(warning)
        self._warnings.clear()


def send(
    specs: Sequence[Notify], notice: Notice, environ: Mapping[str, str], folder: Path,
    *, pause: float = PAUSE, timeout: float = TIMEOUT,
) -> list[str]:  # fmt: skip
    """Tell all webhooks that want to hear of it, side by side; returns a warning for each failure.

    folder: the project's, in which a template's path is looked up.
    """
    warnings: dict[str, None] = {}

    def one(spec: Notify) -> None:
        try:
            post(address(spec.url_from, environ), render(spec.template, notice, folder),
                 pause=pause, timeout=timeout)  # fmt: skip
        except NotSent as error:
            warnings[f"No message through ${spec.url_from}: {error}"] = None

    threads = [
        threading.Thread(target=one, args=(spec,), daemon=True)
        for spec in specs
        if notice.state in spec.on
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        warnings["A webhook is still answering; it is not waited for."] = None
    return list(warnings)


class NotSent(Exception):
    """Why a message was not sent, in a sentence without the URL."""


def address(name: str, environ: Mapping[str, str]) -> Secret:
    """The webhook's URL out of its variable, if a secret may travel there at all."""
    text = environ.get(name, "").strip()
    if not text:
        raise NotSent("the variable is not set.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or not text.isascii() or not text.isprintable() or " " in text:
        raise NotSent("what it holds is not a URL.")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise NotSent("its URL is not https, so that anybody on the way could read it.")
    if parts.username is not None or parts.password is not None:
        raise NotSent("its URL holds a user or a password, which no webhook takes.")
    return Secret(name, text)


def render(template: str, notice: Notice, folder: Path) -> bytes:
    """The message as JSON. Raises `NotSent` where the template is missing, wrong or gives none."""
    from jinja2 import TemplateError, TemplateNotFound

    known = template in TEMPLATES
    environment = _environment(templates("notify") if known else folder)
    name = f"{template}.j2" if known else template
    try:
        text = environment.get_template(name).render(
            **{key: getattr(notice, key) for key in notice.__dataclass_fields__},
            headline=notice.headline,
            lines=notice.lines,
            symbol=_SYMBOLS[notice.state],
            notice=asdict(notice),
        )
    except TemplateNotFound:
        raise NotSent(f"there is no template {template} in {folder}.") from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        place = f"{template}:{line}" if line else template
        raise NotSent(f"{place}: {error.message or type(error).__name__}.") from None
    except Exception as error:  # noqa: BLE001  (a template may raise whatever it calls)
        raise NotSent(f"{template}: {type(error).__name__}: {error}.") from None
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise NotSent(
            f"{template} gives no JSON: {error}. Write every value as {{{{ value | tojson }}}}."
        ) from None
    return json.dumps(value).encode()


def post(url: Secret, body: bytes, *, pause: float = PAUSE, timeout: float = TIMEOUT) -> None:
    """Send it, up to three times. Raises `NotSent`."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause * attempt)
        try:
            _post(url, body, timeout)
            return
        except _Passing as error:
            failure = error
    raise NotSent(f"{failure}, {TRIES} times.")


class _Passing(Exception):
    """A failure that may be over in a moment."""


def _post(url: Secret, body: bytes, timeout: float) -> None:
    text = url.reveal()
    headers = {"Content-Type": "application/json", "User-Agent": "mcgitops"}
    request = urllib.request.Request(text, body, headers, method="POST")  # noqa: S310 - https
    # what is on this machine is not asked for through a proxy
    local = (urlsplit(text).hostname or "") in _LOOPBACK
    handlers = [_NoRedirect(), *((urllib.request.ProxyHandler({}),) if local else ())]
    try:
        urllib.request.build_opener(*handlers).open(request, timeout=timeout).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= 500 or error.code == 429:
            raise _Passing(f"the webhook answered {error.code}") from None
        if 300 <= error.code < 400:
            raise NotSent(
                f"the webhook answered {error.code}: it is elsewhere, and redirects are not "
                "followed. Give its final address."
            ) from None
        raise NotSent(f"the webhook answered {error.code}.") from None
    except (TimeoutError, urllib.error.URLError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            raise _Passing(f"the webhook gave no answer within {timeout:g} s") from None
        said = cause.strerror if isinstance(cause, OSError) else None
        raise _Passing(f"the webhook can't be reached ({said or type(cause).__name__})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(f"the webhook's answer broke off ({type(error).__name__})") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could take the message, and the secret in its URL, to somebody else."""

    def redirect_request(self, *arguments: Any, **more: Any) -> None:
        """Follow none: it becomes an error with the status."""
        return


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


@cache
def _environment(folder: Path) -> SandboxedEnvironment:
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder),
        autoescape=False,  # JSON, not HTML: every value goes through tojson
        undefined=StrictUndefined,
    )
    # an unknown name has no JSON form, but as text it says which name it is
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": str}
    environment.filters.update(slack=slack, discord=discord, short=short, fenced=fenced)
    return environment


def short(text: str, limit: int = LONGEST) -> str:
    """At most so many characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def slack(text: str, limit: int = LONGEST) -> str:
    """Text that Slack shows as it is: no link, no mention. Cut before it is escaped."""
    text = short(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("@", "@\u200b")


def discord(text: str, limit: int = LONGEST) -> str:
    """Text that Discord shows as it is: no mention, no Markdown."""
    marked = "".join(f"\\{c}" if c in "\\*_~|`>#[]()<-" else c for c in short(text, limit))
    return marked.replace("@", "@\u200b")


def fenced(text: str, limit: int = LONGEST) -> str:
    """The inside of a code block: it can't end the block, and it addresses nobody."""
    return short(text, limit).replace("`", "'").replace("@", "@\u200b")
