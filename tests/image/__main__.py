"""Build the images, check them, and run the daemon in one: `python -m tests.image [TARGET …]`, as root.

It exits with 1 if a check fails, prints content, sizes and components, and takes minutes.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import monitor
from tests.image.build import FOLDER, Image, build, build_base, unpack
from tests.image.container import Container, stop
from tests.image.content import ENVIRONMENT, components, misplaced, packages, size, unlisted
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_ENVIRONMENT_MB: Final = 100
"""Largest size of the runtime image's environment."""

TIMEOUT: Final = 60.0
"""Seconds until the first exchange."""

EXCHANGE: Final = re.compile(r'^relay_probe_exchanges_total\{.*outcome="ok".*\} [1-9]', re.MULTILINE)


def show(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def page(url: str) -> str:
    """Return a page, or an empty text if there is none."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - of the container
        return str(response.read().decode())
    return ""


def run_daemon(root: Path, image: Image) -> Iterator[str]:
    """Run the image's own command until an exchange is on /metrics, and its health check; yield what is wrong."""
    listen = f"127.0.0.1:{closed_port()}"
    container = Container(root, image.config, {"RELAY_MONITOR_LISTEN": listen})
    health = image.config["Healthcheck"]["Test"][1:]
    started = time.monotonic()
    daemon = container.start()
    try:
        while not EXCHANGE.search(page(f"http://{listen}/metrics")):
            if daemon.poll() is not None or time.monotonic() - started > TIMEOUT:
                daemon.kill()
                yield f"no exchange: {daemon.communicate()[1]}"
                return
            time.sleep(0.1)
        show(f"first exchange on /metrics after {time.monotonic() - started:.1f} s")
        healthy = container.run(*health)
        show(f"health check, {' '.join(health)}: exit {healthy.returncode}")
        if healthy.returncode != 0:
            yield f"the health check fails while the daemon serves: {healthy.stderr}"
        status, log = stop(daemon)
        if status != 0 or '"monitor stopped"' not in log:
            yield f"it did not stop as it should: status {status}\n{log}"
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.communicate()
    if container.run(*health).returncode != 1:
        yield "the health check does not fail without a daemon"
    if container.run("sh", "-c", "echo > /tmp/file || echo > /etc/file").returncode == 0:
        yield "a file could be written below a read-only root"


def describe(root: Path, image: Image) -> Iterator[str]:
    """Print what is in an image; yield what is wrong with it."""
    labels = image.config.get("Labels") or {}
    for name, value in sorted(labels.items()):
        show(f"label {name}: {value}")
    if labels.get("org.opencontainers.image.version") != monitor.__version__:
        yield "the image has no label with the version of the program"
    show(f"user {image.config['User']}; {size(root):.0f} MB, of which /{ENVIRONMENT} {size(root / ENVIRONMENT):.1f} MB")
    largest = sorted(((size(path), path.name) for path in packages(root).iterdir()), reverse=True)[:8]
    show("largest: " + ", ".join(f"{name} {megabytes:.1f} MB" for megabytes, name in largest))
    found = components(root)
    python = sum(purl.startswith("pkg:pypi/") for purl in found)
    show(f"components: {len(found)}, {python} of Python and {len(found) - python} of Debian")


def check(target: str) -> Iterator[str]:
    """Build a target twice and check it; yield what is wrong."""
    started = time.monotonic()
    image = build(target)
    show(f"\n{target}: {image.id}, built in {time.monotonic() - started:.0f} s")
    again = build(target)
    show(f"built again: {'equal' if again == image else again.id}; layers " + ", ".join(image.layers))
    if again != image:
        yield f"{target}: two builds differ"
    root = FOLDER / target
    unpack(image, root)
    yield from misplaced(root, int(image.config["User"].partition(":")[0]))
    yield from unlisted(root)
    yield from describe(root, image)
    if target == "runtime":
        if size(root / ENVIRONMENT) > MAX_ENVIRONMENT_MB:
            yield f"/{ENVIRONMENT} is larger than {MAX_ENVIRONMENT_MB} MB"
        yield from run_daemon(root, image)
    else:
        words = (*image.config["Entrypoint"], "simulate", "--config", "/etc/relay-monitor/config.yaml")
        done = Container(root, image.config, {}).run(*words)
        show(f"{' '.join(words)}: exit {done.returncode}, {len(done.stdout.splitlines())} lines")
        if done.returncode != 0:
            yield f"{target}: {done.stderr}"
    shutil.copy(root / ENVIRONMENT / "sbom.cdx.json", FOLDER / f"{target}.cdx.json")


def main(targets: list[str]) -> int:
    """Run the command."""
    for program, package in (("buildah", "buildah"), ("debootstrap", "debootstrap"), ("unshare", "util-linux")):
        if shutil.which(program) is None:
            sys.stderr.write(f"there is no {program}: apt-get install -y {package}\n")
            return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    build_base()
    wrong = [fault for target in targets or ["runtime", "tools"] for fault in check(target)]
    for fault in wrong:
        sys.stderr.write(f"{fault}\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
