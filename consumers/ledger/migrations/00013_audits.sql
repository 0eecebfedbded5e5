-- +goose Up
-- Audits of the mapping that somebody asked for. The transform's owner takes all that
-- are open when it begins its next audit; what no owner has answered waits for one.
CREATE TABLE backstitch.audit_requests (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_at timestamptz NOT NULL DEFAULT now(),
    asked_by text        NOT NULL,
    pass     bigint REFERENCES backstitch.passes ON DELETE SET NULL, -- that looks, or has looked, for it
    done_at  timestamptz
);
CREATE INDEX audit_requests_open ON backstitch.audit_requests (id) WHERE done_at IS NULL;

-- Comparisons of the mirror with the source.
CREATE TABLE backstitch.mirror_audits (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    started_by text        NOT NULL,
    ended_at   timestamptz,
    verdict    text,
    report     jsonb                 -- counts, keys and names of columns, no values
);

-- +goose Down
DROP TABLE backstitch.mirror_audits, backstitch.audit_requests;
