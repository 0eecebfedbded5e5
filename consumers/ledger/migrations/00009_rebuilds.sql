-- +goose Up
-- Rebuilds of the mirror that a person asked for with `replay transform --rebuild`: the
-- new mirror is shown before it takes the old one's place. The consent opens with the
-- request; without a row a new mirror is swapped in by itself (hazard C10).
CREATE TABLE backstitch.rebuilds (
    consent_id  bigint PRIMARY KEY REFERENCES backstitch.consents,
    asked_by    text        NOT NULL,
    after_epoch int         NOT NULL,           -- a mirror of a later epoch is meant
    asked_at    timestamptz NOT NULL DEFAULT now(),
    requested   boolean     NOT NULL DEFAULT false, -- the source was asked to read again
    -- what the new mirror, complete at a position, would change; NULL before
    epoch       int,
    commit_lsn  bigint,
    entities    bigint,
    differ      bigint,                         -- from what is stored: appear, vanish and failed are among them
    appear      bigint,
    vanish      bigint,
    failed      bigint,                         -- cannot be evaluated
    compared_at timestamptz,
    swapped_at  timestamptz
);

-- +goose Down
DROP TABLE backstitch.rebuilds;
