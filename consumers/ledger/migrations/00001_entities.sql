-- +goose Up
-- A ledger database belongs to one pipeline: the mirror of the captured tables
-- stands beside this schema under the legacy system's own names.
CREATE SCHEMA IF NOT EXISTS backstitch;

-- What this ledger was built from and for (hazard C22), and the accepted digest of
-- mapping and policies (hazard C23).
CREATE TABLE backstitch.identity (
    name             text PRIMARY KEY,
    system_id        text,
    database         text,
    cluster_id       text,
    prefix           text NOT NULL,
    topic_ids        jsonb NOT NULL DEFAULT '{}',
    project_id       text,
    digest           text,
    apply_partitions int,
    created_at       timestamptz NOT NULL DEFAULT now(),
    accepted_at      timestamptz
);

-- One row per organization or member that the mapping ever returned; rows of
-- entities that are gone stay, so that their revisions go on (hazard C12).
-- transform writes desired state, revision, lane, announced and source position;
-- apply writes applied state, Stytch ids and what became of it. Both write status.
CREATE TABLE backstitch.entities (
    kind             text    NOT NULL CHECK (kind IN ('organization', 'member')),
    org_key          text    NOT NULL,
    key              text    NOT NULL,               -- an organization's equals org_key
    partition        int     NOT NULL,               -- murmur2(org_key) over identity.apply_partitions
    lane             text    NOT NULL CHECK (lane IN ('live', 'backfill')),

    revision         bigint  NOT NULL,               -- of the desired state; only grows
    announced        bigint  NOT NULL DEFAULT 0,     -- newest revision published (hazard A22)
    desired          jsonb,                          -- field -> value; NULL: gone
    earned           boolean NOT NULL DEFAULT true,  -- a row's change caused it; false: a delete needs consent (invariant 7)
    wake_reason      text    NOT NULL DEFAULT 'change',
    source_table     text,
    epoch            int     NOT NULL DEFAULT 1,
    commit_lsn       bigint  NOT NULL DEFAULT 0,
    end_lsn          bigint  NOT NULL DEFAULT 0,
    committed_at     timestamptz,

    applied          jsonb   NOT NULL DEFAULT '{}',  -- field -> {"v": value} or {"v": old, "maybe": [values]} while an outcome is unknown
    applied_revision bigint  NOT NULL DEFAULT 0,
    applied_at       timestamptz,
    org_stytch_id    text,                           -- members: the organization they were made in (hazard A10)
    stytch_id        text,
    password_id      text,                           -- member_password_id that we caused
    hash_digest      bytea,                          -- keyed digest of the hash that we set (hazard A20)
    losses           text[]  NOT NULL DEFAULT '{}',

    status           text    NOT NULL DEFAULT 'pending' CHECK (status IN
                       ('current', 'pending', 'deferred', 'blocked', 'parked', 'awaiting_consent', 'released')),
    reason           text,
    detail           text,                           -- error_type, SQLSTATE, digest of another key: never a value
    due_at           timestamptz,
    attempts         int     NOT NULL DEFAULT 0,
    consent_id       bigint,
    released_at      timestamptz,
    PRIMARY KEY (kind, org_key, key)
);
CREATE INDEX entities_by_key      ON backstitch.entities (kind, key);
CREATE INDEX entities_due         ON backstitch.entities (partition, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX entities_unannounced ON backstitch.entities (commit_lsn) WHERE announced < revision;
CREATE INDEX entities_not_current ON backstitch.entities (status, reason, commit_lsn) WHERE status <> 'current';

-- Calls in flight: at most one per entity, whoever makes it (invariant 4).
CREATE TABLE backstitch.marks (
    kind         text        NOT NULL,
    org_key      text        NOT NULL,
    key          text        NOT NULL,
    partition    int         NOT NULL,
    term         bigint      NOT NULL,
    revision     bigint      NOT NULL,
    step         text        NOT NULL,
    fields       text[]      NOT NULL DEFAULT '{}',
    deadline     timestamptz NOT NULL,  -- the connection refuses to write after it (hazard A2)
    settle_until timestamptz NOT NULL,  -- nobody looks before it
    PRIMARY KEY (kind, org_key, key)
);
CREATE INDEX marks_by_partition ON backstitch.marks (partition);

-- Values that Stytch keeps unique, by their digest, and who holds them in applied
-- state (hazard A4). scope: an organization's key, or '' for the project.
CREATE TABLE backstitch.claims (
    scope        text  NOT NULL,
    field        text  NOT NULL,
    value_digest bytea NOT NULL,
    kind         text  NOT NULL,
    org_key      text  NOT NULL,
    key          text  NOT NULL,
    PRIMARY KEY (scope, field, value_digest)
);
CREATE INDEX claims_by_entity ON backstitch.claims (kind, org_key, key);

-- Owners of the apply partitions: taking a lease bumps its term, and every write
-- checks it (hazard A1, invariant 10).
CREATE TABLE backstitch.leases (
    partition int PRIMARY KEY,
    owner     text        NOT NULL,
    term      bigint      NOT NULL,
    taken_at  timestamptz NOT NULL DEFAULT now()
);

-- One request budget for the Stytch project across all instances: the moment, by
-- the ledger's clock, from which the next request may be sent (hazards A16, A18).
CREATE TABLE backstitch.budget (
    project_id       text PRIMARY KEY,
    next_at          timestamptz NOT NULL DEFAULT 'epoch', -- of any lane: all requests count
    live_next_at     timestamptz NOT NULL DEFAULT 'epoch', -- where the last live slice ends
    backfill_next_at timestamptz NOT NULL DEFAULT 'epoch', -- backfill's own, later while it is slowed down
    pressed_until    timestamptz NOT NULL DEFAULT 'epoch', -- live requests queue up: backfill keeps its floor
    halved_until     timestamptz                           -- somebody else spends Stytch's limit
);

-- What a person is asked, and has answered. Entities point here by consent_id.
CREATE TABLE backstitch.consents (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL,  -- deletes | delete_hold | unearned | truncate | recreated | rebuild
    subject     text        NOT NULL DEFAULT '',  -- a table, or ''
    question    text        NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    approved_at timestamptz,
    approved_by text,
    done_at     timestamptz
);

-- Deletes sent, by hour: the brake's memory (hazard A12).
CREATE TABLE backstitch.deletes (
    hour  timestamptz PRIMARY KEY,
    count int NOT NULL DEFAULT 0
);

-- +goose Down
DROP SCHEMA backstitch CASCADE;
