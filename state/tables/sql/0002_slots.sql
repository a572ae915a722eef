-- Which days an allocation has.

-- starts_at_ms: Unix ms; slot_date and slot_time: the same where the event is. No foreign key: a
-- slot may be heard of before its allocation.
CREATE TABLE slots (
    slot_id text PRIMARY KEY,
    purchase_id text NOT NULL,
    user_id text NOT NULL,
    event_id bigint NOT NULL CHECK (event_id >= 0),
    revision integer NOT NULL CHECK (revision >= 0),
    allocation_id text NOT NULL,
    slot_date date NOT NULL,
    slot_time time NOT NULL,
    starts_at_ms bigint NOT NULL CHECK (starts_at_ms >= 0),
    is_cancelled boolean NOT NULL
);

CREATE UNIQUE INDEX one_slot_at_a_time ON slots (allocation_id, slot_date, slot_time)
    WHERE NOT is_cancelled;

CREATE INDEX slots_of_purchase ON slots (purchase_id);
CREATE INDEX slots_to_come ON slots (event_id, starts_at_ms);
