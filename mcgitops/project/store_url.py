"""Which addresses can name a store. Apart from the models, since it is asked without them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

STORE_SCHEMES = ("file", "s3")


def check_store_url(url: str) -> None:
    """Raise `ValueError` where `url` can't name a store: the text says why and what to write."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        if not url.strip():
            raise ValueError("is empty. Write a folder or s3://bucket/prefix.")
        if re.match(r"^(s3|file):", url):
            raise ValueError(f'"{url}" is not a URL. Write {url.split(":")[0]}://….')
        return
    if scheme not in STORE_SCHEMES:
        raise ValueError(f'"{url}": {scheme}:// is not known. Write s3://… or file://….')
    if scheme == "s3" and not urlsplit(url).netloc:
        raise ValueError(f'"{url}" names no bucket. Write s3://bucket/prefix.')
    if scheme == "file" and not rest.startswith("/"):
        raise ValueError(f'"{url}" is not absolute. Write file:///folder, or the folder alone.')
