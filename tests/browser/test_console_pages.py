"""The console as staff see it: what needs attention, the fleet, a unit drawn over time, its label."""

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page
from psycopg.types.json import Jsonb

from gateway import clock
from gateway.bench import release, shadow
from gateway.registry import channels, models
from gateway.registry.units import Unit
from gateway.replenish import versions, way
from predictors.registry import named
from tests.browser.conftest import Open
from tests.integration.test_web_owner import press
from tests.integration.web_house import PASSWORD, WebHouse

pytestmark = pytest.mark.browser


def live(house: WebHouse, unit: Unit, days: int = 120) -> None:
    """Give a unit a past: readings by the hour, a finished cycle, forecasts that narrow, a gap."""
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    known = channels.of_tenant(house.conn, house.tenant_id)
    rows = []
    for day in range(days):
        used = 5 + 3 * math.sin(day / 9) + (2 if day % 7 > 4 else 0)
        dust = 14 + 9 * math.sin(day / 17 + 1) ** 2 + (25 if day % 31 == 3 else 0)
        at = now - timedelta(days=days - day)
        rows += [
            ("runtime", 0, at, used * day, used * (day + 1), used, used),
            ("pm25", 0, at, max(dust - 8, 0), dust + 12, dust, 0),
            ("left_pct", house.slots["hepa"], at, 100 - day * 0.6, 100 - day * 0.6, 100 - day * 0.6, 0),
        ]
    with house.conn.cursor() as cursor:
        cursor.executemany(
            """insert into reading_hourly (tenant_id, unit_id, slot_id, channel_id, hour, n, low, high, mean, first,
                 last, last_ts, rise) values (%s, %s, %s, %s, %s, 60, %s, %s, %s, %s, %s, %s, %s)""",
            [
                (house.tenant_id, unit.unit_id, slot, known[name].channel_id, at, low, high, mean, low, high, at, rise)
                for name, slot, at, low, high, mean, rise in rows
            ],
        )
    cycle = house.conn.execute(
        "select cycle_id, lower(period) from cycle where unit_id = %s and slot_id = %s",
        (unit.unit_id, house.slots["hepa"]),
    ).fetchone()
    assert cycle
    house.conn.execute(
        """insert into cycle (tenant_id, model_id, unit_id, slot_id, period, start_runtime_h, end_runtime_h, source,
             removed_reason) values (%s, %s, %s, %s, tstzrange(%s, %s), 0, 1630, 'factory', 'worn')""",
        (
            house.tenant_id, unit.model_id, unit.unit_id, house.slots["hepa"],
            cycle[1] - timedelta(days=260), cycle[1],
        ),
    )  # fmt: skip
    for kind, payload in (
        ("prompt_answered", {"answer": "remind"}),
        ("part_fitted", {"by": "owner"}),
        ("fault_set", {}),
    ):
        house.conn.execute(
            """insert into event (tenant_id, unit_id, slot_id, type, key, payload, occurred_at, recorded_at)
               values (%s, %s, %s, %s, %s, %s, %s, %s)""",
            (house.tenant_id, unit.unit_id, house.slots["hepa"], kind, kind, Jsonb(payload), now, now),
        )
    end = now + timedelta(days=42)
    for week in range(17):
        made = now - timedelta(days=7 * (17 - week))
        wide = timedelta(days=95 * (1 - week / 20))
        drift = timedelta(days=24 * math.exp(-week / 6) * math.cos(week / 2))
        house.conn.execute(
            """insert into forecast (tenant_id, unit_id, slot_id, cycle_id, made_at, eol_q10, eol_q50, eol_q90,
                 order_at, pct_left, basis, predictor, reasons, inputs)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'measured', 'weibull', %s, '{}')""",
            (
                house.tenant_id, unit.unit_id, house.slots["hepa"], cycle[0], made, end + drift - wide * 0.7,
                end + drift, end + drift + wide, end, 95 - week * 4, Jsonb({"sentence": "It runs."}),
            ),
        )  # fmt: skip


def decided(house: WebHouse) -> None:
    """Give the filter's model a past: one version in force, one in the shadow, one that was compared and may not."""
    slot = models.get_slot(house.conn, house.slots["hepa"])
    kept = []
    for i, name in enumerate(("rated", "weibull", "hit", "fused")):
        at = clock.now() - timedelta(days=90 - 25 * i)
        sealed = named(name)(way.declared(slot)).to_artifact()
        note = f"fitted from {120 + 31 * i} finished and 212 running cycles"
        version = versions.keep(house.conn, slot, sealed, labels=120 + 31 * i, note=note, fitted_on={}, now=at)
        assert version
        kept.append((version, at))
    for (version, at), note in zip(kept[:2], ("the timer, for a start", "costs less in 97 % of draws"), strict=True):
        release.release(house.conn, version, actor="staff:1", note=note, now=at)
    shadow.start(house.conn, kept[2][0], actor="staff:1", now=clock.now() - timedelta(days=9))
    names = ("champion version 2 (weibull)", "challenger version 4 (fused)")
    score = {"group": "all", "mae_d": 6.2, "cov80": 0.81}
    outcome = {"cycles": 164, "early_d": 7.4, "late_d": 0.31, "late_rate": 0.04, "stock_out_rate": 0.11, "cost": 8.64}
    found = {
        "champion": "version 2 (weibull)", "challenger": "version 4 (fused)", "snapshots": 1874, "left_out": 61,
        "scores": {name: [score] for name in names},
        "outcomes": {names[0]: outcome | {"cost": 9.06}, names[1]: outcome},
        "cheaper_share": 0.84, "cost_difference": -0.42, "cost_low": -1.31, "cost_high": 0.38, "promote": False,
        "criteria": [
            {"name": "enough cycles", "met": True, "says": "164 cycles with a seen end; the rule wants 20"},
            {"name": "costs less", "met": False, "says": "84% of draws; the rule wants 90% (8.64 against 9.06)"},
            {"name": "no leak", "met": True, "says": "another future changes nothing that it says"},
        ],
    }  # fmt: skip
    house.conn.execute(
        """insert into comparison (tenant_id, slot_id, challenger, actor, asked_at, done_at, found)
           values (%s, %s, '4', 'staff:1', %s, %s, %s)""",
        (house.tenant_id, slot.slot_id, clock.now(), clock.now(), Jsonb(found)),
    )


def to_ship(house: WebHouse, token: str) -> None:
    """Let an owner order the part by the link in their mail, and let nobody cancel it any more."""
    client = house.client()
    press(client, client.get(f"/p/{token}").text, "/order")
    for (order_id,) in house.conn.execute("select order_id from purchase").fetchall():
        house.desk.release(house.tenant_id, order_id)


def fleet(house: WebHouse) -> Unit:
    """A fleet of some forty units in every state, one of them with a past; returns that one."""
    first, party, token = house.due()
    live(house, first)
    house.keep_card(party)
    to_ship(house, token)
    stages = ["ok"] * 6 + ["soon", "due", "overdue"]
    for i in range(40):
        unit = house.unit(f"FLEET{i:011d}", radio=i % 7 != 3, name=("Office", "Hall", "Studio", None)[i % 4])
        stage = stages[i % 9]
        mid = {"ok": 90 + i * 7, "soon": 24, "due": 5, "overdue": -6}[stage] + i / 10
        house.stand(
            unit,
            left_d=(mid - 3 - i / 4, mid, mid + 6 + i / 2),
            pct=max(0, min(100, mid / 3)),
            stage=stage,
            basis="measured" if unit.device else "estimated",
        )
    house.conn.execute(
        "update unit set last_seen_at = last_seen_at - interval '6 days', connection = 'lost' where unit_id % 11 = 0"
    )
    house.conn.execute(
        """insert into gap (tenant_id, unit_id, session, seqs, found_at) values (%s, %s, 1, '[10,20)', %s)""",
        (house.tenant_id, first.unit_id, clock.now()),
    )
    house.conn.execute(
        """insert into quarantine (tenant_id, device, topic, payload, reason, detail, received_at, digest)
           values (%s, 'acme.X', 'ww/v1/acme.X/tlm', '{"v":1}', 'unbelievable',
                   'The unit says that pm25 is 90000 ug/m3; at most 5000 can be believed.', %s, 'x')""",
        (house.tenant_id, clock.now()),
    )
    for code, alarm in (("exposure_rate", True), ("interval", False)):
        house.conn.execute(
            """insert into drift (tenant_id, slot_id, code, looked_at, alarm, p_value, n, then_value, now_value, says)
               values (%s, %s, %s, %s, %s, 0.0004, 31, 8, 11.5, 'exposure a day: 8 before, 11.5 lately')""",
            (house.tenant_id, house.slots["hepa"], code, clock.now(), alarm),
        )
    return first


def signed_in(house: WebHouse, open_page: Open, path: str, *, width: int = 1280, dark: bool = False) -> Page:
    house.staff()
    page = open_page(f"{house.settings.public_url}/console/login?next={path}", width=width, height=800, dark=dark)
    page.get_by_label("Email address").fill("staff@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{path}")
    return page


PAGES = {
    "home": ("/console", "Needs attention"),
    "units": ("/console/units", "Fleet"),
    "unit": ("/console/units/{unit}", "Wear cycles"),
    "models": ("/console/models", "What forecasts each part"),
    "model": ("/console/models/{slot}", "cheaper in 84 % of the draws"),
    "orders": ("/console/orders", "Orders"),
    "order": ("/console/orders/{order}", "10115 Berlin"),
    "outbox": ("/console/outbox", "Mails"),
    "drift": ("/console/drift", "11.5 lately"),
    "quarantine": ("/console/quarantine", "at most 5000 can be believed"),
    "label": ("/console/units/{unit}/label", "Scan to see when its parts are due"),
}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_of_the_console_is_readable(
    house: WebHouse,
    open_page: Open,
    accessible: Callable[[Page], list[str]],
    shots: Path,
    name: str,
    *,
    dark: bool,
) -> None:
    """On a desktop, in both themes, with axe-core; and on a phone nothing but tables scrolls sideways."""
    path, says = PAGES[name]
    unit = fleet(house)
    decided(house)
    ((order_id,),) = house.conn.execute("select order_id from purchase").fetchall()
    where = path.format(unit=unit.unit_id, slot=house.slots["hepa"], order=order_id)
    page = signed_in(house, open_page, where, dark=dark)
    assert says in page.locator("main").inner_text()
    page.screenshot(path=shots / f"console-{name}-{'dark' if dark else 'light'}.png", full_page=True)
    assert [] == accessible(page)
    page.set_viewport_size({"width": 360, "height": 640})
    page.screenshot(path=shots / f"console-{name}-phone-{'dark' if dark else 'light'}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


LONG = "Luftreinigungsgerätesteuerungsfilterkassettenhalterung"
LEGIBLE = """() => Math.min(...[...document.querySelectorAll('.chart text')].map(
    text => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))"""


@pytest.mark.parametrize("width", [360, 1280])
def test_a_long_name_makes_no_page_wider(house: WebHouse, open_page: Open, width: int) -> None:
    """Names are the maker's and the owner's: one word of a hundred letters breaks, and columns beside it stay in."""
    unit = fleet(house)
    decided(house)
    house.conn.execute("update product_model set name = %s", (2 * LONG,))
    house.conn.execute("update unit set name = %s where unit_id %% 2 = 0", (2 * LONG,))
    page = signed_in(house, open_page, "/console", width=width)
    for path in ("units", f"units/{unit.unit_id}", "models", f"models/{house.slots['hepa']}"):
        page.goto(f"{house.settings.public_url}/console/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.goto(f"{house.settings.public_url}/console/units")
    name = page.locator("td.name").filter(has_text=LONG).first.bounding_box()
    assert name
    assert name["width"] <= max(width / 2, 250)


def test_charts_can_be_read_on_a_phone(house: WebHouse, open_page: Open) -> None:
    """A drawing that is made for a desktop scrolls within its frame instead of shrinking to dust."""
    unit = fleet(house)
    page = signed_in(house, open_page, f"/console/units/{unit.unit_id}", width=360)
    assert page.evaluate(LEGIBLE) >= 7.5
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_every_chart_has_a_sentence_and_a_table(house: WebHouse, open_page: Open) -> None:
    """What is drawn is also said, and stands in a table; nothing is drawn by a script."""
    unit = fleet(house)
    page = signed_in(house, open_page, f"/console/units/{unit.unit_id}")
    charts = page.locator("figure")
    assert charts.count() >= 5
    for i in range(charts.count()):
        figure = charts.nth(i)
        assert 1 == figure.locator("svg[role=img]").count()
        assert figure.locator("figcaption").inner_text().endswith(".")
        assert figure.locator("table tbody tr").count() > 0
    assert 0 == page.locator("script, [style]").count()


def test_a_fleet_is_searched_and_turned_page_by_page(house: WebHouse, open_page: Open) -> None:
    """Filters stand in the address; paging forward shows every row once."""
    fleet(house)
    page = signed_in(house, open_page, "/console/units")
    first = page.locator("tbody tr").count()
    assert 50 == first
    page.get_by_role("link", name="Next page").click()
    assert page.locator("tbody tr").count() > 10
    page.get_by_label("Serial, device or name").fill("FLEET00000000007")
    page.get_by_role("button", name="Show", exact=True).click()
    assert "q=FLEET00000000007" in page.url
    assert {"FLEET00000000007"} == set(page.locator("tbody .mono").all_inner_texts())
