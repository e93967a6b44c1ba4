"""One node of Ceph with its S3 gateway (radosgw) on 127.0.0.1: a service of production grade.

Installed from Debian's packages where it is missing. The daemons are shared by all processes that
test at the same time, and are ended by the last one. Data is kept in memory.

with ceph.running() as server: …
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.lab import debian, oidc
from tests.lab.program import CACHE, LabError, run, say
from tests.lab.s3 import BUCKET, S3Server, quiet_ports

PACKAGES = {
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "radosgw": "radosgw",
    "ceph": "ceph-common",
}
FOLDER = CACHE / "ceph"
DOMAIN = "s3.lab.test"  # buckets are names below it as well; nobody's DNS knows it
ZONE = "default"
MEMORY = 4 * 2**30  # bytes that the one disk claims to have; taken only as data comes

# The monitor else gathers changes for a second, and making ten pools is as many changes.
CONFIGURATION = """\
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon}]
public network = 127.0.0.0/8
keyring = {folder}/keyring
run dir = {folder}
pid file = {folder}/$type.$id.pid
admin socket =
log file = {folder}/$type.$id.log
mon data = {folder}/mon
osd data = {folder}/osd
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = {memory}
mon allow pool size one = true
paxos propose interval = 0.02
paxos min wait = 0.01
mon cluster log file = {folder}/cluster.log
ms bind ipv6 = false
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{rgw}
rgw data = {folder}/rgw
rgw dns name = {domain}
rgw s3 auth use sts = true
rgw sts key = {key}
rgw s3 auth order = sts, local, external
rgw enable usage log = false
rgw thread pool size = 32
"""


@dataclass(frozen=True)
class Ceph(S3Server):
    """The gateway, as the owner of its one bucket sees it; and its administrator's view."""

    def user(self, name: str) -> Ceph:
        """Another user, with keys of its own and no rights; made where there is none yet."""
        with _alone():
            return _user(self.endpoint, name)

    def allow(self, user: str, name: str, policy: object) -> None:
        """Give a user a policy of his own under this name."""
        document = json.dumps(policy)
        self._iam().put_user_policy(UserName=user, PolicyName=name, PolicyDocument=document)

    def role(self, issuer: oidc.Issuer, audience: str, *statements: object) -> str:
        """A role for who shows a token of this issuer for `audience`; its ARN."""
        iam = self._iam()
        provider = iam.create_open_id_connect_provider(
            Url=issuer.url, ClientIDList=[audience], ThumbprintList=[issuer.thumbprint]
        )["OpenIDConnectProviderArn"]
        name = f"role-{uuid.uuid4().hex}"
        asked = f"{issuer.url.removeprefix('http://')}:app_id"  # Ceph's name for the audience
        trust = {
            "Effect": "Allow", "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Principal": {"Federated": [provider]},
            "Condition": {"StringEquals": {asked: audience}},
        }  # fmt: skip
        role = self.admin(
            "role", "create", f"--role-name={name}", f"--assume-role-policy-doc={_policy(trust)}"
        )
        self.admin(
            "role-policy", "put", f"--role-name={name}", "--policy-name=rights",
            f"--policy-doc={_policy(*statements)}",
        )  # fmt: skip
        return str(json.loads(role)["Arn"])

    def _iam(self) -> Any:
        import boto3

        return boto3.client(
            "iam", endpoint_url=self.endpoint, region_name=self.region,
            aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key,
        )  # fmt: skip

    def admin(self, *argv: str) -> str:
        """Run `radosgw-admin`."""
        return run("radosgw-admin", *argv, env=_env(), timeout=60).stdout


def provide() -> None:
    """Have the programs; on Debian and Ubuntu root installs what is missing, after saying so."""
    missing = [name for name in PACKAGES if not shutil.which(name)]
    if missing and (os.geteuid() != 0 or not debian.family()):
        raise LabError(
            "Ceph's gateway can't be tried here: run this as root on Debian or Ubuntu, where it is "
            "installed and started on 127.0.0.1 for the time of the tests."
        )
    if missing:
        packages = [PACKAGES[name] for name in missing]
        say(f"Missing: Ceph's S3 gateway. Installing Debian packages: {', '.join(packages)}.")
        try:
            debian.install(packages)
        except debian.AptError as error:
            raise LabError(str(error)) from None


@contextmanager
def running() -> Iterator[Ceph]:
    """The gateway; started by the first process that wants it, ended with the last one."""
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with (FOLDER.parent / "ceph.users").open("w") as users:
        with _alone():
            provide()
            fcntl.flock(users, fcntl.LOCK_SH)
            server = _found() or _started_or_ended()
        try:
            yield server
        finally:
            with _alone(), suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody else uses it
                stop()


def stop() -> None:
    """End the daemons that were started from this checkout, and forget their data."""
    pids = [pid for path in FOLDER.glob("*.pid") if (pid := _pid(path))]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)  # nothing is to be kept
    end = time.monotonic() + 10
    while any(_program(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    shutil.rmtree(FOLDER, ignore_errors=True)


def _found() -> Ceph | None:
    """The one that is running."""
    try:
        server = Ceph(**json.loads((FOLDER / "server.json").read_text()))
        server.client().head_bucket(Bucket=BUCKET)
    except Exception:  # noqa: BLE001  (whatever is wrong with it: it is started anew)
        return None
    return server


def _started_or_ended() -> Ceph:
    stop()
    try:
        return _started()
    except BaseException:
        stop()
        raise


def _started() -> Ceph:
    for name in ("mon", "osd", "rgw"):
        (FOLDER / name).mkdir(parents=True)
    mon, rgw = quiet_ports(2)
    fsid, disk = str(uuid.uuid4()), str(uuid.uuid4())
    configuration = CONFIGURATION.format(
        fsid=fsid, folder=FOLDER, mon=mon, rgw=rgw, memory=MEMORY, domain=DOMAIN,
        key=uuid.uuid4().hex[:16],
    )  # fmt: skip
    (FOLDER / "ceph.conf").write_text(configuration)
    keyring = FOLDER / "keyring"
    run("ceph-authtool", "--create-keyring", keyring, env=_env())
    everything = {"mon": "allow *", "osd": "allow *", "mgr": "allow *"}
    for name, rights in {
        "mon.": {"mon": "allow *"},
        "client.admin": everything,
        "osd.0": {**everything, "mon": "allow profile osd"},
        "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx"},
    }.items():
        caps = [word for kind, right in rights.items() for word in ("--cap", kind, right)]
        run("ceph-authtool", keyring, "--gen-key", "-n", name, *caps, env=_env())
    monmap = FOLDER / "monmap"
    address = f"[v2:127.0.0.1:{mon}]"
    run("monmaptool", "--create", "--addv", "a", address, "--fsid", fsid, monmap, env=_env())
    run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring, env=_env())
    _daemon("ceph-mon", "-i", "a")
    run("ceph", "osd", "new", disk, env=_env(), timeout=60)
    run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk, env=_env(), timeout=60)
    _daemon("ceph-osd", "-i", "0")
    _daemon("radosgw", "-n", "client.rgw.a")
    endpoint = f"http://127.0.0.1:{rgw}"
    server = _user(endpoint, "owner")
    _answering(server)
    server.admin("caps", "add", "--uid=owner", "--caps=user-policy=*;oidc-provider=*")
    server.client().create_bucket(Bucket=BUCKET)
    (FOLDER / "server.json").write_text(json.dumps(asdict(server)))
    return server


def _answering(server: Ceph, seconds: float = 60) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    end = time.monotonic() + seconds
    while True:
        try:
            server.client().list_buckets()
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > end:
                log = (FOLDER / "client.rgw.a.log").read_text(errors="replace")
                raise LabError(f"radosgw doesn't answer: {error}\n{log[-800:]}") from None
            time.sleep(0.2)
        else:
            return


def _user(endpoint: str, name: str) -> Ceph:
    """A user of the gateway with generated keys."""
    made = run(
        "radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}",
        env=_env(), timeout=60, check=False,
    )  # fmt: skip
    if made.returncode:
        made = run("radosgw-admin", "user", "info", f"--uid={name}", env=_env(), timeout=60)
    keys = json.loads(made.stdout)["keys"][0]
    return Ceph("ceph", endpoint, keys["access_key"], keys["secret_key"], region=ZONE)


def _daemon(*argv: str) -> None:
    """Start a daemon, which goes into the background itself once it is at work."""
    with (FOLDER / "start.log").open("ab") as log:
        done = subprocess.run(
            argv, env={**os.environ, **_env()}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            timeout=60, start_new_session=True,
        )  # fmt: skip
    if done.returncode:
        said = (FOLDER / "start.log").read_text(errors="replace")
        raise LabError(f"{argv[0]} ended with {done.returncode}:\n{said[-800:]}")


def _policy(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _env() -> dict[str, str]:
    return {"CEPH_CONF": str(FOLDER / "ceph.conf")}


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time starts, ends and configures it."""
    with (FOLDER.parent / "ceph.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pid(path: Path) -> int:
    """The daemon of a pid file where it runs still; else 0."""
    try:
        pid = int(path.read_text())
    except (OSError, ValueError):
        return 0
    return pid if _program(pid) in ("ceph-mon", "ceph-osd", "radosgw") else 0


def _program(pid: int) -> str:
    """The name of a process that runs; "" where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return "" if rest.split()[0] == "Z" else name
