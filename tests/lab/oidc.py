"""An issuer of identity tokens (OpenID Connect), as a forge is for its jobs: keys over HTTP.

with oidc.issuer() as github: token = github.token("sts.amazonaws.com", "repo:team/wine:ref:…")
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KEY_ID = "lab"


@dataclass(frozen=True)
class Issuer:
    """A running issuer. `thumbprint`: SHA-1 of its certificate, by which services know it."""

    url: str
    thumbprint: str
    key: RSAPrivateKey

    def token(self, audience: str, subject: str, seconds: int = 600) -> str:
        """A signed token (JWT, RFC 7519, RS256) that is valid for so long; negative: expired."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        now = int(time.time())
        head = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
        claims = {
            "iss": self.url, "aud": audience, "sub": subject, "iat": now - 3600,
            "nbf": now - 3600, "exp": now + seconds, "jti": secrets.token_hex(8),
        }  # fmt: skip
        text = ".".join(_base64url(json.dumps(part).encode()) for part in (head, claims))
        signature = self.key.sign(text.encode(), PKCS1v15(), SHA256())
        return f"{text}.{_base64url(signature)}"


@contextmanager
def issuer() -> Iterator[Issuer]:
    """The issuer, running on 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Lab issuer")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, SHA256())
    )
    der = certificate.public_bytes(Encoding.DER)
    numbers = key.public_key().public_numbers()
    answers: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path, {})).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    answers["/.well-known/openid-configuration"] = {"issuer": url, "jwks_uri": f"{url}/keys"}
    answers["/keys"] = {
        "keys": [
            {
                "kid": KEY_ID, "kty": "RSA", "alg": "RS256", "use": "sig",
                "n": _base64url(numbers.n.to_bytes(256, "big")), "e": "AQAB",
                "x5c": [base64.b64encode(der).decode()],
            }
        ]
    }  # fmt: skip
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield Issuer(url, hashlib.sha1(der).hexdigest().upper(), key)
    finally:
        server.shutdown()
        server.server_close()


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
