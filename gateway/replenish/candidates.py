"""Whom a prompt is for: slots whose order date has come, with everything that decides whether to speak."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from commerce.orders import OPEN
from gateway.registry.doubts import ASSUMED

ONE_MAIL_EVERY = timedelta(hours=20)  # an owner gets one mail a day, however many parts are due

# What `silence` would keep quiet about is left out before the limit: it would otherwise fill it, and nobody be asked.
DUE = """
select * from (
select st.tenant_id, st.unit_id, st.slot_id, st.cycle_id, st.forecast_id, st.stage, st.basis, st.stale, st.order_at,
  st.eol_q50, st.pct_left, u.serial, coalesce(u.name, m.name) as unit_name, s.name as slot_name,
  p.prompt_id, p.state as prompt_state, p.party_id as prompt_party_id, p.remind_at,
  party.party_id, party.channel, party.email,
  exists (select from consent k where k.party_id = party.party_id and k.purpose = 'replacement_prompts'
          and k.withdrawn_at is null) as agreed,
  (select o.number from purchase o where o.unit_id = st.unit_id and o.slot_id = st.slot_id and o.state = any(%(open)s)
   and not (o.party_id is null and o.state in ('created', 'paying')) limit 1) as order_number,
  coalesce((select count from spare where spare.unit_id = st.unit_id and spare.slot_id = st.slot_id), 0) as spares,
  exists (select from outbox b where b.tenant_id = st.tenant_id
          and b.key = 'fitted?:' || st.cycle_id || ':' || party.party_id) as asked_if_fitted,
  exists (select from doubt d where d.cycle_id = st.cycle_id
          and (d.state = 'acted' or d.state = 'open' and not st.flags && %(assumed)s)) as doubted, st.flags,
  (select max(b.due_at) from outbox b where b.party_id = party.party_id and b.kind = 'prompt') as last_mail
from slot_state st join cycle c on c.cycle_id = st.cycle_id and upper_inf(c.period)
join unit u on u.unit_id = st.unit_id join product_model m on m.model_id = u.model_id
join slot s on s.slot_id = st.slot_id
left join prompt p on p.tenant_id = st.tenant_id and p.key = 'replace:' || st.cycle_id
left join ownership w on w.unit_id = st.unit_id and w.period @> %(now)s::timestamptz
left join party on party.party_id = w.party_id and party.erased_at is null
where st.order_at <= %(now)s and st.forecast_id is not null and (%(tenant)s::int is null or st.tenant_id = %(tenant)s)
  and (%(all)s or p.prompt_id is null or (p.state = 'snoozed' and p.remind_at <= %(now)s)
       or p.party_id is distinct from party.party_id)
  and (%(all)s or (party.channel = 'email' and party.email is not null))) due
where %(all)s or (agreed and not doubted and order_number is null
                  and case when spares > 0 then not asked_if_fitted and eol_q50 <= %(now)s  -- before, it may still move
                           else last_mail is null or last_mail <= %(now)s - %(apart)s::interval end)
order by order_at, unit_id, slot_id limit %(limit)s"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A slot whose order date has come."""

    tenant_id: int
    unit_id: int
    slot_id: int
    cycle_id: int
    forecast_id: int
    stage: str
    basis: str
    stale: bool
    order_at: datetime
    eol_q50: datetime
    pct_left: float
    serial: str
    unit_name: str
    slot_name: str
    prompt_id: int | None
    prompt_state: str | None
    prompt_party_id: int | None
    remind_at: datetime | None
    party_id: int | None
    channel: str | None
    email: str | None
    agreed: bool
    order_number: str | None
    spares: int
    asked_if_fitted: bool
    doubted: bool
    flags: list[str]
    last_mail: datetime | None

    @property
    def handed_over(self) -> bool:
        """Whether somebody else was asked, who owned the unit before."""
        return self.prompt_id is not None and self.prompt_party_id != self.party_id

    @property
    def unsure(self) -> bool:
        """Whether to ask rather than to tell: estimated, not heard from for long, ended all at once, or in doubt."""
        return self.stale or self.basis == "estimated" or not {"sudden", *ASSUMED}.isdisjoint(self.flags)


def find(
    conn: psycopg.Connection, now: datetime, *, tenant_id: int | None = None, everyone: bool = False, limit: int = 1_000
) -> list[Candidate]:
    """Return slots whose order date has come and whose owner is to be asked; with `everyone` the others as well.

    Whose owner has a spare is among them until they are asked whether it is fitted.
    """
    asked = {
        "now": now,
        "tenant": tenant_id,
        "all": everyone,
        "open": [str(s) for s in OPEN],
        "apart": ONE_MAIL_EVERY,
        "assumed": list(ASSUMED),
        "limit": limit,
    }
    with conn.cursor(row_factory=class_row(Candidate)) as cursor:
        return cursor.execute(DUE, asked).fetchall()


def silence(c: Candidate, now: datetime) -> str | None:
    """Return why nothing is said about a candidate now; None when its owner is to be told."""
    reminded = c.prompt_state == "snoozed" and c.remind_at is not None and c.remind_at <= now
    asked = c.prompt_id is not None and not reminded and not c.handed_over
    had_mail = c.last_mail is not None and c.last_mail > now - ONE_MAIL_EVERY
    word = "was" if c.asked_if_fitted else "is"
    reasons = (
        (c.party_id is None, "nobody owns the unit"),
        (asked, f"asked once in this cycle: the prompt is {c.prompt_state}"),
        (c.order_number is not None, f"order {c.order_number} is under way"),
        (c.doubted, "the part may have been changed already: the owner is asked whether it was"),
        (not c.agreed, "the owner has not agreed to prompts"),
        (c.channel != "email" or not c.email, "the owner has no channel to be told on"),
        (
            c.spares > 0,
            f"{c.spares} at home: the owner {word} asked whether it is fitted",
        ),
        (had_mail, "the owner had a mail within a day; this one waits, and goes with the next"),
    )
    return next((reason for holds, reason in reasons if holds), None)
