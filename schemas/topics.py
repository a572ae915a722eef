"""Every topic: its name, key, records, partitions group and configuration.

The one list: creation, registration, documentation and tests derive from it.
"""

from dataclasses import dataclass

# 20 for section-status, and so for all that is co-partitioned with it.
# One partition orders all events: there are thousands, changed by hand; and so does one log all
# requests of the booking queue, which every pod folds whole anyhow.
PARTITIONS_BY_GROUP = {"seats": 20, "events": 1}

_BOOKING = "io.seatstream.booking."
_CARTS = "io.seatstream.carts."
_COMMANDS = "io.seatstream.commands."
_OUTCOMES = "io.seatstream.outcomes."
_PAYMENTS = "io.seatstream.payments."
_PURCHASES = "io.seatstream.purchases."
_LOCKS = "io.seatstream.locks."
_STATE = "io.seatstream.state."


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it is created and spoken.

    key:             what the record key holds, in words.
    records:         full names of the Avro records, each with a subject of its own.
    cleanup:         "delete", "compact" or both, Kafka's `cleanup.policy`.
    group:           topics of one group share a partition count; see `PARTITIONS_BY_GROUP`.
    log_append_time: True where the broker's clock is the record's timestamp.
    config:          further topic configs, name to value, each with its reason beside it.
    headers:         full name of the record that describes our headers on every record; it has no
                     subject, for headers are text. Empty where we add none.
    any_number:      True where it may have another number of partitions than its group, for
                     everybody finds its records by their key and its own number.
    """

    name: str
    key: str
    records: tuple[str, ...]
    cleanup: str
    group: str
    log_append_time: bool
    config: tuple[tuple[str, str], ...]
    headers: str = ""
    any_number: bool = False

    @property
    def partitions(self) -> int:
        """Return the partition count of the topic's group."""
        return PARTITIONS_BY_GROUP[self.group]

    def configs(self) -> dict[str, str]:
        """Return all topic configs, as the broker spells them."""
        time = "LogAppendTime" if self.log_append_time else "CreateTime"
        return {
            "cleanup.policy": self.cleanup,
            "message.timestamp.type": time,
            **dict(self.config),
        }


SECTION_COMMANDS = Topic(
    name="section-commands",
    key="{eventId}-{section}; `tick-2` (once `tick`) for ticks, which name their partition",
    records=(
        _COMMANDS + "OpenSection",
        _COMMANDS + "HoldBestAvailable",
        _COMMANDS + "HoldChosenSeats",
        _COMMANDS + "ConfirmReservation",
        _COMMANDS + "ReleaseReservation",
        _COMMANDS + "ExtendHold",
        _COMMANDS + "BlockSeats",
        _COMMANDS + "UnblockSeats",
        _COMMANDS + "ChangeSaleWindow",
        _COMMANDS + "Tick",
        _COMMANDS + "StartPayment",
        _COMMANDS + "FailPayment",
        _COMMANDS + "RefundSeats",
        _COMMANDS + "ClaimPayment",
        _COMMANDS + "HoldInPieces",
    ),
    cleanup="delete",
    group="seats",
    # Log time is the fold's only clock: it must be the broker's, not a client's.
    log_append_time=True,
    config=(
        # A week to find a fault and to replay what led to it.
        ("retention.ms", str(7 * 24 * 3600 * 1000)),
        # The decoder refuses values above 64 kB; no batch needs more than the default either.
        ("max.message.bytes", str(1024 * 1024)),
        # Brokers unpack whatever a producer packed: workers need no library for it, and a record
        # that unpacks to more than the line above is refused where it is sent.
        ("compression.type", "uncompressed"),
    ),
)

RESERVATION_OUTCOMES = Topic(
    name="reservation-outcomes",
    # On the partition of the command that decided, so that a section's outcomes stay in order
    # and a transaction touches no further partition: readers must not look up by key hash.
    key="reservationId; on the same partition number as the command that decided",
    records=(
        _OUTCOMES + "SeatsHeld",
        _OUTCOMES + "ReservationRejected",
        _OUTCOMES + "ReservationConfirmed",
        _OUTCOMES + "ReservationReleased",
        _OUTCOMES + "HoldExtended",
        _OUTCOMES + "SectionOpened",
        _OUTCOMES + "SeatsBlocked",
        _OUTCOMES + "SeatsUnblocked",
        _OUTCOMES + "SaleWindowChanged",
        _OUTCOMES + "CommandRefused",
        _OUTCOMES + "PaymentStarted",
        _OUTCOMES + "ReservationRefunded",
    ),
    cleanup="delete",
    group="seats",
    log_append_time=False,
    config=(
        # As long as the commands, so that every command kept can be joined with its outcome.
        ("retention.ms", str(7 * 24 * 3600 * 1000)),
    ),
)

SECTION_STATUS = Topic(
    name="section-status",
    key="{eventId}-{section}",
    records=("io.seatstream.status.SectionStatusEvent",),
    cleanup="compact",
    group="seats",
    log_append_time=False,
    any_number=True,
    config=(
        # Every API pod reads the whole topic at start: keep the dirty part small ...
        ("min.cleanable.dirty.ratio", "0.1"),
        # ... and roll often, since the active segment is never compacted: 15,000 statuses fill
        # the smallest segment that brokers take, and a minute bounds what 20 of them hold. With
        # 16 MB and an hour a pod read half a million records of 800 sections.
        ("segment.bytes", str(1024 * 1024)),
        ("segment.ms", str(60 * 1000)),
        # A partition of many quiet sections is below the ratio for long: so old at most.
        ("max.compaction.lag.ms", str(10 * 60 * 1000)),
        # A pod that reads from the start within a day still sees what was deleted.
        ("delete.retention.ms", str(24 * 3600 * 1000)),
    ),
)

SEATS_CHANGELOG = Topic(
    name="seats-changelog",
    key="store tag byte + store key; on the same partition number as the command",
    records=(
        _STATE + "SectionState",
        _STATE + "SectionLayout",
        _STATE + "BlockedSeats",
        _STATE + "Reservation",
        _STATE + "Progress",
    ),
    # Never "compact,delete": a reservation older than the retention would be forgotten.
    cleanup="compact",
    group="seats",
    log_append_time=False,
    config=(
        # Restore time follows the dirty part; a cleaner pass over it costs the broker I/O.
        ("min.cleanable.dirty.ratio", "0.3"),
        ("segment.bytes", str(64 * 1024 * 1024)),
        # A restore that takes up to a day still meets the deletions it has to apply.
        ("delete.retention.ms", str(24 * 3600 * 1000)),
    ),
)

PAYMENT_COMMANDS = Topic(
    name="payment-commands",
    # On the partition of the section, so that start, payment and sale stay in order and a
    # transaction touches no further partition.
    key="reservationId, or `tick-2`; on the same partition number as the section's commands",
    records=(
        _PAYMENTS + "PaymentRequested",
        _PAYMENTS + "SaleDecided",
        _PAYMENTS + "GatewayAnswered",
        _PAYMENTS + "PaymentHint",
        _PAYMENTS + "RefundRequested",
        _PAYMENTS + "CompensationResolved",
        _PAYMENTS + "PaymentTick",
    ),
    cleanup="delete",
    group="seats",
    # Payments have deadlines by the time of this log: it must be the broker's, not a client's.
    log_append_time=True,
    config=(
        # As long as the commands of the seats that are paid for.
        ("retention.ms", str(7 * 24 * 3600 * 1000)),
        # As for section-commands, and for the same reasons.
        ("max.message.bytes", str(1024 * 1024)),
        ("compression.type", "uncompressed"),
    ),
)

PAYMENT_EVENTS = Topic(
    name="payment-events",
    key="reservationId; on the same partition number as the section's commands",
    records=(_PAYMENTS + "PaymentChanged",),
    cleanup="delete",
    group="seats",
    log_append_time=False,
    config=(
        # As long as the commands of the payments; what is older is asked of the owner's store.
        ("retention.ms", str(7 * 24 * 3600 * 1000)),
    ),
)

PURCHASES_CHANGELOG = Topic(
    name="purchases-changelog",
    key="store tag byte + store key; on the same partition number as the command",
    records=(
        _STATE + "Purchase",
        _STATE + "PaymentOfGateway",
        _STATE + "OpenCompensation",
        _STATE + "PurchaseCounts",
    ),
    # Never "compact,delete": who was charged is not forgotten.
    cleanup="compact",
    group="seats",
    log_append_time=False,
    # As for seats-changelog, and for the same reasons.
    config=SEATS_CHANGELOG.config,
)

PURCHASE_CONFIRMED = Topic(
    name="purchase-confirmed",
    # By buyer and not by section: one writer knows all that somebody has bought of an event.
    key="{eventId}-{userId}; what begins with a zero byte is its workers' own",
    records=(_PAYMENTS + "PurchaseConfirmed", _PAYMENTS + "PurchaseRevoked"),
    cleanup="delete",
    group="seats",
    # What failed is tried again by the time of this log.
    log_append_time=True,
    # As for payment-commands, and for the same reasons.
    config=PAYMENT_COMMANDS.config,
)

PURCHASE_CREATED = Topic(
    name="purchase-created",
    key="{eventId}-{userId}; what begins with a zero byte is its workers' own",
    records=(_PURCHASES + "PurchaseCreated", _PURCHASES + "PurchaseChanged"),
    cleanup="delete",
    group="seats",
    # As for purchase-confirmed, and for the same reason.
    log_append_time=True,
    config=PAYMENT_COMMANDS.config,
)

ISSUED_CHANGELOG = Topic(
    name="issued-changelog",
    key="store tag byte + purchase id; on the same partition number as the record",
    records=(_STATE + "IssuedPurchase",),
    # Never "compact,delete": tickets are not forgotten.
    cleanup="compact",
    group="seats",
    log_append_time=False,
    # As for seats-changelog, and for the same reasons.
    config=SEATS_CHANGELOG.config,
)

SEATS_ALLOCATED = Topic(
    name="seats-allocated",
    key="{eventId}-{userId}; what begins with a zero byte is its workers' own",
    records=(_PURCHASES + "SeatsAllocated",),
    cleanup="delete",
    group="seats",
    # As for purchase-confirmed, and for the same reason.
    log_append_time=True,
    config=PAYMENT_COMMANDS.config,
)

ALLOCATIONS_CHANGELOG = Topic(
    name="allocations-changelog",
    key="store tag byte + purchase id; on the same partition number as the record",
    records=(_STATE + "Allocation",),
    # Never "compact,delete": what is allocated is not forgotten.
    cleanup="compact",
    group="seats",
    log_append_time=False,
    # As for seats-changelog, and for the same reasons.
    config=SEATS_CHANGELOG.config,
)

CACHES_CHANGELOG = Topic(
    name="caches-changelog",
    key="store key of the progress, a mark, an intent, or what waits; on the source's partition",
    records=(),
    cleanup="compact",
    group="seats",
    log_append_time=False,
    # As for seats-changelog, and for the same reasons.
    config=SEATS_CHANGELOG.config,
)

PERFORMANCE_SLOTS = Topic(
    name="performance-slots",
    key="{eventId}-{userId}",
    records=(_PURCHASES + "SlotScheduled", _PURCHASES + "SlotCancelled"),
    cleanup="delete",
    group="seats",
    # As for purchase-confirmed, and for the same reason.
    log_append_time=True,
    config=PAYMENT_COMMANDS.config,
)

SLOTS_CHANGELOG = Topic(
    name="slots-changelog",
    key="store tag byte + purchase id; on the same partition number as the record",
    records=(_STATE + "SlotWindow",),
    # Never "compact,delete": which slots are to come is not forgotten.
    cleanup="compact",
    group="seats",
    log_append_time=False,
    # As for seats-changelog, and for the same reasons.
    config=SEATS_CHANGELOG.config,
)

# One for each topic that the tables are told of.
PURCHASE_TABLES_CHANGELOG, ALLOCATION_TABLES_CHANGELOG, SLOT_TABLES_CHANGELOG = (
    Topic(
        name=f"{what}-tables-changelog",
        key="none yet: the database remembers what it was told",
        records=(),
        cleanup="compact",
        group="seats",
        log_append_time=False,
        # As for seats-changelog, and for the same reasons.
        config=SEATS_CHANGELOG.config,
    )
    for what in ("purchase", "allocation", "slot")
)

CART_COMMANDS = Topic(
    name="cart-commands",
    # By buyer and not by section: one writer knows all that somebody holds of an event.
    key="{eventId}-{userId}, or `tick-2`",
    records=(
        _CARTS + "OpenCart",
        _CARTS + "ReleaseCart",
        _CARTS + "ExtendCart",
        _CARTS + "PartDecided",
        _CARTS + "CartTick",
        _CARTS + "PayCart",
        _CARTS + "SettleCart",
    ),
    cleanup="delete",
    group="seats",
    # What is waited for is asked again by the time of this log.
    log_append_time=True,
    # As for section-commands, and for the same reasons.
    config=SECTION_COMMANDS.config,
)

CARTS_CHANGELOG = Topic(
    name="carts-changelog",
    key="store tag byte + cart id, or + key of the buyer; on the partition number of the command",
    records=(_STATE + "Cart", _STATE + "BuyerCarts"),
    # Never "compact,delete": a hold whose cart is forgotten is given back.
    cleanup="compact",
    group="seats",
    log_append_time=False,
    # As for seats-changelog, and for the same reasons.
    config=SEATS_CHANGELOG.config,
)

PAYMENT_COMPLETED = Topic(
    name="payment-completed",
    # On the partition of the section, to whose commands it is forwarded in one transaction.
    key="{eventId}-{section}",
    # Written by shops of somebody else's. Its type is what they sign, beside key and value.
    records=(_PAYMENTS + "PaymentCompleted",),
    cleanup="delete",
    group="seats",
    log_append_time=True,
    config=(
        # As long as the commands that it leads to.
        ("retention.ms", str(7 * 24 * 3600 * 1000)),
        # Strangers write here: nothing above what the decoder takes, with its headers.
        ("max.message.bytes", str(256 * 1024)),
        # As for section-commands, and for the same reason.
        ("compression.type", "uncompressed"),
    ),
)

CLAIMS_CHANGELOG = Topic(
    name="claims-changelog",
    key="none yet: whoever checks claims remembers nothing",
    records=(),
    cleanup="compact",
    group="seats",
    log_append_time=False,
    # As for seats-changelog, and for the same reasons.
    config=SEATS_CHANGELOG.config,
)

SEAT_UNLOCK = Topic(
    name="seat-unlock",
    key="{eventId}-{section}",
    records=(_LOCKS + "SeatUnlock", _LOCKS + "LocksReleased"),
    cleanup="delete",
    group="seats",
    # What Redis did not answer is asked again by the time of this log.
    log_append_time=True,
    config=(
        # A lock ends by itself long before; who reads later has nothing left to let go of.
        ("retention.ms", str(24 * 3600 * 1000)),
        # As for section-commands, and for the same reasons.
        ("max.message.bytes", str(1024 * 1024)),
        ("compression.type", "uncompressed"),
    ),
)

SEAT_UNLOCKED = Topic(
    name="seat-unlocked",
    key="{eventId}-{section}",
    records=(_LOCKS + "SeatUnlocked",),
    cleanup="delete",
    group="seats",
    log_append_time=False,
    config=(
        # As long as what it answers.
        ("retention.ms", str(24 * 3600 * 1000)),
    ),
)

UNLOCKS_CHANGELOG = Topic(
    name="unlocks-changelog",
    key="store key of the progress, or of an intent; on the same partition number as the record",
    records=(),
    cleanup="compact",
    group="seats",
    log_append_time=False,
    # As for seats-changelog, and for the same reasons.
    config=SEATS_CHANGELOG.config,
)

DEAD_LETTER_QUEUE = Topic(
    name="dead-letter-queue",
    key="original key; on the same partition number as the source",
    # The value is the original bytes, whatever they were: no schema.
    records=(),
    cleanup="delete",
    group="seats",
    log_append_time=False,
    config=(
        # Somebody must find, mend and re-drive them; a holiday is no reason to lose one.
        ("retention.ms", str(30 * 24 * 3600 * 1000)),
        # Room for an original of the largest size a source topic takes, with our headers on top.
        ("max.message.bytes", str(2 * 1024 * 1024)),
    ),
    headers="io.seatstream.dead_letters.DeadLetterHeaders",
)

EVENTS = Topic(
    name="events",
    key="{eventId} in decimal",
    # Written by API pods on behalf of operators, read by every pod; no worker knows it.
    records=("io.seatstream.events.EventDescription",),
    cleanup="compact",
    group="events",
    log_append_time=False,
    config=(
        # Every API pod reads the whole topic at start.
        ("min.cleanable.dirty.ratio", "0.1"),
        ("segment.bytes", str(16 * 1024 * 1024)),
        # A pod that reads from the start within a day still sees what was deleted.
        ("delete.retention.ms", str(24 * 3600 * 1000)),
    ),
)

WAITING_TURNS = Topic(
    name="waiting-turns",
    # Each step of each turn has a key of its own: nothing told later takes the place of another.
    key="{eventId}:{turn}:{step}:{userId}; of a seed {eventId}:seed:{opensMs}:{which}",
    # Written by API pods before users are told; read by who makes a line anew in Redis.
    records=("io.seatstream.waiting.TurnChanged", "io.seatstream.waiting.SeedTold"),
    # Steps that are told again are one; and none is of use for longer than any line lasts.
    cleanup="compact,delete",
    group="events",
    log_append_time=False,
    config=(("retention.ms", str(30 * 24 * 3600 * 1000)),),
)

BOOKING_QUEUE = Topic(
    name="booking-queue",
    key="{eventId} in decimal",
    # Written by API pods, each of which folds all of it: no worker knows it.
    records=(
        _BOOKING + "EnqueueItem",
        _BOOKING + "TakeItem",
        _BOOKING + "SettleItem",
        _BOOKING + "CancelItem",
        _BOOKING + "CleanLine",
        _BOOKING + "RequeueItem",
        _BOOKING + "RemoveItem",
    ),
    cleanup="delete",
    group="events",
    # Leases and times of items are by the time of this log.
    log_append_time=True,
    config=(
        # Longer than anything is known of an item: a dead one for 30 days. A pod that begins to
        # read behind some records then knows all the same what all others know.
        ("retention.ms", str(35 * 24 * 3600 * 1000)),
        # Of a batch of records, in which clients put what is asked at once.
        ("max.message.bytes", str(1024 * 1024)),
        # As for section-commands, and for the same reason.
        ("compression.type", "uncompressed"),
    ),
)

SCHEMA_IDS = Topic(
    name="schema-ids",
    # Which schema an id was first given to. Added to by workers, compared by everybody at start.
    key="schema id in decimal; all on partition 0",
    # JSON: what tells schemas apart must be readable without any.
    records=(),
    # Never "compact": the first that was said of an id stands, not the last.
    cleanup="delete",
    group="events",
    log_append_time=False,
    config=(
        # As long as any record that carries an id: for ever. A schema is one small record.
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
    ),
)

TOPICS = (
    SECTION_COMMANDS,
    RESERVATION_OUTCOMES,
    SECTION_STATUS,
    SEATS_CHANGELOG,
    DEAD_LETTER_QUEUE,
    EVENTS,
    SCHEMA_IDS,
    PAYMENT_COMMANDS,
    PAYMENT_EVENTS,
    PURCHASES_CHANGELOG,
    CART_COMMANDS,
    CARTS_CHANGELOG,
    PAYMENT_COMPLETED,
    CLAIMS_CHANGELOG,
    SEAT_UNLOCK,
    SEAT_UNLOCKED,
    UNLOCKS_CHANGELOG,
    PURCHASE_CONFIRMED,
    PURCHASE_CREATED,
    ISSUED_CHANGELOG,
    SEATS_ALLOCATED,
    ALLOCATIONS_CHANGELOG,
    CACHES_CHANGELOG,
    PURCHASE_TABLES_CHANGELOG,
    ALLOCATION_TABLES_CHANGELOG,
    WAITING_TURNS,
    PERFORMANCE_SLOTS,
    SLOTS_CHANGELOG,
    SLOT_TABLES_CHANGELOG,
    BOOKING_QUEUE,
)


KEPT_BY_THE_RUNTIME = (_STATE + "OpenIntent",)
"""Records that the runtime keeps in the changelog of any route; they have no subject."""


def subject(topic: Topic, record: str) -> str:
    """Return the registry subject of a record: Confluent's TopicRecordNameStrategy."""
    return f"{topic.name}-{record}"


def subjects() -> dict[str, str]:
    """Return every subject with the full name of its record, in order of registration."""
    return {subject(topic, record): record for topic in TOPICS for record in topic.records}
