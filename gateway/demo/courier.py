"""Who lives around a unit: when a parcel is there, its owner fits the part, and the unit notices."""

from collections.abc import Callable

import psycopg

DELIVERED = """
select e.event_id, u.device, s.code, p.sku, coalesce(u.name, u.serial) as name
from event e join unit u on u.unit_id = e.unit_id join slot s on s.slot_id = e.slot_id
join purchase o on o.order_id = (e.payload ->> 'order_id')::bigint
join quote q on q.quote_id = o.quote_id join part p on p.part_id = q.part_id
where e.type = 'order_delivered' and e.event_id > %s and u.device is not null order by e.event_id"""


class Courier:
    """Watches for deliveries and has the part fitted: `tell` is a line to the fleet."""

    def __init__(self, tell: Callable[[str], bool], say: Callable[[str], None]) -> None:
        self.tell = tell
        self.say = say
        self._seen = 0

    def round(self, conn: psycopg.Connection) -> int:
        """Have fitted what was delivered since the last round, and return how many parts that was."""
        fitted = 0
        for event_id, device, slot, sku, name in conn.execute(DELIVERED, (self._seen,)).fetchall():
            if not self.tell(f"fit {device} {slot} {sku}"):
                break  # the fleet is starting again; the next round tells it
            self._seen = event_id
            self.say(f"the owner of {name} fits {sku}")
            fitted += 1
        return fitted
