"""A network namespace of the test's own, with one cable to this machine: a real network that can be unplugged."""

import os
import re
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
        self.cable, self.inside = f"{self.name}h", f"{self.name}g"
        if shutil.which("ip") is None or self._ip("netns", "add", self.name).returncode:
            pytest.skip("this account may not make network namespaces")

    def __enter__(self) -> Self:
        for command in (
            f"link add {self.cable} type veth peer name {self.inside}",
            f"link set {self.inside} netns {self.name}",
            f"addr add {HERE}/30 dev {self.cable}",
            f"link set {self.cable} up",
            f"-n {self.name} addr add {THERE}/30 dev {self.inside}",
            f"-n {self.name} link set {self.inside} up",
            f"-n {self.name} link set lo up",
        ):
            made = self._ip(*command.split())
            assert 0 == made.returncode, (command, made.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        self._ip("netns", "del", self.name)
        self._ip("link", "del", self.cable)
        self._nft((), f"delete table netdev {self.name}")

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

    def lose(self, percent: int) -> bool:
        """Let the cable lose so many of a hundred packets, either way and at random; say False where that cannot be."""
        made = []
        for before, end in self._ends():
            hook = f"type filter hook ingress device {end} priority 0;"
            rule = f"numgen random mod 100 < {percent} counter drop;"
            made.append(self._nft(before, f"table netdev {self.name} {{ chain lossy {{ {hook} {rule} }}; }}"))
        return all(one is not None for one in made)

    def lost(self) -> int:
        """Return how many packets the cable has lost."""
        told = [self._nft(before, f"list table netdev {self.name}") or "" for before, _ in self._ends()]
        return sum(int(packets) for one in told for packets in re.findall(r"counter packets (\d+)", one))

    def _ends(self) -> tuple[tuple[Sequence[str], str], ...]:
        """Return the ends of the cable: what a command begins with to run there, and its name there."""
        return ((), self.cable), (self.before, self.inside)

    @staticmethod
    def _nft(before: Sequence[str], command: str) -> str | None:
        """Return what nftables says to a command, None where it refuses or is not here."""
        if shutil.which("nft") is None:
            return None
        done = subprocess.run([*before, "nft", command], check=False, capture_output=True, text=True)
        return None if done.returncode else done.stdout

    @staticmethod
    def _ip(*words: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(["ip", *words], check=False, capture_output=True)
