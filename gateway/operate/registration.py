"""Batches of owners: people whom a manufacturer knows already, with their units and their consent."""

from datetime import datetime

import psycopg

from gateway.errors import WearwellError
from gateway.operate import table
from gateway.operate.table import BadTable
from gateway.registry import gtin, owners, units

NEEDED = ("gtin", "serial", "email")
ADDRESS = ("name", "line1", "postal_code", "city", "country")
KNOWN = (*NEEDED, *ADDRESS, "locale")


def register(conn: psycopg.Connection, tenant_id: int, text: str, now: datetime) -> int:
    """Make each line's person the owner of its unit and return how many lines that were; the caller commits.

    Raises BadTable that names the line at fault.
    """
    count = 0
    for line, said in table.read(text, needed=NEEDED, known=KNOWN):
        address = {field: said[field] for field in ADDRESS if said.get(field)}
        try:
            unit = units.by_code(conn, gtin.gtin14(said["gtin"]), said["serial"])
            if unit.tenant_id != tenant_id:
                raise BadTable("this unit is another manufacturer's")
            owners.register(
                conn,
                tenant_id,
                unit.unit_id,
                email=said["email"],
                name=said.get("name") or None,
                address=address or None,
                locale=said.get("locale") or "en",
                now=now,
            )
        except WearwellError as error:
            raise BadTable(f"line {line}: {error}; nobody was registered") from None
        count += 1
    return count
