-- +goose Up
-- One question of a kind about a subject is open at a time.
CREATE UNIQUE INDEX consents_open ON backstitch.consents (kind, subject)
    WHERE approved_at IS NULL AND done_at IS NULL;

-- How far the transform is, and who owns it. The term fences: every ledger
-- transaction of the transform locks this row and compares it (hazard C13,
-- invariant 10). Taking over bumps it.
CREATE TABLE backstitch.transform (
    prefix               text PRIMARY KEY,
    term                 bigint      NOT NULL DEFAULT 0,
    owner                text        NOT NULL DEFAULT '',
    taken_at             timestamptz NOT NULL DEFAULT now(),
    digest               text        NOT NULL DEFAULT '',      -- of the mappings that were evaluated last
    phase                text        NOT NULL DEFAULT 'loading' CHECK (phase IN ('loading', 'following', 'rebuilding')),
    epoch                int         NOT NULL DEFAULT 0,       -- of the source that the mirror follows; 0 before the first checkpoint
    filled_commit_lsn    bigint      NOT NULL DEFAULT 0,       -- the last checkpoint that the mirror reached
    filled_at            timestamptz NOT NULL DEFAULT now(),   -- when something was last filled (hazard C10)
    evaluated_epoch      int         NOT NULL DEFAULT 0,
    evaluated_commit_lsn bigint      NOT NULL DEFAULT 0,       -- the last position at which the mapping was evaluated
    evaluated_end_lsn    bigint      NOT NULL DEFAULT 0,
    evaluated_commit_at  timestamptz,                          -- the source's commit time there
    evaluated_at         timestamptz
);

-- What of the source topics stands in the mirror: the next offset to fill of every
-- partition, moved in the transaction that fills (invariant 10). The topic's id
-- tells a recreated topic from its namesake (hazard S22).
CREATE TABLE backstitch.offsets (
    prefix      text   NOT NULL,
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    next_offset bigint NOT NULL,
    topic_id    text   NOT NULL,
    PRIMARY KEY (prefix, topic, partition)
);

-- The mirror's columns. An incomplete one lacks the values of rows that got no
-- event since it appeared (hazard C9): the mapping waits until its table was
-- backfilled by a run above since_run.
CREATE TABLE backstitch.mirror_columns (
    schema_name text    NOT NULL,
    table_name  text    NOT NULL,
    column_name text    NOT NULL,
    type        text    NOT NULL,
    complete    boolean NOT NULL DEFAULT true,
    since_run   bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (schema_name, table_name, column_name)
);

-- Rows with a TOASTed value that no event ever carried (hazard C15): the mapping
-- waits for them rather than read NULL.
CREATE TABLE backstitch.incomplete_rows (
    schema_name text   NOT NULL,
    table_name  text   NOT NULL,
    key         jsonb  NOT NULL, -- the primary key's values as text, in its order
    columns     text[] NOT NULL,
    PRIMARY KEY (schema_name, table_name, key)
);

-- Control records that were met and what became of them (hazards S25, C9).
CREATE TABLE backstitch.controls (
    prefix      text        NOT NULL,
    version     text        NOT NULL,
    kind        text        NOT NULL,
    schema_name text        NOT NULL,
    table_name  text        NOT NULL,
    columns     text[]      NOT NULL DEFAULT '{}',
    happened_at timestamptz,
    consent_id  bigint,
    done_at     timestamptz,
    PRIMARY KEY (prefix, version, kind, schema_name, table_name)
);

-- +goose Down
DROP TABLE backstitch.controls, backstitch.incomplete_rows, backstitch.mirror_columns, backstitch.offsets, backstitch.transform;
DROP INDEX backstitch.consents_open;
