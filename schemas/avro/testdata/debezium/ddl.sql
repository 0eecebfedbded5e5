create schema tm;
create extension if not exists citext; create extension if not exists hstore; create extension if not exists ltree;
create type tm.mood as enum ('sad','ok','happy');
create domain tm.posint as int check (value > 0);
create table tm.types(
  id int primary key, i2 smallint, i4 int not null default 5, i8 bigint, f4 real, f8 double precision, b boolean not null default true,
  t text, vc varchar(20), c char(5), u uuid, ts timestamp, ts3 timestamp(3), ts0 timestamp(0), tstz timestamptz, d date, tm time, tm3 time(3), ttz timetz, iv interval,
  n102 numeric(10,2), n numeric, m money, js json, jsb jsonb, mood tm.mood, bin bytea, ta text[], ia int[], na numeric(10,2)[], tsa timestamptz[], ua uuid[],
  ip inet, cd cidr, mac macaddr, bt bit(1), bt5 bit(5), vb bit varying(12), ci citext, hs hstore, lt ltree, x xml, dom tm.posint, r int4range, tsr tstzrange, pt point, tsv tsvector, o oid,
  gen int generated always as (i4 * 2) stored,
  nn_text text not null default 'dflt', nn_ts timestamptz not null default now(), nn_nodef text not null, big text);
alter table tm.types alter column big set storage external;
create table tm.full_ident(id int primary key, v text, n int); alter table tm.full_ident replica identity full;
create table tm.nopk(a int, b text);
create publication tmpub for table tm.types, tm.full_ident, tm.nopk;
