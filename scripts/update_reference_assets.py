# ruff: noqa: INP001 - a script, in no package
"""Refresh the vendored files of the API reference from npm.

    python scripts/update_reference_assets.py            # the newest release
    python scripts/update_reference_assets.py 5.35.0     # that one

The package is packed, never installed, so none of its scripts and dependencies run. What changed is then seen
in the repository's diff; ``tests/browser/test_reference.py`` says whether the page still works.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "swagger-ui-dist"
ASSETS = Path(__file__).resolve().parent.parent / "src" / "seawall" / "http" / "assets"
FILES = {
    "swagger-ui-bundle.js": "swagger-ui-bundle.js",
    "swagger-ui.css": "swagger-ui.css",
    "LICENSE": "swagger-ui.LICENSE.txt",
    "NOTICE": "swagger-ui.NOTICE.txt",
    "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
}
"""What is taken from the package, and what it is called here."""


def main() -> None:
    """Fetch, compare and copy."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not installed; it is what fetches the package.")
    wanted = f"{PACKAGE}@{sys.argv[1] if len(sys.argv) > 1 else 'latest'}"
    with tempfile.TemporaryDirectory() as folder:
        # npm checks the archive against the integrity hash of the registry.
        packed = subprocess.run(  # noqa: S603 - a fixed command with a version chosen by who runs it
            [npm, "pack", "--json", "--ignore-scripts", wanted],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
        )
        archive = Path(folder, json.loads(packed.stdout)[0]["filename"])
        with tarfile.open(archive) as files:
            files.extractall(folder, filter="data")
        package = Path(folder, "package")
        version = json.loads((package / "package.json").read_text("utf-8"))["version"]
        for source, target in FILES.items():
            content = (package / source).read_bytes()
            if target.endswith((".js", ".css")):
                # The source maps are not served; asking for them would be an error in the browser's console.
                content = b"\n".join(line for line in content.split(b"\n") if b"sourceMappingURL=" not in line[:40])
            (ASSETS / target).write_bytes(content)
            sys.stdout.write(f"{target}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}\n")
    (ASSETS / "swagger-ui.version").write_text(f"{version}\n", "utf-8")
    sys.stdout.write(f"{PACKAGE} {version}\n")


if __name__ == "__main__":
    main()
