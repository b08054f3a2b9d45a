"""Poison: what no unit should send is kept aside with its reason, and the messages beside it are stored."""

from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.ingest import quarantine
from tests.faults.machinery import Mosquitto, wait_for
from tests.faults.rig import Rig

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
START = b'{"v":1,"s":99,"q":1,"t":1795457100,"c":"synced","r":[[0,{"runtime":'
POISON = {
    "bad UTF-8": ("bad_text", START + b'1,"pm\xff25":1}]]}'),
    "NUL": ("bad_text", START + b'1,"a\\u0000":1}]]}'),
    "half a surrogate pair": ("bad_text", START + b'1,"\\ud800":1}]]}'),
    "NaN": ("not_finite", START + b"NaN}]]}"),
    "infinite": ("not_finite", START + b"-Infinity}]]}"),
    "a number beyond every number": ("not_finite", START + b"1e999}]]}"),
    "10,000 deep": ("too_deep", b"[" * 10_000 + b"]" * 10_000),
    "a key twice": ("duplicate_key", START + b'1,"runtime":2}]]}'),
    "half a message": ("bad_json", START),
    "CBOR that breaks off": ("bad_cbor", b"\xa6\x61v\x01"),
    "oversize": ("too_large", b"[" + b"0," * 40_000 + b"0]"),
    "nothing": ("wrong_shape", b"{}"),
    "version 9": ("unknown_version", START.replace(b'"v":1', b'"v":9') + b"1}]]}"),
    "a value nobody can believe": ("unbelievable", START + b"-7}]]}"),
}
LARGEST = 1_048_576  # bytes that the gateway lets a broker deliver


def reasons(conn: psycopg.Connection) -> dict[str, int]:
    conn.rollback()
    return quarantine.counted(conn)


def test_poison_among_good_messages(rig: Rig, conn: psycopg.Connection, long: bool, tmp_path: Path) -> None:
    """Each poison stands in quarantine with its reason, none is delivered twice, everything else is stored."""
    wanted: dict[str, int] = {}
    for reason, _ in POISON.values():
        wanted[reason] = wanted.get(reason, 0) + 1
    with rig.serving() as gateway, rig.publishing(("acme.2", "acme.3")) as publishing:
        publishing.moves_on(10)
        sender = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="poisoner")
        sender.connect("127.0.0.1", rig.broker.port)
        sender.loop_start()
        before = gateway.memory()
        for _ in range(3):  # and again: it stays one row
            for _, payload in POISON.values():
                sender.publish("ww/v1/acme.1/tlm", payload, qos=1).wait_for_publish(30)
        huge = (200 if long else 3) * 1_000_000  # beyond what is delivered at all
        sender.publish("ww/v1/acme.1/tlm", bytes(huge), qos=1).wait_for_publish(120)
        wait_for(lambda: reasons(conn) == wanted, 60)
        publishing.moves_on(10)
        assert reasons(conn) == wanted
        grown = gateway.memory() - before
        sender.disconnect()
        sender.loop_stop()
        publishing.finish()
    assert 1 == conn.execute("select count(distinct session) from reading r join unit u using (unit_id)").fetchone()[0]  # type: ignore[index]  # there is a row
    rig.note(f"poison: {len(POISON)} kinds, and one of {huge // 1_000_000} MB", rig.clean(), grown_kib=grown)
