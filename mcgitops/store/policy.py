"""Who may do what in a bucket that many share: a policy for each role, as IAM reads it. Pure.

The same document is an identity's policy at AWS, Ceph and MinIO; with a principal it is a
statement of a bucket's own policy. The language: IAM's JSON policy elements, version 2012-10-17.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcgitops.deferred import dataclass
from mcgitops.store.layout import DOCTOR

CONTENT = ("objects/", "packs/", "journal/")
"""What everybody writes who publishes anything."""
MARKS = "marks/"  # who pushes takes back what garbage collection marked
EVERYTHING = ("",)


@dataclass(frozen=True)
class Role:
    """What somebody is for, and below which of a store's prefixes he writes and deletes."""

    name: str
    does: str
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()


ROLES = (
    Role("reader", "pull, runs, show, report, compare; store doctor --read-only"),
    Role(
        "trainer",
        "also train and push in CI: runs, commits, reports",
        (*CONTENT, "runs/", "attempts/", "commits/", "reports/", MARKS, DOCTOR),
        (DOCTOR,),
    ),
    Role(
        "releaser",
        "reads, and publishes releases and deployments",
        (*CONTENT, "releases/", "deployments/", "wanted/", MARKS, DOCTOR),
        (DOCTOR,),
    ),
    Role("keeper", "everything: also gc and verify --repair", EVERYTHING, EVERYTHING),
)


def role(name: str) -> Role:
    """A role by its name; `KeyError` where there is none."""
    return {one.name: one for one in ROLES}[name]


def policy(
    one: Role, bucket: str, prefix: str = "", principals: Sequence[str] = ()
) -> dict[str, object]:
    """The policy of a role for the store at `prefix` ("" or ending in `/`) of a bucket.

    `principals`: ARNs of whom it is for, where it is to be the bucket's own policy.
    Listing can't be held to the prefix: a request for one object names none, and without the right
    to list, S3 says "denied" of what isn't there.
    """
    of_bucket, below = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{prefix}"
    writes = [f"{below}{name}*" for name in one.writes]
    deletes = [f"{below}{name}*" for name in one.deletes]
    listing = ["s3:ListBucket", *(["s3:ListBucketMultipartUploads"] if writes else [])]
    writing = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    parts = (
        ("List", listing, [of_bucket]),
        ("Read", ["s3:GetObject"], [f"{below}*"]),
        ("Write", writing, writes),
        ("Delete", ["s3:DeleteObject"], deletes),
    )
    who: dict[str, object] = {"Principal": {"AWS": list(principals)}} if principals else {}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": f"{one.name.capitalize()}{sid}",
                "Effect": "Allow",
                **who,
                "Action": actions,
                "Resource": resources,
            }
            for sid, actions, resources in parts
            if resources
        ],
    }
