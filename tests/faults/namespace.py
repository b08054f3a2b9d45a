"""A network namespace of the test's own, with one cable to this machine: a real network that can be unplugged."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Self

import pytest

HERE, THERE = "10.213.7.1", "10.213.7.2"


class Namespace:
    """A host with nothing on it but one end of a cable; skips the test where this account may not make one."""

    def __init__(self) -> None:
        self.name = f"ww{os.getpid()}"
        self.cable = f"{self.name}h"
        if shutil.which("ip") is None or self._ip("netns", "add", self.name).returncode:
            pytest.skip("this account may not make network namespaces")

    def __enter__(self) -> Self:
        inside = f"{self.name}g"
        for command in (
            f"link add {self.cable} type veth peer name {inside}",
            f"link set {inside} netns {self.name}",
            f"addr add {HERE}/30 dev {self.cable}",
            f"link set {self.cable} up",
            f"-n {self.name} addr add {THERE}/30 dev {inside}",
            f"-n {self.name} link set {inside} up",
            f"-n {self.name} link set lo up",
        ):
            made = self._ip(*command.split())
            assert 0 == made.returncode, (command, made.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        self._ip("netns", "del", self.name)
        self._ip("link", "del", self.cable)

    @property
    def before(self) -> Sequence[str]:
        """What a command begins with to run there."""
        return ("ip", "netns", "exec", self.name)

    def unplug(self) -> None:
        """Let every packet vanish, without a word to either side."""
        self._ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        """Let packets through again."""
        self._ip("link", "set", self.cable, "up")

    def spoil(self, how: str) -> bool:
        """Spoil the cable, such as with `loss 10% delay 50ms`; say False where the kernel cannot."""
        command = ["tc", "qdisc", "replace", "dev", self.cable, "root", "netem", *how.split()]
        return (
            shutil.which("tc") is not None and not subprocess.run(command, check=False, capture_output=True).returncode
        )

    @staticmethod
    def _ip(*words: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(["ip", *words], check=False, capture_output=True)
