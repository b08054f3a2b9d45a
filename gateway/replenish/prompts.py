"""Prompts: the one question per cycle, when to ask it, and what an answer changes.

Asked when the order date has come and there is somebody who wants to know: once for each cycle, because its key holds
the cycle; however the forecast flaps, a prompt that was made stays. Several slots of one owner go in one mail, and an
owner gets one mail a day. While an order is under way nothing is asked, and who has a spare at home is asked whether
it is fitted. When the forecast is estimated, or the unit has not been heard from, the mail asks instead of telling.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal, NamedTuple

import psycopg
from psycopg.rows import class_row

from gateway.errors import NotFound, WearwellError
from gateway.events import Event, EventType
from gateway.notify import outbox
from gateway.registry import history, owners
from gateway.replenish import candidates, cycles
from gateway.replenish.candidates import Candidate

Answer = Literal["order", "remind", "spare", "changed", "elsewhere", "wrong"]
ANSWERS: tuple[Answer, ...] = ("order", "remind", "spare", "changed", "elsewhere", "wrong")
REMIND_AFTER = timedelta(days=7)
ASK_AFTER = timedelta(days=2)  # at the earliest, after the part is at home
COLUMNS = """prompt_id, tenant_id, unit_id, slot_id, cycle_id, forecast_id, party_id, key, state, answer, remind_at,
    created_at, answered_at, closed_at"""
ASK = """
insert into prompt (tenant_id, unit_id, slot_id, cycle_id, forecast_id, party_id, key, created_at)
values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant_id, key) do nothing returning prompt_id"""


class NoAnswer(WearwellError):
    """A prompt is answered with one of: order, remind, spare, changed, elsewhere, wrong."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A row of table prompt."""

    prompt_id: int
    tenant_id: int
    unit_id: int
    slot_id: int
    cycle_id: int
    forecast_id: int | None
    party_id: int | None
    key: str
    state: str
    answer: Answer | None
    remind_at: datetime | None
    created_at: datetime
    answered_at: datetime | None
    closed_at: datetime | None


class Verdict(NamedTuple):
    """What would be done about a slot whose order date has come: `silence` says why nothing."""

    candidate: Candidate
    silence: str | None


def get(conn: psycopg.Connection, prompt_id: int) -> Prompt:
    """Return a prompt; raises NotFound."""
    return _one(conn, "where prompt_id = %s", prompt_id)


def rehearse(conn: psycopg.Connection, now: datetime, *, tenant_id: int | None = None) -> list[Verdict]:
    """Return what would be said now and why, and what would not and why not; writes nothing."""
    found = candidates.find(conn, now, tenant_id=tenant_id, everyone=True)
    return [Verdict(candidate, candidates.silence(candidate, now)) for candidate in found]


def speak(conn: psycopg.Connection, now: datetime) -> list[int]:
    """Ask every owner who is to be asked now and return the prompts' ids; the mails are in the outbox.

    A unit that somebody is changing at this moment waits for the next call, and of two workers one speaks: both at once
    could write to one owner twice on a day.
    """
    if not _alone(conn):
        return []
    free = set(cycles.hold_free(conn, sorted({c.unit_id for c in candidates.find(conn, now)})))
    # Read again, now that nobody else can change them.
    found = [c for c in candidates.find(conn, now) if c.unit_id in free]
    for c in found:
        if c.spares > 0:
            ask_if_fitted(conn, c.unit_id, c.slot_id, now)
    ready = [c for c in found if candidates.silence(c, now) is None]
    ready.sort(key=lambda c: (c.tenant_id, c.party_id or 0, c.eol_q50))
    asked: list[int] = []
    for (tenant_id, party_id), group in groupby(ready, key=lambda c: (c.tenant_id, c.party_id or 0)):
        asked += _ask(conn, tenant_id, party_id, list(group), now)
    return asked


def _alone(conn: psycopg.Connection) -> bool:
    row = conn.execute("select pg_try_advisory_xact_lock(hashtextextended('prompts', 0))").fetchone()
    return bool(row and row[0])


def _ask(conn: psycopg.Connection, tenant_id: int, party_id: int, due: list[Candidate], now: datetime) -> list[int]:
    told: dict[int, Candidate] = {}
    for c in due:
        prompt_id = _again(conn, c) if c.prompt_id else _first(conn, c, now)
        if prompt_id is not None:
            told[prompt_id] = c
    if told:
        first = min(told)
        outbox.put(
            conn,
            tenant_id=tenant_id,
            key=_mail_key(first, told[first]),
            channel="email",
            kind="prompt",
            payload={"prompts": list(told), "ask": [prompt_id for prompt_id, c in told.items() if c.unsure]},
            party_id=party_id,
        )
    return list(told)


def _mail_key(prompt_id: int, c: Candidate) -> str:
    """Return the key of a prompt's mail: it goes in one each time that it is asked."""
    if c.handed_over:
        return f"prompt:{prompt_id}:to:{c.party_id}"
    return f"prompt:{prompt_id}:{c.remind_at:%Y%m%d%H%M%S}" if c.remind_at else f"prompt:{prompt_id}"


def _first(conn: psycopg.Connection, c: Candidate, now: datetime) -> int | None:
    key = f"replace:{c.cycle_id}"
    row = conn.execute(
        ASK, (c.tenant_id, c.unit_id, c.slot_id, c.cycle_id, c.forecast_id, c.party_id, key, now)
    ).fetchone()
    return row[0] if row else None


def _again(conn: psycopg.Connection, c: Candidate) -> int | None:
    """Open a prompt again whose owner asked to be reminded, or sold the unit; it is the same prompt, unanswered."""
    row = conn.execute(
        """update prompt set state = 'open', forecast_id = %s, party_id = %s, answer = null, answered_at = null,
             remind_at = null
           where prompt_id = %s and (state = 'snoozed' or party_id is distinct from %s) returning prompt_id""",
        (c.forecast_id, c.party_id, c.prompt_id, c.party_id),
    ).fetchone()
    return row[0] if row else None


def answer(
    conn: psycopg.Connection, prompt_id: int, given: str, now: datetime, *, remind_after: timedelta = REMIND_AFTER
) -> Prompt:
    """Take an owner's answer, keep it as data, and do what it means; return the prompt as it stands then.

    Every answer but `remind` and `order` ends the asking in this cycle; mail that still waits is not sent. `changed`
    tells that the part was fitted, which closes the cycle. A prompt that is closed stays closed. Who answers is who was
    asked, also where a former owner was.
    Raises NoAnswer for a word that is none, NotFound.
    """
    if given not in ANSWERS:
        raise NoAnswer(f"{given!r} is no answer; there are {', '.join(ANSWERS)}")
    cycles.hold(conn, get(conn, prompt_id).unit_id)
    prompt = get(conn, prompt_id)
    if prompt.state == "closed" or (prompt.state == "answered" and prompt.answer == given):
        return prompt
    state = {"remind": "snoozed", "order": prompt.state}.get(given, "answered")
    remind_at = now + remind_after if given == "remind" else None
    owner = owners.owner_of(conn, prompt.unit_id, now)
    conn.execute(
        """update prompt set state = %s, answer = %s, answered_at = %s, remind_at = %s,
             party_id = coalesce(%s, party_id) where prompt_id = %s""",
        (state, given, now, remind_at, owner and owner.party_id, prompt_id),
    )
    _record(conn, prompt, given, now)
    if given == "spare":
        conn.execute(
            """insert into spare (tenant_id, unit_id, slot_id, count) values (%s, %s, %s, 1)
               on conflict (unit_id, slot_id) do update set count = greatest(spare.count, 1)""",
            (prompt.tenant_id, prompt.unit_id, prompt.slot_id),
        )
    if given in ("spare", "elsewhere"):
        ask_if_fitted(conn, prompt.unit_id, prompt.slot_id, now)
    return get(conn, prompt_id)


def _record(conn: psycopg.Connection, prompt: Prompt, given: str, now: datetime) -> None:
    """Keep the answer as an event, and the fitting that `changed` tells of as another."""
    where = (prompt.tenant_id, prompt.unit_id, prompt.slot_id)
    key = f"answer:{prompt.prompt_id}:{given}:{now.isoformat()}"
    payload = {"prompt_id": prompt.prompt_id, "answer": given, "forecast_id": prompt.forecast_id}
    history.record(conn, Event(*where, EventType.PROMPT_ANSWERED, key, now, payload))
    if given == "changed":
        cycles.tell_fitted(conn, prompt.cycle_id, now, prompt_id=prompt.prompt_id)


def ask_if_fitted(conn: psycopg.Connection, unit_id: int, slot_id: int, now: datetime) -> None:
    """Ask an owner, when the old part's time is over, whether the part they have at home is fitted; once a cycle."""
    row = conn.execute(
        """select st.tenant_id, st.cycle_id, st.eol_q50 from slot_state st join cycle c on c.cycle_id = st.cycle_id
           where st.unit_id = %s and st.slot_id = %s and upper_inf(c.period)""",
        (unit_id, slot_id),
    ).fetchone()
    owner = owners.owner_of(conn, unit_id, now)
    if row is None or owner is None or not owners.agreed(conn, owner.party_id, "replacement_prompts"):
        return
    tenant_id, cycle_id, eol = row
    outbox.put(
        conn,
        tenant_id=tenant_id,
        key=f"fitted?:{cycle_id}:{owner.party_id}",
        channel="email",
        kind="ask_if_fitted",
        payload={"cycle_id": cycle_id},
        party_id=owner.party_id,
        due=max(eol or now, now + ASK_AFTER),
    )


def ordered(conn: psycopg.Connection, cycle_id: int, now: datetime) -> None:
    """Note that a part was ordered for a cycle: whoever was asked need not answer any more.

    What they answered before stays: it counts again if nothing comes of the order.
    """
    conn.execute(
        """update prompt set state = 'ordered', answer = coalesce(answer, 'order'),
             answered_at = coalesce(answered_at, %s)
           where cycle_id = %s and state in ('open', 'snoozed', 'answered')""",
        (now, cycle_id),
    )


def order_gone(conn: psycopg.Connection, cycle_id: int) -> None:
    """Let a cycle's prompt stand as it did before its order, which was cancelled: to be reminded of, answered or open.

    Its link works, and nobody is asked a second time.
    """
    conn.execute(
        """update prompt set answer = nullif(answer, 'order'),
             answered_at = case when answer <> 'order' then answered_at end,
             state = case when remind_at is not null then 'snoozed' when answer <> 'order' then 'answered'
                     else 'open' end
           where cycle_id = %s and state = 'ordered'""",
        (cycle_id,),
    )


def _one(conn: psycopg.Connection, where: str, *values: object) -> Prompt:
    with conn.cursor(row_factory=class_row(Prompt)) as cursor:
        found = cursor.execute(f"select {COLUMNS} from prompt {where}", values).fetchone()
    if found is None:
        raise NotFound("there is no such prompt")
    return found
