-- +goose Up
-- The schemas of the registry that a run with the embedded broker serves: an id means
-- the same in every run.
CREATE TABLE backstitch.schemas (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest        bytea       NOT NULL UNIQUE,  -- SHA-256 of the schema
    schema        text        NOT NULL,         -- Avro, as JSON without white space
    registered_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE backstitch.subjects (
    subject       text        NOT NULL,
    version       int         NOT NULL,  -- from 1
    schema_id     int         NOT NULL REFERENCES backstitch.schemas,
    registered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, version),
    UNIQUE (subject, schema_id)
);

-- Which of the embedded brokers the offsets are of: each lives as long as one process.
-- 0: of a Kafka that outlives the processes.
ALTER TABLE backstitch.transform ADD COLUMN incarnation bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE backstitch.transform DROP COLUMN incarnation;
DROP TABLE backstitch.subjects;
DROP TABLE backstitch.schemas;
