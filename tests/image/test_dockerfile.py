"""The Dockerfile and its files agree with each other; `make image` builds it."""

from __future__ import annotations

import importlib.util
import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from monitor.healthcheck import configured_address
from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

DOCKERFILE: Final = (ROOT / "Dockerfile").read_text("utf-8")


def words(instruction: str) -> list[str]:
    """Return the last command of an instruction, in the form of a JSON list."""
    found: list[str] = json.loads(re.findall(rf"\b{instruction} (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])
    return found


def test_every_copied_file_exists_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    ]
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert sent & {name, name.rpartition("/")[0]}, name


def test_the_health_check_reads_the_configuration_of_the_daemon() -> None:
    health = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert health is not None
    assert json.loads(health[1])[-2:] == ["--config", words("CMD")[2]]
    listen = re.search(r"RELAY_MONITOR_LISTEN=(\S+)", DOCKERFILE)
    assert listen is not None
    text = (ROOT / "config.yaml").read_text("utf-8")
    address = configured_address(text, {"RELAY_MONITOR_LISTEN": listen[1]})
    assert f"EXPOSE {address.rpartition(':')[2]}\n" in DOCKERFILE


def test_each_image_runs_as_a_user_without_privileges() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["65532:65532"]
    final = re.findall(r"^FROM (\S+) AS (?:tools|runtime)$", DOCKERFILE, re.MULTILINE)
    assert final == ["base", "base"]


@pytest.fixture
def components() -> Callable[[str], list[dict[str, Any]]]:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "deploy" / "image" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[str], list[dict[str, Any]]] = module.components
    return found


def test_installed_packages_are_components(components: Callable[[str], list[dict[str, Any]]]) -> None:
    status = (
        "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.3.dfsg+really1.3.1-1+b1\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n"
        "Package: adduser\nStatus: install ok installed\nArchitecture: all\nDescription: x\n Version: 9\nVersion: 3\n"
    )
    assert [component["purl"] for component in components(status)] == [
        "pkg:deb/debian/adduser@3?arch=all",
        "pkg:deb/debian/zlib1g@1:1.3.dfsg%2Breally1.3.1-1%2Bb1?arch=amd64",
    ]
