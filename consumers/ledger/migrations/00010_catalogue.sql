-- +goose Up
-- The source's catalogue as an owner of the transform read it last: what a successor
-- works with while the source cannot be reached. It belongs to the tables and mappings
-- of its digest, and to the stream up to a version: what later changes of columns made
-- of the tables is not in it. Names and types only, no row (decision 0020).
CREATE TABLE backstitch.catalogue (
    prefix  text PRIMARY KEY,
    format  int         NOT NULL, -- of content
    digest  text        NOT NULL,
    covers  text        NOT NULL, -- a version: every change of columns up to it is in it
    read_at timestamptz NOT NULL,
    content jsonb       NOT NULL
);

-- +goose Down
DROP TABLE backstitch.catalogue;
