"""GTINs and serials as GS1 writes them (General Specifications, sections 3.2.1 and 3.5.2)."""

import re

from gateway.errors import WearwellError

SERIAL = re.compile(r"""[!"%-?A-Z_a-z]{1,20}""")


class BadCode(WearwellError):
    """A GTIN or serial is not one; the message says what is wrong with it."""


def check_digit(digits: str) -> int:
    """Return the check digit that makes `digits` (without it) a GTIN: weights 3 and 1 from the right, modulo 10."""
    total = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(digits)))
    return -total % 10


def gtin14(text: str) -> str:
    """Return a GTIN of 8, 12, 13 or 14 digits as 14; raises BadCode when it is none."""
    if not re.fullmatch(r"\d{8}|\d{12,14}", text, re.ASCII):
        raise BadCode(f"{text!r} is not a GTIN: it needs 8, 12, 13 or 14 digits")
    padded = text.zfill(14)
    if int(padded[-1]) != (right := check_digit(padded[:-1])):
        raise BadCode(f"{text!r} is not a GTIN: its check digit should be {right}")
    return padded


def serial(text: str) -> str:
    """Return the serial as it is; raises BadCode when GS1 allows no such one."""
    if not SERIAL.fullmatch(text):
        raise BadCode(f"{text!r} is not a serial: 1 to 20 letters, digits and !\"%&'()*+,-./_:;<=>?")
    return text
