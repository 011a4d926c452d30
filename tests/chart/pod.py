"""A rendered pod on this machine: its command line, environment, files, user, and read-only root.

A mount namespace stands in for the kubelet: a new root with the folders of system and project, read-only, and the pod's
volumes, written as the kubelet writes them. The program is that of this environment, called by the image's entry point.
The network is that of the machine.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.counterparts import ROOT

if TYPE_CHECKING:
    from typing import Self

    from tests.chart.rendering import Object

SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
ETC: Final = ("ld.so.cache", "resolv.conf", "hosts", "nsswitch.conf", "ssl", "localtime", "passwd", "group")
STOP_TIMEOUT: Final = 15.0


def entrypoint() -> list[str]:
    """Return the image's entry point."""
    found = re.findall(r"^ENTRYPOINT (.+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    command: list[str] = json.loads(found[-1])
    return command


def image_environment() -> dict[str, str]:
    """Return the image's variables, except its PATH."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    found = dict(re.findall(r"(\w+)=(\S+)", re.findall(r"^ENV (.+)$", text, re.MULTILINE)[-1]))
    del found["PATH"]
    return found


def write_volume(folder: Path, files: dict[str, str], *, mode: int, group: int) -> None:
    """Write a ConfigMap or Secret as the kubelet does: links to a folder that is replaced as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    version = folder / f"..version_{sum(1 for _ in folder.iterdir())}"
    version.mkdir()
    for name, text in files.items():
        (version / name).write_text(text, "utf-8")
        os.chown(version / name, 0, group)
        (version / name).chmod(mode)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(version.name)
    (folder / "..data_tmp").rename(folder / "..data")


class Pod:
    """A pod that runs as root's child in namespaces of its own. `secrets` has the content of the Secrets by name."""

    def __init__(
        self,
        spec: Object,
        labels: dict[str, str],
        *,
        folder: Path,
        config_maps: dict[str, dict[str, str]],
        secrets: dict[str, dict[str, str]],
    ) -> None:
        (self.container,) = spec["containers"]
        self._security = spec["securityContext"]
        self._labels = labels
        self._folder = folder
        self._volumes = {each["name"]: folder / "volumes" / each["name"] for each in spec["volumes"]}
        group = self._security["fsGroup"]
        for each in spec["volumes"]:
            path = self._volumes[each["name"]]
            if "configMap" in each:
                write_volume(path, config_maps[each["configMap"]["name"]], mode=0o644, group=group)
            elif "secret" in each:
                secret = each["secret"]
                write_volume(path, secrets[secret["secretName"]], mode=secret["defaultMode"], group=group)
            else:
                assert "emptyDir" in each
                path.mkdir(parents=True)
                os.chown(path, 0, group)
                path.chmod(0o2777)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    def environment(self) -> dict[str, str]:
        """Return the container's variables."""
        found = image_environment() | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        for each in self.container.get("env", []):
            if "value" in each:
                found[each["name"]] = each["value"]
                continue
            (label,) = re.fullmatch(r"metadata\.labels\['(.+)'\]", each["valueFrom"]["fieldRef"]["fieldPath"]).groups()  # type: ignore[union-attr] # it matches
            found[each["name"]] = self._labels[label]
        return found

    def command(self) -> list[str]:
        """Return the command line, with `$(NAME)` replaced as Kubernetes does."""
        variables = self.environment()
        words = [*self.container.get("command", entrypoint()), *self.container.get("args", [])]
        return [re.sub(r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), word) for word in words]

    def script(self) -> str:
        """Return the shell script that makes the root and becomes the program."""
        root = self._folder / "root"
        root.mkdir(exist_ok=True)
        lines = ["set -eu", f"mount -t tmpfs -o size=1m,mode=755 root {root}"]
        mounts = [(path, path, "ro") for path in map(Path, SYSTEM) if path.is_dir() and not path.is_symlink()]
        mounts += [(Path("/etc", name), Path("/etc", name), "ro") for name in ETC if Path("/etc", name).exists()]
        mounts += [(Path("/dev"), Path("/dev"), "rw")]
        for each in self.container["volumeMounts"]:
            mode = "ro" if each.get("readOnly") else "rw"
            mounts.append((self._volumes[each["name"]], Path(each["mountPath"]), mode))
        # After the volumes: the project may lie in one of their folders, such as /tmp.
        mounts += [(ROOT, ROOT, "ro")]
        if not sys.base_prefix.startswith("/usr"):
            mounts.append((Path(sys.base_prefix), Path(sys.base_prefix), "ro"))
        for source, target, mode in mounts:
            inside = f"{root}{target}"
            make = "mkdir -p" if source.is_dir() else f"mkdir -p {Path(inside).parent}; touch"
            lines.append(f"{make} {inside}; mount --rbind {source} {inside}")
            if mode == "ro":
                lines.append(f"mount -o remount,bind,ro {inside}")
        links = [path for path in map(Path, SYSTEM) if path.is_symlink()]
        lines += [f"ln -s {link.readlink()} {root}{link}" for link in links]
        assert self.container["securityContext"]["readOnlyRootFilesystem"] is True
        lines += [f"mkdir -p {root}/proc; mount -t proc proc {root}/proc", f"mount -o remount,ro {root}", f"cd {root}"]
        variables = [f"{name}={value}" for name, value in self.environment().items()]
        user, group = self._security["runAsUser"], self._security["runAsGroup"]
        rights = [f"--reuid={user}", f"--regid={group}", f"--groups={self._security['fsGroup']}", "--no-new-privs"]
        rights += ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        last = ["chroot", str(root), "setpriv", *rights, "env", "-i", *variables, *self.command()]
        lines.append(f"exec {shlex.join(last)}")
        return "\n".join(lines)

    def start(self) -> Self:
        """Start the program."""
        namespaces = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*namespaces, "sh", "-c", self.script()], stdout=log, stderr=log)
        return self

    def wait(self, timeout: float) -> int:
        """Wait for the end of the program and return its exit status."""
        assert self.process is not None
        return self.process.wait(timeout)

    def program_id(self) -> int:
        """Return the id of the program's process on this machine."""
        assert self.process is not None
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child)

    def replace_config_map(self, files: dict[str, str]) -> None:
        """Write a new version of the configuration, as the kubelet does some time after an upgrade."""
        write_volume(self._volumes["config"], files, mode=0o644, group=self._security["fsGroup"])

    def about(self, file: str) -> list[str]:
        """Return the lines of a file of the program's process in /proc."""
        return Path(f"/proc/{self.program_id()}/{file}").read_text().splitlines()

    def stop(self) -> None:
        """Stop the program as the kubelet does, and remove what it left."""
        if self.process is not None and self.process.poll() is None:
            try:
                os.kill(self.program_id(), signal.SIGTERM)
                self.process.wait(STOP_TIMEOUT)
            finally:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self._folder / "root", ignore_errors=True)


def labels_of(template: dict[str, Any], index: int) -> dict[str, str]:
    """Return the labels of a StatefulSet's pod, with those that Kubernetes adds."""
    return {**template["metadata"]["labels"], "apps.kubernetes.io/pod-index": str(index)}
