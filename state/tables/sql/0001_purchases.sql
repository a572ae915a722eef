-- What was bought and allocated. The truth is in the stores of the workers: all of this can be made anew.

CREATE TABLE purchases (
    purchase_id text PRIMARY KEY,
    user_id text NOT NULL,
    event_id bigint NOT NULL CHECK (event_id >= 0),
    revision integer NOT NULL CHECK (revision >= 0),
    is_active boolean NOT NULL
);

CREATE UNIQUE INDEX one_active_purchase ON purchases (user_id, event_id) WHERE is_active;

-- changed_at_ms: Unix ms. seats: [section, row, first seat, count] each, indexes from 0.
CREATE TABLE orders (
    order_id text PRIMARY KEY,
    purchase_id text NOT NULL,
    reservation_id text NOT NULL,
    turns integer NOT NULL CHECK (turns >= 0),
    is_valid boolean NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    booking_number text NOT NULL,
    seats jsonb NOT NULL,
    changed_at_ms bigint NOT NULL
);

CREATE INDEX orders_of_purchase ON orders (purchase_id);
CREATE INDEX orders_by_booking_number ON orders (booking_number);

-- A seat that was given back may be sold again before the former ticket is seen to be void: so
-- nothing here says that a seat is on one valid ticket.
CREATE TABLE tickets (
    ticket_id text PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    section text NOT NULL,
    row_index integer NOT NULL CHECK (row_index >= 0),
    seat_index integer NOT NULL CHECK (seat_index >= 0),
    is_valid boolean NOT NULL
);

CREATE INDEX tickets_of_order ON tickets (order_id);

-- No foreign key: an allocation may be heard of before its purchase.
CREATE TABLE allocations (
    purchase_id text PRIMARY KEY,
    user_id text NOT NULL,
    event_id bigint NOT NULL CHECK (event_id >= 0),
    revision integer NOT NULL CHECK (revision >= 0),
    allocation_id text NOT NULL,
    status text NOT NULL
);

CREATE UNIQUE INDEX one_active_allocation ON allocations (user_id, event_id)
    WHERE status IN ('approved', 'active');

-- Which events each consumer group has acted on. A buyer may use one correlation id for two
-- orders, so it is no key.
CREATE TABLE processed_events (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    correlation_id text NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, event_id)
);

CREATE INDEX processed_events_by_step ON processed_events (correlation_id, event_type);
CREATE INDEX processed_events_by_time ON processed_events (processed_at);
