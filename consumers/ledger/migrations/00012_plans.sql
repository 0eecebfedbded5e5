-- +goose Up
-- What a changed mapping or policy would do, as `backstitch plan` foresaw it: the
-- consent of `run --accept-mapping PLAN-ID` is to one of these (hazard C23).
CREATE TABLE backstitch.plans (
    id          text PRIMARY KEY,              -- a digest over what follows and over all that was foreseen
    digest      text        NOT NULL,          -- of the mapping and policies that it is for
    accepted    text        NOT NULL,          -- that the ledger followed then
    epoch       int         NOT NULL,          -- the position that was evaluated
    commit_lsn  bigint      NOT NULL,
    summary     jsonb       NOT NULL,          -- counts, and no key
    planned_at  timestamptz NOT NULL DEFAULT now(),
    planned_by  text        NOT NULL,
    accepted_at timestamptz,
    accepted_by text
);

-- +goose Down
DROP TABLE backstitch.plans;
