"""The lab's images: a base that stands in for public ones, and the SSH host's.

Each is tagged by a digest of its recipe and kept, so a second run takes no time. On Debian with
root the base is made by mmdebstrap, which needs no image registry; elsewhere it is built from the
public Debian image with the same packages.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab import debian
from tests.lab.program import CACHE, REPOSITORY, LabError, failure, output, run, say

SUITE = "bookworm"
PACKAGES = (
    "python3", "python3-sklearn", "python3-joblib", "python3-yaml", "ca-certificates",
)  # fmt: skip
# Compilers and documentation that these packages drag in: two thirds of the size, never used.
LEFT_OUT = (
    "/usr/include/*", "/usr/lib/gcc/*", "/usr/lib/*/*.a", "/usr/bin/*-linux-gnu-*",
    "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*",
    "/usr/lib/python3/dist-packages/*/tests", "/usr/lib/python3/dist-packages/*/*/tests",
    "/usr/lib/python3/dist-packages/pythran", "/var/lib/apt/lists/*", "/var/cache/apt/*.bin",
)  # fmt: skip
TRIM = f"rm -rf {' '.join(LEFT_OUT)}"
PUBLIC = f"debian:{SUITE}-slim"
LOCAL_CAS = Path("/usr/local/share/ca-certificates")
MINI = """\
ARG BASE_IMAGE
FROM $BASE_IMAGE AS packages
RUN apt-get update && apt-get download busybox-static && dpkg -x busybox-static_*.deb /unpacked
RUN mkdir -p /root/bin /root/tmp /root/etc && cp /unpacked/bin/busybox /root/bin/ \\
    && for name in $(/root/bin/busybox --list); do \\
      test $name = busybox || ln -s busybox /root/bin/$name; done \\
    && echo root:x:0:0:root:/:/bin/sh >/root/etc/passwd && chmod 1777 /root/tmp
FROM scratch
COPY --from=packages /root/ /
CMD ["sh"]
"""
PROXY = """\
ARG BASE_IMAGE MINI_IMAGE
FROM $BASE_IMAGE AS packages
RUN apt-get update && apt-get install -y --no-install-recommends haproxy
RUN mkdir -p /root/fs/usr/sbin && cp /usr/sbin/haproxy /root/fs/usr/sbin/ \\
    && for library in $(ldd /usr/sbin/haproxy | grep -o '/[^ ]*'); do \\
      mkdir -p /root/fs$(dirname $library) && cp -L $library /root/fs$library; done
FROM $MINI_IMAGE
COPY --from=packages /root/fs/ /
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""
REGISTRY = """\
ARG BASE_IMAGE
FROM $BASE_IMAGE
RUN apt-get -qq update \\
    && apt-get -qq install -y --no-install-recommends docker-registry apache2-utils \\
    && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["docker-registry", "serve", "/config.yml"]
"""
HOST_FOLDER = Path(__file__).parent / "host"


def base_image() -> str:
    """The tag of the base image: Debian 12, Python 3.11, scikit-learn, joblib, PyYAML."""
    tag = f"{REPOSITORY}/base:{SUITE}-{_digest(SUITE, *PACKAGES, *LEFT_OUT)}"
    if exists(tag):
        return tag
    say(f"Making the base image {tag} (once; about a minute) …")
    with tempfile.TemporaryDirectory(prefix="mclab-base-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.geteuid() == 0 and debian.family() == "debian":
            _bootstrap(tag, folder)
        else:
            _build_base(tag, folder)
    return tag


def host_image() -> str:
    """The tag of the SSH hosts' image: sshd and a Docker engine of its own, user `deploy`."""
    recipe = [path.read_text() for path in sorted(HOST_FOLDER.iterdir()) if path.is_file()]
    recipe.append(Path(debian.__file__).read_text())
    base = base_image()
    tag = f"{REPOSITORY}/host:{SUITE}-{_digest(base, *recipe)}"
    if exists(tag):
        return tag
    say(f"Making the SSH hosts' image {tag} (once; about a minute) …")
    with tempfile.TemporaryDirectory(prefix="mclab-host-") as name:
        folder = Path(name)
        shutil.copytree(HOST_FOLDER, folder, dirs_exist_ok=True)
        shutil.copy(debian.__file__, folder / "debian.py")
        build(tag, folder, f"BASE_IMAGE={base}")
    return tag


def mini_image() -> str:
    """The tag of an image of 2 MB that is one program, busybox: sh, httpd, wget, sleep, …

    For tests that ship images: the base image takes half a minute to load on a host.
    """
    tag = f"{REPOSITORY}/mini:{SUITE}-{_digest(MINI)}"
    if exists(tag):
        return tag
    base = base_image()
    with tempfile.TemporaryDirectory(prefix="mclab-mini-") as name:
        folder = Path(name)
        (folder / "Dockerfile").write_text(MINI)
        build(tag, folder, f"BASE_IMAGE={base}")
    return tag


def proxy_image() -> str:
    """The tag of an image of 15 MB: busybox as in the mini image, and HAProxy."""
    mini = mini_image()
    base = base_image()
    tag = f"{REPOSITORY}/proxy:{SUITE}-{_digest(mini, PROXY)}"
    if exists(tag):
        return tag
    with tempfile.TemporaryDirectory(prefix="mclab-proxy-") as name:
        folder = Path(name)
        (folder / "Dockerfile").write_text(PROXY)
        build(tag, folder, f"BASE_IMAGE={base}", f"MINI_IMAGE={mini}")
    return tag


def registry_image() -> str:
    """The tag of an image of Debian's image registry and htpasswd; settings are in /config.yml."""
    base = base_image()
    tag = f"{REPOSITORY}/registry:{SUITE}-{_digest(base, REGISTRY)}"
    if exists(tag):
        return tag
    with tempfile.TemporaryDirectory(prefix="mclab-registry-") as name:
        folder = Path(name)
        (folder / "Dockerfile").write_text(REGISTRY)
        build(tag, folder, f"BASE_IMAGE={base}")
    return tag


def exists(tag: str) -> bool:
    """Whether the engine has an image of that name."""
    return run("docker", "image", "inspect", tag, check=False).returncode == 0


def _digest(*recipe: str) -> str:
    return hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:12]


def _bootstrap(tag: str, folder: Path) -> None:
    """mmdebstrap from the machine's own mirror; nothing is pulled."""
    if not shutil.which("mmdebstrap"):
        say("Installing the Debian package mmdebstrap, which makes the base image.")
        try:
            debian.install(["mmdebstrap"])
        except debian.AptError as error:
            raise LabError(str(error)) from None
    listing = folder / "sources.list"
    listing.write_text("\n".join(image_sources(debian.sources())) + "\n")
    settings = folder / "90machine"
    settings.write_text(apt_settings(output("apt-config", "dump")))
    archive = folder / "base.tar"
    argv = [
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}",
        f"--aptopt={settings}",
        f"--customize-hook=upload {settings} /etc/apt/apt.conf.d/90machine",
    ]  # fmt: skip
    for path in _local_cas():
        argv.append(f"--customize-hook=upload {path} {LOCAL_CAS}/{path.name}")
    argv.append('--customize-hook=chroot "$1" update-ca-certificates')
    argv.append(f"""--customize-hook=chroot "$1" sh -c '{TRIM}'""")
    run(*argv, SUITE, archive, listing)
    run("docker", "import", archive, tag)


def image_sources(entries: list[str]) -> list[str]:
    """The machine's Debian mirror, written for the image's suite (the machine may be another)."""
    uri = debian.mirror(entries)
    lines = [f"deb {uri} {SUITE} main", f"deb {uri} {SUITE}-updates main"]
    for entry in entries:
        words = [word for word in entry.split() if not word.startswith(("[", "signed-by"))]
        if len(words) > 2 and words[2] == f"{SUITE}-security":
            lines.append(f"deb {words[1]} {words[2]} main")
    return list(dict.fromkeys(lines))


def apt_settings(dump: str) -> str:
    """Those of apt's settings without which this machine's mirror can't be used."""
    wanted = ("Acquire::Check-Valid-Until ", "Acquire::Check-Date ", "Acquire::http::Proxy ")
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(wanted))


def _local_cas() -> list[Path]:
    return sorted(LOCAL_CAS.glob("*.crt")) if LOCAL_CAS.is_dir() else []


def _build_base(tag: str, folder: Path) -> None:
    (folder / "ca").mkdir()
    for path in _local_cas():
        shutil.copy(path, folder / "ca")
    (folder / "Dockerfile").write_text(
        f"ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY ca/ {LOCAL_CAS}/\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends "
        f"{' '.join(PACKAGES)} && update-ca-certificates && {TRIM}\n"
    )
    build(tag, folder, f"BASE_IMAGE={PUBLIC}")


def build(tag: str, folder: Path, *arguments: str) -> None:
    """`docker buildx build`; the machine's proxy variables go along, as Docker defines them."""
    words = ["docker", "buildx", "build", "--load", "--tag", tag]
    proxies = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    for argument in (*arguments, *(name for name in proxies if os.environ.get(name))):
        words += ["--build-arg", argument]
    CACHE.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*words, str(folder)], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise LabError(failure(words, done))
