-- +goose Up
-- Replays that were begun: who asked for what, and the target that the connector had
-- before it was stopped for it. One without ended_at died; the next one of the
-- connector, or a resume, goes on.
CREATE TABLE backstitch.replays (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connector     text        NOT NULL,
    command       text        NOT NULL,
    asked_by      text        NOT NULL,
    former_state  text        NOT NULL CHECK (former_state IN ('RUNNING', 'PAUSED', 'STOPPED')),
    former_reason text        NOT NULL DEFAULT '',
    started_at    timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,
    outcome       text                              -- done, or why not
);
CREATE INDEX replays_open ON backstitch.replays (connector) WHERE ended_at IS NULL;

-- +goose Down
DROP TABLE backstitch.replays;
