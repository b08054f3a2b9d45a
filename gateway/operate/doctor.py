"""A look at everything a deployment leans on, each with a verdict and what to do about it."""

from gateway.errors import Exit
from gateway.operate import check_broker, check_database, check_surroundings
from gateway.operate.finding import Finding, Verdict
from gateway.settings import Settings

CHECKS = (
    check_database.look,
    check_broker.look,
    check_surroundings.disk,
    check_surroundings.mail,
    check_surroundings.payments,
)


def examine(settings: Settings) -> list[Finding]:
    """Look at database, broker, disk, mail and payments; a thing that is away is a finding, not an error."""
    return [finding for look in CHECKS for finding in look(settings)]


def exit_code(findings: list[Finding]) -> Exit:
    """Return failed when something is bad, else ok: a warning is advice."""
    return Exit.FAILED if any(f.verdict is Verdict.BAD for f in findings) else Exit.OK
