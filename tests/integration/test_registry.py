"""Who and what: declarations, units, owners, credentials, links, history."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from gateway.db import pool
from gateway.errors import Conflict, NotFound
from gateway.events import Event, EventType
from gateway.registry import channels, credentials, declaration, gtin, history, links, models, owners, units

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GTIN = "04006381333931"
TOML = """
tenant = "acme"
name = "An appliance maker"
[[channels]]
name = "ozone"
unit = "ppb"
[[models]]
gtin = "4006381333931"
name = "Purifier"
[[models.slots]]
code = "hepa"
name = "Filter"
life_h = 1000
life_d = 365
load_channel = "ozone"
load_ref = 10
"""


@pytest.fixture
def tenant(conn: psycopg.Connection) -> int:
    return declaration.declare(conn, declaration.read(TOML))


def test_declaring_twice_changes_and_never_doubles(conn: psycopg.Connection, tenant: int) -> None:
    """A declaration is the state that is wanted: again with another life, the slot is the same and its life is new."""
    again = declaration.declare(conn, declaration.read(TOML.replace("1000", "1200")))
    model = models.by_gtin(conn, GTIN)
    assert (tenant, [1200.0]) == (again, [slot.life_h for slot in models.slots(conn, model.model_id)])
    assert "ozone" in channels.of_tenant(conn, tenant)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("life_h = 1000", "life_h = -1"), "models.0.slots.0.life_h"),
        (('"ozone"\nunit', '"oz"\nunit'), "'ozone' of slot 'hepa' is no channel"),
        (("load_ref = 10", ""), "go together"),
        (("load_ref = 10", 'load_ref = 10\nflow_channel = "flow"'), "flow_channel and flow_ref go together"),
        (
            ("load_ref = 10", 'load_ref = 10\nflow_channel = "flow"\nflow_ref = 9'),
            "without indicator_channel and indicator_eol",
        ),
        (("4006381333931", "4006381333932"), "check digit should be 1"),
        (("[[models]]", "[[models"), "not TOML"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_with_its_place(change: tuple[str, str], said: str) -> None:
    """The message names the place and the fault."""
    with pytest.raises(declaration.BadDeclaration, match=said):
        declaration.read(TOML.replace(*change))


def test_a_gtin_belongs_to_one_tenant(conn: psycopg.Connection, tenant: int) -> None:
    """Another maker that declares the same GTIN is refused."""
    with pytest.raises(declaration.BadDeclaration, match="another tenant"):
        declaration.declare(conn, declaration.read(TOML.replace("acme", "other")))


def test_a_unit_is_enrolled_once_with_a_secret_of_its_own(conn: psycopg.Connection, tenant: int) -> None:
    """The secret is shown once and stored as the broker's hash; the serial cannot be enrolled again."""
    enrolled = units.enrol(conn, tenant, GTIN, "A1", now=NOW)
    assert ("acme.A1", "Purifier") == (enrolled.unit.device, enrolled.unit.model_name)
    name, line = credentials.password_file(conn).strip().split(":")
    _, seven, rounds, salt, digest = line.split("$")
    assert ("acme.A1", "7") == (name, seven)
    assert enrolled.secret
    want = hashlib.pbkdf2_hmac("sha512", enrolled.secret.encode(), base64.b64decode(salt), int(rounds))
    assert want == base64.b64decode(digest)
    with pytest.raises(Conflict, match="A1"):
        units.enrol(conn, tenant, GTIN, "A1", now=NOW)


@pytest.mark.parametrize("device", ["wearwell", "v1"])
def test_no_unit_gets_the_gateways_own_name(conn: psycopg.Connection, tenant: int, device: str) -> None:
    """The broker lets the gateway's login read every unit, and +/v1/status/# lies inside our own topics."""
    with pytest.raises(units.BadDevice, match="gateway itself"):
        units.enrol(conn, tenant, "4006381333931", "A9", now=NOW, device=device)


def test_a_secret_is_not_in_what_is_printed(conn: psycopg.Connection, tenant: int) -> None:
    """The one moment at which a secret is known leaves no trace in a log or an error."""
    made = units.enrol(conn, tenant, "4006381333931", "A9", now=NOW)
    assert made.secret
    assert made.secret not in repr(made)


def test_a_unit_without_a_radio_has_no_credential(conn: psycopg.Connection, tenant: int) -> None:
    """It takes part by its code, and is due for a first forecast like any other."""
    enrolled = units.enrol(conn, tenant, GTIN, "Q1", now=NOW, radio=False)
    assert (None, None) == (enrolled.secret, enrolled.unit.device)
    assert [(enrolled.unit.unit_id,)] == conn.execute("select unit_id from rescore").fetchall()


def test_another_tenants_model_is_not_found(conn: psycopg.Connection, tenant: int) -> None:
    """A tenant cannot enrol a unit of somebody else's product model."""
    with pytest.raises(NotFound):
        units.enrol(conn, tenant + 1, GTIN, "A1", now=NOW)


@pytest.mark.parametrize("bad", ["400638133393", "4006381333932", "", "40063813339310000", "١٢٣٤٥٦٧٨"])
def test_what_is_no_gtin_is_refused(bad: str) -> None:
    """Wrong length, wrong check digit, other scripts' digits."""
    with pytest.raises(gtin.BadCode):
        gtin.gtin14(bad)


def test_a_unit_has_one_owner_at_a_time(conn: psycopg.Connection, tenant: int) -> None:
    """A second registration is refused, and consent is a row that can be taken back."""
    unit_id = units.enrol(conn, tenant, GTIN, "A1", now=NOW).unit.unit_id
    party = owners.register(conn, tenant, unit_id, email="owner@example.com", now=NOW, address={"city": "Ulm"})
    owner = owners.owner_of(conn, unit_id, NOW)
    assert owner is not None
    assert (party, "owner@example.com") == (owner.party_id, owner.email)
    with pytest.raises(Conflict):
        owners.register(conn, tenant, unit_id, email="second@example.com", now=NOW)
    assert owners.agreed(conn, party, "replacement_prompts")
    owners.withdraw(conn, party, "replacement_prompts", NOW)
    assert not owners.agreed(conn, party, "replacement_prompts")


def test_a_link_is_stored_hashed_spent_once_and_revocable(conn: psycopg.Connection, tenant: int) -> None:
    """The token itself is nowhere in the database; spending wins once; a revoked or expired link is unknown."""
    unit_id = units.enrol(conn, tenant, GTIN, "A1", now=NOW).unit.unit_id
    party = owners.register(conn, tenant, unit_id, email="owner@example.com", now=NOW)
    mint = {"tenant_id": tenant, "party_id": party, "purpose": "prompt", "unit_id": unit_id}
    token = links.mint(conn, **mint, lifetime=timedelta(hours=1))
    row = conn.execute("select owner_link::text from owner_link").fetchone()
    assert row is not None
    assert token not in row[0]
    link = links.find(conn, token)
    assert link is not None
    assert [True, False] == [links.spend(conn, link), links.spend(conn, link)]
    conn.execute("update owner_link set revoked_at = created_at")
    assert links.find(conn, token) is None
    assert links.find(conn, links.mint(conn, **mint, lifetime=timedelta(seconds=-1))) is None


def test_an_event_told_twice_is_one_row_and_one_job(conn: psycopg.Connection, tenant: int) -> None:
    """The second telling finds the first; handling it is done once."""
    unit_id = units.enrol(conn, tenant, GTIN, "A1", now=NOW).unit.unit_id
    told = Event(tenant, unit_id, None, EventType.FACTORY_RESET, "device:A1:7", NOW)
    event_id = history.record(conn, told)
    assert event_id is not None
    assert history.record(conn, told) is None
    assert (1,) == conn.execute("select count(*) from procrastinate_jobs").fetchone()
    assert history.take(conn, event_id) is not None
    history.done(conn, event_id)
    assert history.take(conn, event_id) is None


def test_the_web_can_tell_an_event(dsn: str, conn: psycopg.Connection, tenant: int) -> None:
    """The app role, in its tenant, may record an event and defer its job."""
    unit_id = units.enrol(conn, tenant, GTIN, "A1", now=NOW).unit.unit_id
    conn.commit()
    with pool.connect(dsn, pool.Role.APP) as app:
        pool.speak_for(app, tenant)
        assert history.record(app, Event(tenant, unit_id, None, EventType.PROMPT_ANSWERED, "answer:1", NOW))
