-- +goose Up
-- What came of an entity, what was planned, and what Stytch said: the last 20 writes
-- of its turns, in a ring. Field names, steps and error types only, never a value
-- (invariant 8). A row is written by the statement that records the outcome.
CREATE TABLE backstitch.history (
    kind     text        NOT NULL,
    org_key  text        NOT NULL,
    key      text        NOT NULL,
    slot     smallint    NOT NULL,               -- entities.turns modulo 20
    at       timestamptz NOT NULL DEFAULT now(),
    revision bigint      NOT NULL,
    events   jsonb       NOT NULL,               -- of ledger.HistoryEvent, oldest first
    PRIMARY KEY (kind, org_key, key, slot)
);
CREATE INDEX history_by_age ON backstitch.history USING brin (at);

ALTER TABLE backstitch.entities
    ADD COLUMN turns      int NOT NULL DEFAULT 0, -- rows of history ever written
    ADD COLUMN retried_at timestamptz,            -- parked: when it was last made due because its cause may have gone
    ADD COLUMN dropped_at timestamptz,            -- a person gave this revision up, and when (invariant 6)
    ADD COLUMN dropped_by text;                   -- who
-- dropped: parked, and given up by a person. Nothing makes its turn come but a newer
-- revision, which makes it pending as any other; dropped_at and dropped_by stay as
-- the record of the last time.
ALTER TABLE backstitch.entities DROP CONSTRAINT entities_status_check;
ALTER TABLE backstitch.entities ADD CONSTRAINT entities_status_check CHECK (status IN
    ('current', 'pending', 'deferred', 'blocked', 'parked', 'awaiting_consent', 'released', 'dropped'));
CREATE INDEX entities_parked ON backstitch.entities (reason, retried_at NULLS FIRST) WHERE status = 'parked';

-- +goose Down
DROP INDEX backstitch.entities_parked;
UPDATE backstitch.entities SET status = 'parked' WHERE status = 'dropped';
ALTER TABLE backstitch.entities DROP CONSTRAINT entities_status_check;
ALTER TABLE backstitch.entities ADD CONSTRAINT entities_status_check CHECK (status IN
    ('current', 'pending', 'deferred', 'blocked', 'parked', 'awaiting_consent', 'released'));
ALTER TABLE backstitch.entities DROP COLUMN turns, DROP COLUMN retried_at, DROP COLUMN dropped_at, DROP COLUMN dropped_by;
DROP TABLE backstitch.history;
