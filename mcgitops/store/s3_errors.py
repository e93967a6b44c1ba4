"""What S3 and its client say, as sentences with a remedy. Never holds a credential.

The service's own message is quoted only where we know none of our own, shortened and on one line:
some services put the string that they signed, or the key's id, into it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from typing import Any

from mcgitops.errors import StoreError
from mcgitops.store.s3_url import BucketUrl

_SERVICE: dict[str, tuple[str, str]] = {
    # code: (what, what to do)
    "InvalidAccessKeyId": (
        "the service does not know the access key",
        "Check AWS_ACCESS_KEY_ID (or the profile), and that the endpoint is the right one.",
    ),
    "SignatureDoesNotMatch": (
        "the secret key does not fit the access key",
        "Check AWS_SECRET_ACCESS_KEY (or the profile).",
    ),
    "ExpiredToken": ("the credentials have expired", "Renew them and run the same again."),
    "InvalidToken": ("the session token is not valid", "Check AWS_SESSION_TOKEN, or unset it."),
    "NoSuchBucket": (
        "there is no bucket {bucket}",
        "Create it, or correct the store's URL.",
    ),
    "BucketAsKey": (
        "the service took the bucket's name for a key",
        "Leave the bucket out of ?endpoint_url= (AWS_ENDPOINT_URL): it stands behind s3:// alone.",
    ),
    "AccessDenied": (
        "access was denied",
        "For that the credentials need {rights}; mcgitops store policy prints what each role "
        "needs. Some services say the same of a wrong key.",
    ),
    "RoleDenied": (
        "the role was not given",
        "Check AWS_ROLE_ARN, whom the role trusts (issuer, audience, subject), and that the token "
        "is fresh; in GitHub Actions the job needs permissions: {{id-token: write}}.",
    ),
    "NotS3": (
        "what answers there is not S3",
        "Check ?endpoint_url= (AWS_ENDPOINT_URL): the address of the service's S3 interface, "
        "without the bucket, https:// where it speaks TLS.",
    ),
    "413": (
        "something before the service refuses uploads of that size",
        "Have the proxy there allow bodies of at least 64 MiB (nginx: client_max_body_size).",
    ),
    "407": ("the proxy wants to know who asks", "Write HTTPS_PROXY=http://USER:PASSWORD@HOST."),
    "AnonymousDenied": (
        "the service doesn't allow it without credentials",
        "Remove anonymous=true from the store's URL, and give credentials.",
    ),
    "RequestTimeTooSkewed": (
        "this machine's clock is too far off",
        "Set the clock (timedatectl set-ntp true), then run the same again.",
    ),
    "PermanentRedirect": (
        "the bucket is in another region{region}",
        "Add ?region=… to the store's URL, or set AWS_REGION.",
    ),
    "SlowDown": (
        "the service is overloaded, and went on being so",
        "Run the same again later: what has arrived stays.",
    ),
    "InternalError": (
        "the service failed, and went on failing",
        "Run the same again later: what has arrived stays.",
    ),
    "InvalidBucketName": ("{bucket} can't be a bucket's name", "Correct the store's URL."),
    "QuotaExceeded": (
        "the service has no room left",
        "Free some space there, then run the same again: what has arrived stays.",
    ),
}
_SKEWED = {"AccessDenied", "SignatureDoesNotMatch"}  # what some services say of a wrong clock
SKEW_SECONDS = 300
_SAME = {
    "403": "AccessDenied",
    "Forbidden": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "AccountProblem": "AccessDenied",
    "AuthorizationHeaderMalformed": "PermanentRedirect",
    "IllegalLocationConstraintException": "PermanentRedirect",
    "301": "PermanentRedirect",
    "Throttling": "SlowDown",
    "ThrottlingException": "SlowDown",
    "TooManyRequests": "SlowDown",
    "RequestLimitExceeded": "SlowDown",
    "503": "SlowDown",
    "429": "SlowDown",
    "ServiceUnavailable": "SlowDown",
    "500": "InternalError",
    "502": "InternalError",
    "504": "InternalError",
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "InsufficientStorage": "QuotaExceeded",
    "XMinioStorageFull": "QuotaExceeded",
}

_CLIENT: dict[str, tuple[str, str]] = {
    # class of botocore: (what, what to do)
    "NoCredentialsError": (
        "there are no credentials",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the job a role; "
        "a store that is open to everybody is read with ?anonymous=true.",
    ),
    "PartialCredentialsError": (
        "the credentials are incomplete",
        "Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    ),
    "ProfileNotFound": (
        "there is no such profile{profile} in the AWS configuration",
        "Correct AWS_PROFILE or ?profile=, or make it with aws configure.",
    ),
    "CredentialRetrievalError": (
        "the credentials could not be had",
        "Run the credential process of the profile by hand to see why.",
    ),
    "ParamValidationError": ("{bucket} can't be a bucket's name", "Correct the store's URL."),
    "EndpointConnectionError": (
        "{endpoint} can't be reached",
        "Check the endpoint, the network and the proxy; is the service running?",
    ),
    "ConnectTimeoutError": (
        "{endpoint} does not answer",
        "Check the endpoint, the network and the proxy; is the service running?",
    ),
    "ReadTimeoutError": (
        "{endpoint} stopped answering",
        "Run the same again: what has arrived stays.",
    ),
    "ConnectionClosedError": (
        "{endpoint} closed the connection",
        "Run the same again: what has arrived stays. Is it http instead of https, or the reverse?",
    ),
    "ProxyConnectionError": (
        "the proxy can't be reached",
        "Check HTTPS_PROXY (HTTP_PROXY for an http:// endpoint) and NO_PROXY.",
    ),
    "SSLError": (
        "the certificate of {endpoint} is not trusted",
        "Name your authority's file in AWS_CA_BUNDLE.",
    ),
    "NoTls": ("{endpoint} does not speak TLS", "Write http:// in the endpoint, or check its port."),
    "OtherHost": (
        "the certificate of {endpoint} is another host's",
        "Write the endpoint by the name that the certificate is for.",
    ),
    "OutOfDate": (
        "the certificate of {endpoint} is not valid at this time",
        "Have it renewed; or set this machine's clock (timedatectl set-ntp true).",
    ),
    "NoBundle": (
        "there is no certificate in the file that AWS_CA_BUNDLE names",
        "Name a file with your authority's certificate (PEM), or unset the variable.",
    ),
}
_TLS: tuple[tuple[str, str], ...] = (
    # in what OpenSSL, Python or urllib3 say: what it is
    (r"wrong.version.number|record.layer.failure|unknown.protocol|http.request", "NoTls"),
    (r"hostname mismatch|ip address mismatch|doesn't match", "OtherHost"),
    (r"has expired|not yet valid", "OutOfDate"),
    (r"no such file|no.certificate.or.crl.found|invalid path", "NoBundle"),
)
_RIGHTS = {
    # the first word of an action: what it takes
    "write": "s3:PutObject and s3:AbortMultipartUpload on {bucket}/{prefix}*",
    "delete": "s3:DeleteObject on {bucket}/{prefix}*",
    "list": "s3:ListBucket on {bucket}",
}
_READING = "s3:GetObject on {bucket}/{prefix}*, and s3:ListBucket on {bucket}"
_SAME_CLASS = {
    "ResponseStreamingError": "ReadTimeoutError",
    "IncompleteReadError": "ReadTimeoutError",
    "HTTPClientError": "ConnectionClosedError",
    "TokenRetrievalError": "CredentialRetrievalError",
    "SSOTokenLoadError": "CredentialRetrievalError",
    "UnauthorizedSSOTokenError": "CredentialRetrievalError",
    "LoginTokenLoadError": "CredentialRetrievalError",
    "LoginRefreshRequired": "CredentialRetrievalError",
    "MetadataRetrievalError": "CredentialRetrievalError",
}


class Denied(StoreError):
    """The service knows who asks, and says no."""


def explain(error: Exception, action: str, place: BucketUrl, endpoint: str) -> StoreError:
    """A `ClientError` or `BotoCoreError` as a sentence."""
    response = getattr(error, "response", None)
    facts = {
        "bucket": place.bucket,
        "prefix": place.prefix,
        "endpoint": endpoint,
        "region": "",
        "profile": f" {place.profile}" if place.profile else "",
    }
    rights = _RIGHTS.get(action.split()[0], _READING)
    facts["rights"] = rights.format_map(facts)
    kind = StoreError
    if isinstance(response, dict):
        code = code_of(response)
        if region := _region_of(response):
            facts["region"] = f", {region}"
        code = _SAME.get(code, code)
        if code in _SKEWED and abs(_skew(response)) > SKEW_SECONDS:
            code = "RequestTimeTooSkewed"
        if code == "NoSuchKey" and action.startswith("list"):
            code = "BucketAsKey"  # nothing else is asked of a key while a bucket is listed
        if str(getattr(error, "operation_name", "")).startswith("AssumeRole"):
            code = "RoleDenied"
        if code == "AccessDenied" and place.anonymous:
            code = "AnonymousDenied"
        kind = Denied if code in ("AccessDenied", "AnonymousDenied") else StoreError
        known = _SERVICE.get(code)
        unknown = (f"the service said {_line(code)}: {_line(_message_of(response))}", "")
    else:
        name = _tls(error) if type(error).__name__ == "SSLError" else type(error).__name__
        known = _CLIENT.get(_SAME_CLASS.get(name, name))
        unknown = (f"{name}: {_line(str(error))}", "")
    what, hint = known or unknown
    if known:
        what, hint = what.format_map(facts), hint.format_map(facts)
    at = f" at {endpoint}" if endpoint and endpoint not in what else ""
    where = f"s3://{place.bucket}/{place.prefix}".rstrip("/")
    return kind(f"Could not {action} {where}{at}: {what}.", hint)


def is_foreign(status: int, headers: Mapping[str, str], body: object, operation: str) -> bool:
    """Whether an answer can't be S3's: a web page, another API, a proxy's word, a login.

    Answers of 500 and more aren't judged: what stands before a service says those for it.
    """
    text = body[:4096].lstrip().lower() if isinstance(body, bytes) else b""
    if status >= 500 or status in (304, 407, 413):
        return False
    if 300 <= status < 400 and not text:
        return not any(name.lower().startswith("x-amz-") for name in headers)
    if status < 300 and operation in ("GetObject", "HeadObject"):
        return False  # anything may be kept
    return (
        bool(text)
        and not text.startswith(b"<?xml")
        and (text.startswith((b"<!doctype", b"<html")) or not text.startswith(b"<"))
    )


def of_boto() -> tuple[type[Exception], ...]:
    """The errors of boto3, for an `except`: none before it was imported, which takes long."""
    exceptions = sys.modules.get("botocore.exceptions")
    return (exceptions.BotoCoreError, exceptions.ClientError) if exceptions else ()


def code_of(response: dict[str, Any]) -> str:
    """The error's code; the status where the service gave none (the answer to a HEAD)."""
    code = str(response.get("Error", {}).get("Code") or "")
    return code or str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", "unknown"))


def _tls(error: Exception) -> str:
    said = str(error).lower()
    return next((name for pattern, name in _TLS if re.search(pattern, said)), "SSLError")


def _skew(response: dict[str, Any]) -> float:
    """By how many seconds this machine's clock is ahead of the service's, where it says its own."""
    from email.utils import parsedate_to_datetime  # brings half of email along

    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return now() - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return 0.0


def now() -> float:
    """This machine's clock."""
    return time.time()


def _message_of(response: dict[str, Any]) -> str:
    return str(response.get("Error", {}).get("Message") or "no reason given")


def _region_of(response: dict[str, Any]) -> str:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = str(headers.get("x-amz-bucket-region") or response.get("Error", {}).get("Region", ""))
    return region if re.fullmatch(r"[a-z0-9-]{1,40}", region) else ""


def _line(text: str) -> str:
    """One short line without control characters, and without anything like a key's id."""
    text = re.sub(r"\b(AKIA|ASIA)[A-Z0-9]{8,}\b", "…", text)
    text = "".join(char if char.isprintable() else " " for char in text)
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= 200 else f"{text[:200]}…"
