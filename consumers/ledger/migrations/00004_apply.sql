-- +goose Up
-- What apply remembers of an entity's turns.
ALTER TABLE backstitch.entities
    ADD COLUMN tried_revision  bigint  NOT NULL DEFAULT 0,      -- newest revision whose turn ended in a durable outcome: a wake at or below it does nothing (invariant 5)
    ADD COLUMN braked_revision bigint  NOT NULL DEFAULT 0,      -- the delete that the brake let pass and counted (hazard A12)
    ADD COLUMN read_wanted     boolean NOT NULL DEFAULT false,  -- the next turn plans from a fresh read of Stytch (replay --force, hazard A3)
    ADD COLUMN adopted         boolean NOT NULL DEFAULT false;  -- found in Stytch and proven ours, not created by this ledger (hazard A24)
CREATE INDEX entities_members_made ON backstitch.entities (org_key) WHERE kind = 'member' AND stytch_id IS NOT NULL;

-- The values that a call in flight may set, by field: with a mark unresolved, an
-- applied field is what applied says or what stands here.
ALTER TABLE backstitch.marks ADD COLUMN maybe jsonb NOT NULL DEFAULT '{}';

-- Who waits for a value that another entity holds (hazard A4). Whoever gives the
-- value up makes these due.
CREATE TABLE backstitch.waiters (
    scope        text  NOT NULL,
    field        text  NOT NULL,
    value_digest bytea NOT NULL,
    kind         text  NOT NULL,
    org_key      text  NOT NULL,
    key          text  NOT NULL,
    PRIMARY KEY (scope, field, value_digest, kind, org_key, key)
);

-- +goose Down
DROP TABLE backstitch.waiters;
ALTER TABLE backstitch.marks DROP COLUMN maybe;
DROP INDEX backstitch.entities_members_made;
ALTER TABLE backstitch.entities
    DROP COLUMN tried_revision, DROP COLUMN braked_revision, DROP COLUMN read_wanted, DROP COLUMN adopted;
