"""Build the images with buildah, on a Debian that debootstrap unpacks in place of the Dockerfile's base image."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import monitor
from tests.relays import ROOT

FOLDER: Final = ROOT / "build" / "image"
SUITE: Final = "trixie"
BASE: Final = f"localhost/debian:{SUITE}-slim"
LOCAL_AUTHORITIES: Final = Path("/usr/local/share/ca-certificates")
"""Certificate authorities of this machine, for package registries behind a mirror; the base image has them too."""

LEFT_OUT: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt")
"""Folders of the base that are emptied, as in Debian's slim image."""


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a command, with its stderr shown, and return its stdout."""
    done = subprocess.run(list(map(str, command)), cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def buildah(*arguments: str | Path) -> str:
    """Run buildah with storage of its own, which needs no file system but the present one."""
    storage = ("--storage-driver", "vfs", "--root", FOLDER / "storage", "--runroot", FOLDER / "run")
    return run("buildah", *storage, *arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A built image. Two are equal if they have the same layers, which are digests of all files, and configuration."""

    id: str = field(compare=False)
    layers: tuple[str, ...]
    config: dict[str, Any]


def build_base() -> None:
    """Unpack Debian once, and make it an image."""
    if BASE.rpartition(":")[2] in buildah("images", "--format", "{{.Tag}}").split():
        return
    root = FOLDER / "base"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    script = SUITE if (Path("/usr/share/debootstrap/scripts") / SUITE).exists() else "sid"
    run("debootstrap", "--variant=minbase", SUITE, root, "", script)
    for name in LEFT_OUT:
        for path in (root / name).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if LOCAL_AUTHORITIES.is_dir():
        shutil.copytree(LOCAL_AUTHORITIES, root / LOCAL_AUTHORITIES.relative_to("/"), dirs_exist_ok=True)
    container = buildah("from", "scratch").strip()
    buildah("copy", "--quiet", container, root, "/")
    buildah("config", "--cmd", "bash", container)
    buildah("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(root)


def build(target: str) -> Image:
    """Build a target of the Dockerfile, without any cache."""
    date = run("git", "log", "-1", "--pretty=%ct").strip()
    arguments = {
        "BASE": BASE,
        "SOURCE_DATE_EPOCH": date,
        "VERSION": monitor.__version__,
        "REVISION": run("git", "rev-parse", "HEAD").strip(),
    }
    number = FOLDER / f"{target}.id"
    buildah(
        *(
            "bud",
            "--quiet",
            "--format",
            "docker",
            "--isolation",
            "chroot",
            "--no-cache",
            "--timestamp",
            date,
            "--identity-label=false",
        ),
        *(part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")),
        *("--target", target, "--iidfile", number, "--tag", f"localhost/relay-monitor:{target}", ROOT),
    )
    digest = number.read_text("ascii").strip()
    described = json.loads(buildah("inspect", "--type", "image", digest))["Docker"]
    config = described["config"] | {"Hostname": ""}  # buildah writes the random id of its container, Docker nothing
    return Image(id=digest, layers=tuple(described["rootfs"]["diff_ids"]), config=config)


def unpack(image: Image, root: Path) -> None:
    """Copy the files of an image into a folder."""
    shutil.rmtree(root, ignore_errors=True)
    container = buildah("from", image.id).strip()
    mounted = buildah("mount", container).strip()
    run("cp", "--archive", mounted, root)
    buildah("rm", container)
