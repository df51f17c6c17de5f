"""Docker with a daemon of this run alone, in a network namespace of its own: it sets sysctls of the network it sees."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.engines import image
from tests.engines.engine import PATIENCE_S, Engine, need


class Docker(Engine):
    def __init__(self, directory: Path, parent: str) -> None:
        super().__init__(directory, parent)
        conf = directory / "daemon.json"
        settings = {
            "runtimes": {"tested": {"path": str(self.runtime)}},
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": f"/{parent}",
            "data-root": f"{directory}/data",
            "exec-root": f"{directory}/exec",
            "pidfile": f"{directory}/pid",
            "hosts": [f"unix://{directory}/socket"],
            "storage-driver": "vfs",
            "bridge": "none",
            "ip-forward": False,
            "iptables": False,
            "ip6tables": False,
        }
        conf.write_text(json.dumps(settings))
        self.log = (directory / "log").open("w")
        self.daemon = subprocess.Popen(
            [
                need("unshare", "util-linux"),
                "--net",
                need("dockerd", "docker.io"),
                f"--config-file={conf}",
            ],
            stdout=self.log,
            stderr=self.log,
            env=self.environment,
        )
        self.command = [need("docker", "docker.io"), f"--host=unix://{directory}/socket"]
        self.until_it_answers(self.daemon, Path(f"{directory}/socket"), "version")
        self.ok("load", "--input", str(image.write(directory / "image.tar")))
        self.usual = ["--runtime=tested", "--network=none"]

    def container(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.run("run", "--rm", *self.usual, *words, stdin=stdin)

    def close(self) -> None:
        for name in self.ok("ps", "--all", "--quiet").split():
            self.run("rm", "--force", name)
        self.daemon.terminate()
        self.daemon.wait(PATIENCE_S)
        self.log.close()
