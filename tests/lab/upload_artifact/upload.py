"""What actions/upload-artifact does on a runner, by the calls that it makes; see action.yml."""

import base64
import hashlib
import io
import json
import os
import sys
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path


def main() -> None:
    """Zip what the inputs name and hand it to the service."""
    path, name = Path(os.environ["INPUT_PATH"]), os.environ["INPUT_NAME"]
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [file for file in files if file.is_file()]
    if not files:
        sys.exit("No files were found." if os.environ["INPUT_MISSING"] == "error" else 0)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(path) if path.is_dir() else file.name)
    content = stream.getvalue()
    run, job = _ids(os.environ["ACTIONS_RUNTIME_TOKEN"])
    about = {"workflow_run_backend_id": run, "workflow_job_run_backend_id": job, "name": name}
    made = _call("CreateArtifact", about | {"version": 4})
    # Of a form's type, as urllib has it, the service would take the body apart.
    request = urllib.request.Request(
        f"{made['signedUploadUrl']}&comp=block",
        data=content,
        headers={"Content-Type": "application/octet-stream"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _call("FinalizeArtifact", about | {"size": str(len(content)), "hash": digest})
    print(f"Artifact {name} has been successfully uploaded.")


def _ids(token: str) -> tuple[str, str]:
    """Of the run and of the job, as the token's scope names them."""
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    _, run, job = next(
        scope for scope in claims["scp"].split() if scope.startswith("Actions.Results:")
    ).split(":")
    return run, job


def _call(method: str, body: Mapping[str, object]) -> dict[str, str]:
    address = os.environ["ACTIONS_RESULTS_URL"].rstrip("/")
    request = urllib.request.Request(
        f"{address}/twirp/github.actions.results.api.v1.ArtifactService/{method}",
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['ACTIONS_RUNTIME_TOKEN']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, str] = json.load(answer)
    if not found.get("ok"):
        sys.exit(f"{method}: {found}")
    return found


if __name__ == "__main__":
    main()
