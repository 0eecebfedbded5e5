-- +goose Up
-- What a person wants of a connector, for the whole cluster and across restarts. A
-- connector without a row is to run.
CREATE TABLE backstitch.targets (
    connector  text PRIMARY KEY,
    state      text        NOT NULL DEFAULT 'RUNNING' CHECK (state IN ('RUNNING', 'PAUSED', 'STOPPED')),
    restarts   bigint      NOT NULL DEFAULT 0,      -- asked for: who saw a smaller number starts its stage anew
    failed_only boolean    NOT NULL DEFAULT false,  -- the last restart concerns failed tasks only
    reason     text        NOT NULL DEFAULT '',     -- who or what set the state, such as a replay
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- The instances of `run` that have reported, the last time by the ledger's clock.
CREATE TABLE backstitch.instances (
    id         text PRIMARY KEY,                    -- hostname:port, as others reach it
    url        text        NOT NULL DEFAULT '',
    version    text        NOT NULL DEFAULT '',
    digest     text        NOT NULL DEFAULT '',     -- of its mapping and policies (hazard C23)
    state      text        NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL
);

-- What each instance says of the tasks that it runs, or failed to run.
CREATE TABLE backstitch.tasks (
    connector text        NOT NULL,
    id        int         NOT NULL,
    instance  text        NOT NULL REFERENCES backstitch.instances ON DELETE CASCADE,
    state     text        NOT NULL,
    trace     text        NOT NULL DEFAULT '',
    held      boolean     NOT NULL DEFAULT false,
    since     timestamptz NOT NULL DEFAULT now(),   -- in this state
    PRIMARY KEY (connector, id, instance)
);

-- +goose Down
DROP TABLE backstitch.tasks, backstitch.instances, backstitch.targets;
