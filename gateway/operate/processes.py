"""Child processes: started in order, restarted with back-off, their lines passed on, stopped in reverse."""

import ctypes
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 30.0  # who ran this long starts again from the first pause
PR_SET_PDEATHSIG = 1

Say = Callable[[str, str], None]
"""Takes a program's name and one line of its output."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a name to print, the command, and its whole environment."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    cwd: Path | None = None
    account: str | None = None
    """Whom it runs as when we are root; one that changed its account itself would forget to die with its parent."""
    grace_s: float = 10.0
    """How long it may take to stop before it is killed."""
    lasting: bool = True
    """Whether it is started again when it ends."""
    listens: socket | None = None
    """A listening socket that it inherits under the same number; it stays open over restarts, until it is stopped."""
    pid_file: Path | None = None
    """Where its process id stands while it runs, so that other commands can signal it."""


def _die_with_parent() -> None:
    """Ask the kernel to end this child when its parent is killed: an orphan would go on writing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One running program, and what is known of its health."""

    program: Program
    say: Say
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    due: float = 0.0
    _reader: threading.Thread | None = field(default=None, repr=False)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        # Its own session: Ctrl-C reaches the parent alone, which then stops the children in order.
        self.process = subprocess.Popen(  # noqa: S603  # commands are ours
            list(self.program.command),
            env=dict(self.program.env),
            cwd=self.program.cwd,
            user=self.program.account,
            group=self.program.account and pwd.getpwnam(self.program.account).pw_gid,
            extra_groups=[] if self.program.account else None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
            pass_fds=() if self.program.listens is None else (self.program.listens.fileno(),),
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # it calls prctl and nothing else
        )
        self.started = time.monotonic()
        if self.program.pid_file:
            self.program.pid_file.write_text(str(self.process.pid))
        self._reader = threading.Thread(target=self._pass_on, daemon=True, name=f"lines of {self.program.name}")
        self._reader.start()

    def _pass_on(self) -> None:
        process = self.process
        if process is not None and process.stdout is not None:
            for line in process.stdout:
                self.say(self.program.name, line.rstrip("\n"))

    def tell(self, line: str) -> bool:
        """Write one line to its standard input; False when it is not there to read it."""
        if not self.alive or self.process is None or self.process.stdin is None:
            return False
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def watch(self) -> None:
        """Start it again when it has ended and its pause is over."""
        if self.alive or not self.program.lasting:
            return
        now = time.monotonic()
        if self.process is not None:
            code = self.process.returncode
            if now - self.started >= STEADY_S:
                self.pause_s = FIRST_PAUSE_S
            self.due = now + self.pause_s
            self.say(self.program.name, f"ended with {code}; starting again in {self.pause_s:g} s")
            self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)
            self._forget()
        elif now >= self.due:
            self.start()

    def stop(self) -> None:
        """Ask it to end, wait for its grace, kill it if it must be."""
        if self.program.listens is not None:
            self.program.listens.close()
        if self.process is None:
            return
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(self.program.grace_s)
            except subprocess.TimeoutExpired:
                self.say(self.program.name, f"did not stop within {self.program.grace_s:g} s; killed")
                self.process.kill()
                self.process.wait()
        self._forget()

    def _forget(self) -> None:
        process, self.process = self.process, None
        if self.program.pid_file:
            self.program.pid_file.unlink(missing_ok=True)
        if self._reader is not None:
            self._reader.join(2)
        if process is not None:
            reading = self._reader is not None and self._reader.is_alive()  # a child of its own still holds its output
            for pipe in (process.stdin, None if reading else process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        continue


class Supervisor:
    """Children in the order in which they were started."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.children: dict[str, Child] = {}

    def start(self, program: Program) -> Child:
        """Start a program and look after it from now on."""
        child = Child(program, self.say)
        child.start()
        self.children[program.name] = child
        return child

    def watch(self) -> None:
        """Look after every child once; call it a few times a second."""
        for child in self.children.values():
            child.watch()

    def stop(self) -> None:
        """Stop every child, the last started first."""
        for child in reversed(self.children.values()):
            child.stop()
        self.children.clear()
