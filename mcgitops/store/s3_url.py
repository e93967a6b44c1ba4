"""What an `s3://` URL says: bucket, prefix, endpoint, and how the service is spoken to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError

QUERY_KEYS = ("endpoint_url", "region", "profile", "addressing", "checksums", "anonymous")
CHOICES = {
    "addressing": ("path", "virtual"),
    "checksums": ("on", "off"),
    "anonymous": ("true", "false"),
}


@dataclass(frozen=True)
class BucketUrl:
    """A place in a bucket. No credential is ever part of it."""

    bucket: str
    prefix: str = ""  # "" or ends in "/"
    endpoint_url: str = ""
    region: str = ""
    profile: str = ""
    addressing: str = ""  # "path": host/bucket/key, "virtual": bucket.host/key, "": as is usual
    checksums: str = ""  # "on": those that newer AWS clients add, "off": none, "": see the client
    anonymous: str = ""  # "true": requests aren't signed

    def __str__(self) -> str:
        query = "&".join(
            f"{name}={quote(value, safe='/:')}"
            for name in QUERY_KEYS
            if (value := str(getattr(self, name)))
        )
        place = f"s3://{self.bucket}/{quote(self.prefix)}".rstrip("/")
        return f"{place}?{query}" if query else place


def parse(url: str, environ: Mapping[str, str]) -> BucketUrl:
    """Read an `s3://` URL; what it leaves open is taken from the variables that AWS tools know."""
    parts = urlsplit(url)
    bucket = parts.netloc
    if "@" in bucket:
        raise UsageError(
            "The store's URL holds credentials.",
            "Remove them: they are taken from the environment or a profile, as by every AWS tool.",
        )
    shown = url.split("?")[0]
    if not bucket or ":" in bucket:
        raise UsageError(
            f'"{shown}" names no bucket.',
            "Write s3://bucket/prefix; another service than AWS goes to ?endpoint_url=https://….",
        )
    if parts.fragment:
        raise UsageError(f'"{shown}" has a # in it.', "Write %23 where the prefix holds one.")
    query = _query(parts.query, shown)
    if endpoint := query.get("endpoint_url", ""):
        _check_endpoint(endpoint)
    elif environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
        if endpoint:
            _check_endpoint(endpoint)
    names = [unquote(name) for name in parts.path.split("/") if name]
    return BucketUrl(
        bucket=bucket,
        prefix="".join(f"{_checked(name, shown)}/" for name in names),
        endpoint_url=endpoint,
        region=query.get("region", "") or environ.get("AWS_REGION", ""),
        profile=query.get("profile", ""),
        addressing=query.get("addressing", ""),
        checksums=query.get("checksums", ""),
        anonymous=query.get("anonymous", "").replace("false", ""),
    )


def _checked(name: str, shown: str) -> str:
    if name in (".", "..") or not name.isprintable():
        raise UsageError(f"{shown} has a part that can't be in a key.", "Correct the prefix.")
    return name


def _query(text: str, shown: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in QUERY_KEYS:
            import difflib  # as only where a mistake is explained

            near = difflib.get_close_matches(name, QUERY_KEYS, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(QUERY_KEYS)}."
            raise UsageError(f"{shown}: {name[:60]} is not known in a store's URL.", hint)
        if name in values:
            raise UsageError(f"{shown}: {name} is given twice.", "Keep one.")
        if not value:
            raise UsageError(f"{shown}: {name} is empty.", "Give it a value or remove it.")
        if (known := CHOICES.get(name)) and value not in known:
            raise UsageError(
                f"{shown}: {name} can't be {value[:60]!r}.", f"Write {' or '.join(known)}."
            )
        values[name] = value
    return values


def _check_endpoint(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "The store's endpoint holds credentials.",
            "Remove them: they are taken from the environment or a profile, as by every AWS tool.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        address = endpoint.rpartition("://")[2][:200]
        raise UsageError(
            f'The endpoint "{endpoint[:200]}" is not a URL of the web.', f"Write https://{address}."
        )
    if parts.query or parts.fragment:
        raise UsageError(
            f'The endpoint "{parts.scheme}://{parts.netloc}" has a query.',
            "Write only its address.",
        )
