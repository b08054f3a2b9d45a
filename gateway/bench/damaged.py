"""What is said of a version whose artifact cannot be read."""

from gateway.errors import Conflict


class Damaged(Conflict):
    """A version's artifact cannot be read; what is in force stays."""
