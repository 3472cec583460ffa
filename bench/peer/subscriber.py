"""A careful subscriber: takes messages from a broker, commits them to PostgreSQL, acknowledges after.

`subscriber.py PORT DSN ROWS_PER_COMMIT COUNT` prints READY, then DONE when COUNT rows are committed.
"""

import queue
import sys

import paho.mqtt.client as mqtt
import psycopg

port, dsn, rows_max, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
arrived: queue.Queue = queue.Queue()

client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2, client_id="subscriber", protocol=mqtt.MQTTv5, manual_ack=True
)
client.on_message = lambda _client, _data, message: arrived.put(message)
properties = mqtt.Properties(mqtt.PacketTypes.CONNECT)
properties.ReceiveMaximum = 2000
client.connect("127.0.0.1", port, properties=properties)
client.on_subscribe = lambda *_: print("READY", flush=True)
client.subscribe("d/#", qos=1)
client.loop_start()

with psycopg.connect(dsn) as connection:
    cursor = connection.cursor()
    cursor.execute(
        "CREATE TABLE IF NOT EXISTS envelopes (id bigserial PRIMARY KEY, topic text NOT NULL, body bytea NOT NULL)"
    )
    connection.commit()
    stored = 0
    while stored < count:
        messages = [arrived.get()]
        while len(messages) < rows_max and not arrived.empty():
            messages.append(arrived.get())
        # One statement for the whole commit: the quickest way short of COPY.
        cursor.execute(
            "INSERT INTO envelopes (topic, body) SELECT * FROM unnest(%s::text[], %s::bytea[])",
            ([m.topic for m in messages], [bytes(m.payload) for m in messages]),
        )
        connection.commit()
        for message in messages:
            client.ack(message.mid, message.qos)
        stored += len(messages)
    print("DONE", flush=True)
client.disconnect()
client.loop_stop()
