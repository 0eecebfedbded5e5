-- +goose Up
-- What the routes found and the next evaluation looks at. part says which key
-- columns a row names: 1 the organization's, 2 the entity's, 3 both. One row per
-- key, whatever the number of changes: it waits for the next checkpoint that ends
-- a source transaction (hazards C3, C14).
CREATE TABLE backstitch.touched (
    kind         text     NOT NULL CHECK (kind IN ('organization', 'member')),
    part         smallint NOT NULL CHECK (part IN (1, 2, 3)),
    org_key      text     NOT NULL DEFAULT '',
    key          text     NOT NULL DEFAULT '',
    wide         boolean  NOT NULL,                  -- touched by fan-out only: backfill lane (hazard C18)
    earned       boolean  NOT NULL,                  -- a row's change caused it (invariant 7)
    cause        text     NOT NULL DEFAULT 'change', -- change | audit | sweep | mapping
    source_table text     NOT NULL DEFAULT '',
    epoch        int      NOT NULL DEFAULT 0,
    commit_lsn   bigint   NOT NULL DEFAULT 0,
    end_lsn      bigint   NOT NULL DEFAULT 0,
    committed_at timestamptz,
    PRIMARY KEY (kind, part, org_key, key)
);

-- How often captured tables that a mapping reads have changed, in batches. A table
-- without a route, or whose route failed, has a sweep due while changes > swept; a
-- missed route is sought among the tables with changes > audited (hazard C16).
CREATE TABLE backstitch.sweeps (
    kind         text        NOT NULL,
    source_table text        NOT NULL,
    routed       boolean     NOT NULL,
    changes      bigint      NOT NULL DEFAULT 0,
    swept        bigint      NOT NULL DEFAULT 0,
    audited      bigint      NOT NULL DEFAULT 0,
    swept_at     timestamptz NOT NULL DEFAULT 'epoch',
    PRIMARY KEY (kind, source_table)
);

-- Evaluations of a whole mapping: loading, an accepted mapping, a rebuild, audits
-- and sweeps.
CREATE TABLE backstitch.passes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause      text        NOT NULL CHECK (cause IN ('load', 'mapping', 'rebuild', 'audit', 'sweep')),
    digest     text        NOT NULL,
    epoch      int         NOT NULL,
    commit_lsn bigint      NOT NULL,
    phase      text        NOT NULL DEFAULT '',     -- the kind whose keys stand in pass_keys
    entities   bigint      NOT NULL DEFAULT 0,
    changed    bigint      NOT NULL DEFAULT 0,      -- written, or found different
    missed     bigint      NOT NULL DEFAULT 0,      -- audits: what no route found (hazard C16)
    suspects   text[]      NOT NULL DEFAULT '{}',   -- tables whose route may have missed it
    null_keys  bigint      NOT NULL DEFAULT 0,      -- rows with a NULL key (hazard C6)
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz
);

-- What is left of a pass: organization keys whose entities were not looked at yet.
CREATE TABLE backstitch.pass_keys (
    pass    bigint NOT NULL REFERENCES backstitch.passes ON DELETE CASCADE,
    org_key text   NOT NULL,
    PRIMARY KEY (pass, org_key)
);

-- The announcer's order: lane, organizations before members, oldest first (hazard A22).
CREATE INDEX entities_to_announce ON backstitch.entities (lane, kind, commit_lsn, org_key, key)
    WHERE announced < revision;
DROP INDEX backstitch.entities_unannounced;

-- +goose Down
CREATE INDEX entities_unannounced ON backstitch.entities (commit_lsn) WHERE announced < revision;
DROP INDEX backstitch.entities_to_announce;
DROP TABLE backstitch.pass_keys, backstitch.passes, backstitch.sweeps, backstitch.touched;
