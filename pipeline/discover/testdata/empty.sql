-- A database in which nothing looks like users.
CREATE TABLE measurements (at timestamptz NOT NULL, value double precision);
