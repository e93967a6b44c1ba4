"""`make vendor`: fetches what the HTML report carries of others, as vendor.json says, through npm.

To update: change the version in `templates/html/vendor/vendor.json` and run this. The
files are copied unchanged, their digests written, and what differs is said.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.lab.program import ROOT, LabError, run, say

FOLDER = ROOT / "templates" / "html" / "vendor"
LIST = FOLDER / "vendor.json"


def update() -> int:
    """Fetch the package and write its files; gives how many of them changed."""
    vendor = json.loads(LIST.read_text())
    npm = shutil.which("npm")
    if npm is None:
        raise LabError("npm is needed, to fetch the package: apt-get install npm")
    changed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = f"{vendor['package']}@{vendor['version']}"
        run(npm, "pack", wanted, "--silent", "--ignore-scripts", cwd=folder, timeout=120)
        (archive,) = folder.glob("*.tgz")
        with tarfile.open(archive) as package:
            package.extractall(folder, filter="data")
        for file, entry in vendor["files"].items():
            content = (folder / "package" / entry["from"]).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if digest != entry["sha256"] or (FOLDER / file).read_bytes() != content:
                changed += 1
                say(f"{file}: changed")
            (FOLDER / file).write_bytes(content)
            entry["sha256"] = digest
    LIST.write_text(json.dumps(vendor, indent=2) + "\n")
    say(f"{wanted}: {changed} of {len(vendor['files'])} files changed.")
    return changed


if __name__ == "__main__":
    try:
        update()
    except LabError as error:
        say(str(error))
        sys.exit(2)
