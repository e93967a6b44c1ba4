"""The records that the store keeps, as typed models: runs, commits, attempts, releases, rollouts.

Records are JSON objects, written last and once. A reader accepts records of its own format number
and refuses newer ones with a sentence; unknown keys of the same format are ignored, so that older
programs can read what newer ones added.

Non-finite numbers: JSON has none, so a metric that is NaN or infinite is stored as
`{"float": "nan" | "inf" | "-inf"}`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from mcgitops.typed.convert import Before, Limits
from mcgitops.typed.model import Model, key, whole

FORMAT: Final = 1

Scalar = bool | int | float | str | None


def _encode(files: Mapping[str, Mapping[str, Scalar]]) -> Any:
    return {
        file: {
            name: {"float": repr(value)}
            if isinstance(value, float) and not math.isfinite(value)
            else value
            for name, value in values.items()
        }
        for file, values in files.items()
    }


def _decode(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"float"}:
        return float(str(value["float"]))
    return value


NonNegativeInt = Annotated[int, Limits(ge=0)]
Value = Annotated[Scalar, Before(_decode)]
"""A metric's or parameter's value as it was written by the training script."""


class Record(Model):
    """Base of all records: immutable; unknown keys are ignored on reading."""


class FileRef(Record):
    """A file whose content is an object of the store. `path` is relative to the project folder."""

    path: str
    digest: str  # sha256:<64 hex>
    size: NonNegativeInt
    executable: bool = False


class ImageRef(Record):
    """The image that a run used. `digest` is the engine's image id; sizes are in bytes."""

    reference: str
    digest: str = ""
    size: int | None = None
    base: str = ""  # the resolved digest of a base image that isn't pinned, where known


class Resources(Record):
    """What a run cost. Seconds and bytes; None where it could not be measured."""

    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    peak_memory_sampled: bool = False  # sampled, rather than the kernel's high-water mark


class CheckResult(Record):
    """A test that another tool judged. `source` is the file that says so."""

    source: str
    name: str
    state: Literal["passed", "failed", "warned", "error", "skipped"]
    text: str = ""


_OUTSIDE = re.compile(r"\0|(?:\A|/)\.{0,2}(?:/|\Z)")  # an empty part, or one of dots


def is_inside(path: str) -> bool:
    """Whether a relative path stays below the folder that it is joined to."""
    return _OUTSIDE.search(path) is None


class RunRecord(Record):
    """One execution of a stage for one combination. `runs/PROJECT/STAGE/FINGERPRINT`."""

    format: Literal[1] = FORMAT
    project: str
    stage: str
    fingerprint: str  # 64 hex
    state: Literal["succeeded", "failed", "timed-out", "interrupted"]
    matrix: dict[str, str] = key(default={})
    replicate: dict[str, str] = key(default={})
    exit_code: int | None = None
    commit: str = ""  # "" outside git
    dirty: bool = False
    started: datetime
    image: ImageRef
    resources: Resources = Resources()
    facts: dict[str, str] = key(
        default={}
    )  # fact's name → digest or short text: all that made the fingerprint
    # file → flattened name → value
    metrics: dict[str, dict[str, Value]] = key(default={}, written=_encode)
    params: dict[str, dict[str, Value]] = key(default={}, written=_encode)
    checks: tuple[CheckResult, ...] = ()
    plots: tuple[FileRef, ...] = ()
    outputs: tuple[FileRef, ...] = ()
    metric_files: tuple[FileRef, ...] = ()
    predictions: tuple[FileRef, ...] = ()  # those that are none of the kinds above
    manifests: tuple[FileRef, ...] = ()  # of the trees that it read, by fact's name
    upstream: dict[str, str] = key(default={})  # stage → fingerprint of the selected run
    warnings: tuple[str, ...] = ()
    log: FileRef | None = None
    log_tail: tuple[str, ...] = ()
    tool: str = ""  # mcgitops version

    @whole
    def _paths_stay_inside(self) -> None:
        """Records come from others, too: none may make us write outside the project folder."""
        for file in self.files:
            if not is_inside(file.path):
                raise ValueError(f"{file.path[:200]!r} is no path inside a project folder")

    @property
    def files(self) -> tuple[FileRef, ...]:
        """Everything that comes back when the run is taken from the store."""
        return (*self.outputs, *self.metric_files, *self.plots, *self.predictions)


class CommitRecord(Record):
    """Which runs a commit has, for one stage. `commits/SHA/PROJECT/STAGE`."""

    format: Literal[1] = FORMAT
    project: str
    stage: str
    commit: str
    tree: str = ""
    head: str = ""  # of a pull request: the head that the merge commit was made from
    runs: tuple[str, ...]  # fingerprints, in the order of the combinations
    selected: str  # the fingerprint that downstream stages saw


class ReleaseImage(Record):
    """A deployed service's image, pinned: configuration digest and the layers' diff-ids."""

    service: str
    reference: str
    config_digest: str
    diff_ids: tuple[str, ...] = ()
    repo_digest: str = ""  # name@sha256:…, where it went through a registry
    size: int | None = None


class ReleaseRecord(Record):
    """What a tag pins. `releases/PROJECT/NAME`; written once, never changed."""

    format: Literal[1] = FORMAT
    project: str
    name: str
    commit: str
    created: datetime
    runs: dict[str, str] = key(default={})  # stage → fingerprint of the selected run
    artifacts: tuple[FileRef, ...] = ()
    images: tuple[ReleaseImage, ...] = ()
    compose: FileRef  # the resolved, uninterpolated compose file of the deployed services
    files: tuple[FileRef, ...] = ()  # bind-mounted files and configs that the services read
    tool: str = ""


class DeploymentRecord(Record):
    """One rollout of a release to an environment. `deployments/PROJECT/ENVIRONMENT/ID`."""

    format: Literal[1] = FORMAT
    project: str
    environment: str
    id: str
    release: str
    previous: dict[str, str] = key(default={})  # host → release before
    hosts: dict[str, str] = key(default={})  # host → how it ended
    state: Literal["succeeded", "rolled-back", "needs-attention"]
    started: datetime
    finished: datetime
    by: str = ""
    commit: str = ""
    verb: str = "deploy"  # deploy, rollback, heal


class WantedRecord(Record):
    """The newest release that an environment's trigger allows, for the agents that pull it.

    `wanted/PROJECT/ENVIRONMENT/NUMBER`: numbered without a gap, each newer than the one before. So
    no two jobs can undo each other, and an agent that knows one of them asks for one key only.
    """

    format: Literal[1] = FORMAT
    project: str
    environment: str
    number: NonNegativeInt = 0
    release: str
    commit: str
    committed: datetime  # when the commit was made: a job for an older one changes nothing
    released: datetime  # tells apart releases of one commit

    def is_newer_than(self, other: WantedRecord) -> bool:
        """Whether it takes the place of another one of the same environment."""
        if self.release == other.release:
            return False
        return (self.committed, self.released) > (other.committed, other.released)
