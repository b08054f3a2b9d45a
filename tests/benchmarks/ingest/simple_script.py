"""What a user would write first: aiomqtt, json, executemany, a commit for each hundred messages.

It stores what the gateway stores of a reading, and nothing else: no sequence, no gaps, no receipts, no rollups.
Messages are acknowledged when aiomqtt hands them over, before they are stored: what it held when it dies is lost.

    python -m tests.benchmarks.ingest.simple_script PORT CLIENT DSN MESSAGES
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

import aiomqtt
import psycopg
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

BATCH = 100
INSERT = """insert into simple_reading (device, channel, ts, value, session, seq, received_at)
    values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing"""


async def main(port: int, client_id: str, dsn: str, messages: int) -> None:
    """Subscribe, and store so many messages; with 0 only subscribe."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 86_400
    properties.ReceiveMaximum = 1_000
    async with (
        await psycopg.AsyncConnection.connect(dsn) as conn,
        aiomqtt.Client(
            "127.0.0.1", port, identifier=client_id, protocol=aiomqtt.ProtocolVersion.V5, clean_start=False,
            properties=properties,
        ) as client,
    ):  # fmt: skip
        await client.subscribe("ww/v1/+/tlm", qos=1)
        print("subscribed", flush=True)
        rows: list[tuple[object, ...]] = []
        while messages:
            message = await anext(client.messages)
            told = json.loads(message.payload)
            device, now = message.topic.value.split("/")[2], datetime.now(UTC)
            for place, (offset, values) in enumerate(told["r"]):
                at = datetime.fromtimestamp(told["t"], UTC) + timedelta(seconds=offset)
                for channel, value in values.items():
                    rows.append((device, channel, at, value, told["s"], told["q"] + place, now))
            messages -= 1
            if messages % BATCH == 0:
                async with conn.cursor() as cursor:
                    await cursor.executemany(INSERT, rows)
                await conn.commit()
                rows.clear()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
