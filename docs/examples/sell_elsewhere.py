"""Says to seatstream that a buyer has paid for a hold: what a shop of somebody else's does.

    CLAIM_SECRET=... SCHEMA_ID=45 python -m docs.examples.sell_elsewhere \
        r-1.1.16 ann 4711 A-12 mock pi_3Nq 9000 EUR

Environment: CLAIM_SECRET, KAFKA_BROKERS, else localhost:9092, and SCHEMA_ID as the registry has it
for the subject payment-completed-io.seatstream.payments.PaymentCompleted.
"""

import hmac
import io
import os
import sys
import time

import fastavro
from confluent_kafka import Producer

TYPE = "io.seatstream.payments.PaymentCompleted"
order_id, user_id, event_id, section, gateway, payment_id, amount, currency = sys.argv[1:]
schema = fastavro.schema.load_schema("schemas/payments/PaymentCompleted.avsc")
completed = {
    "orderId": order_id,
    "userId": user_id,
    "section": section,
    "eventId": int(event_id),
    "gateway": gateway,
    "paymentId": payment_id,
    "amount": int(amount),
    "currency": currency,
    "completedAtMs": int(time.time() * 1000),
}
body = io.BytesIO()
fastavro.schemaless_writer(body, schema, completed)
key = f"{event_id}-{section}".encode()
value = b"\0" + int(os.environ["SCHEMA_ID"]).to_bytes(4, "big") + body.getvalue()
parts = (TYPE.encode(), key, value)
content = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
signature = hmac.new(os.environ["CLAIM_SECRET"].encode(), content, "sha256").hexdigest()

brokers = os.environ.get("KAFKA_BROKERS", "localhost:9092")
# The section's partition is murmur2 of its key: librdkafka's own default is another.
settings = {"bootstrap.servers": brokers, "partitioner": "murmur2_random", "acks": "all"}
producer = Producer({**settings, "enable.idempotence": True})
producer.produce("payment-completed", value, key, headers={"payment-signature": signature})
if producer.flush(30):
    sys.exit("no broker took it within 30 s: write it again, that does no harm")
