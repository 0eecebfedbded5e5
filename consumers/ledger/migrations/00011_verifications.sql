-- +goose Up
-- Comparisons of the live Stytch project with desired states (`backstitch verify`).
-- A run that was interrupted goes on from its row.
CREATE TABLE backstitch.verifications (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    asked_by    text   NOT NULL,
    commit_lsn  bigint NOT NULL,               -- evaluated when the run began: what the run holds for
    phase       text   NOT NULL DEFAULT 'organizations' CHECK (phase IN ('organizations', 'members', 'settle', 'done')),
    cursor      text   NOT NULL DEFAULT '',    -- of the search that goes on
    batch       text[] NOT NULL DEFAULT '{}',  -- organizations, by key, whose members are being read
    after_key   text   NOT NULL DEFAULT '',    -- members of organizations up to this key are compared
    tally       jsonb  NOT NULL DEFAULT '{}',  -- what needs no finding, counted; calls made
    classes     jsonb  NOT NULL DEFAULT '{}',  -- class -> entities, when it has ended
    verdict     text
);

-- What a search has shown and is not compared yet: organizations of the whole run,
-- members of the batch.
CREATE TABLE backstitch.verification_seen (
    run             bigint NOT NULL REFERENCES backstitch.verifications ON DELETE CASCADE,
    kind            text   NOT NULL,
    stytch_id       text   NOT NULL,
    organization_id text   NOT NULL,           -- Stytch's id of the organization that it was seen in
    external_id     text   NOT NULL,
    object          jsonb  NOT NULL,           -- as Stytch answered it
    PRIMARY KEY (run, kind, stytch_id)
);

-- Entities that are not as they should be, or of which that is not known. org_key and
-- key are empty for an object in Stytch that belongs to no entity.
CREATE TABLE backstitch.verification_findings (
    run       bigint  NOT NULL REFERENCES backstitch.verifications ON DELETE CASCADE,
    kind      text    NOT NULL,
    org_key   text    NOT NULL,
    key       text    NOT NULL,
    stytch_id text    NOT NULL,                -- of the object; '' where there is none
    class     text    NOT NULL,
    fields    text[]  NOT NULL DEFAULT '{}',   -- names only
    why       text    NOT NULL DEFAULT '',
    confirmed boolean NOT NULL DEFAULT false,  -- a read of the object and the ledger around it say the same
    PRIMARY KEY (run, kind, org_key, key, stytch_id)
);
CREATE INDEX verification_findings_open ON backstitch.verification_findings (run) WHERE NOT confirmed;

-- +goose Down
DROP TABLE backstitch.verification_findings, backstitch.verification_seen, backstitch.verifications;
