package integration_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/producers/checksum"
)

const typesDDL = `
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('it''s "fine"', 'sad, very');
CREATE DOMAIN short AS varchar(20) CHECK (value <> '');
CREATE TABLE kinds (
    id int PRIMARY KEY, b bool, i2 int2, i8 int8, n numeric, n2 numeric(10, 2), f4 float4, f8 float8, c char(5), vc varchar(10), t text, ci citext,
    by bytea, u uuid, d date, tm time, tmz timetz, ts timestamp(3), tz timestamptz, iv interval, j json, jb jsonb, ip inet, cd cidr, mac macaddr,
    bits bit(4), vb bit varying, pt point, rng int4range, m mood, ms mood[], s short, ss text[], nn numeric[], big text, lsn pg_lsn, x xml, tsv tsvector);
CREATE TABLE odd_keys (n numeric, t text, c citext, m mood, ts timestamptz, v text, PRIMARY KEY (n, t, c, m, ts));`

// typesRows are rows with the values that print oddly; $1 is added to their keys.
const typesRows = `
INSERT INTO kinds VALUES
  ($1 + 1, true, -32768, 9223372036854775807, 'NaN', 1.50, 'NaN', 'Infinity', 'a', 'b ', E'tab\tline\nback\\slash \\N', 'MixedCase', '\x00ff5c', '00000000-0000-4000-8000-000000000001',
   'infinity', '24:00', '23:59:59.999999+14', '2024-02-29 12:00:00.123', '-infinity', '-1 mons +2 days -03:00:00.5', '{"b": 1,  "a": 1.0}', '{"b": 1e3, "a": [null, "\u00e9"]}',
   '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', B'1010', B'1', '(1.5,-0)', '[1,10)', 'it''s "fine"', '{"it''s \"fine\"",NULL}', 'short', '{a,NULL,"NULL","",",{}\""}', '{NaN,1.10,Infinity}',
   (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i), '16/B374D848', '<a>&amp;</a>', 'fat:2 cat:1');
INSERT INTO kinds VALUES ($1 + 2, false, 0, -1, 'Infinity', -0.00, '1e-45', '-0', '', '', '', '', '', NULL, '0044-03-15 BC', '00:00:00.000001', '00:00-12', '0001-01-01 00:00:00 BC', '2024-03-31 02:30:00+02',
   '178000000 years', 'null', 'null', '192.168.1.1', '::/0', NULL, NULL, '', NULL, 'empty', 'sad, very', '{}', 's', '[2:3]={x,y}', '{{1,2},{3,4}}', '', '0/0', NULL, '');
INSERT INTO kinds VALUES ($1 + 3);
INSERT INTO kinds VALUES ($1 + 4, true, 1, 1, 0.10000000000000000000000001, 99999999.99, 1.17549435e-38, 1.7976931348623157e308, 'é', '日本', '😀', 'ÉCOLE');
INSERT INTO odd_keys SELECT n, 'k ' || '$1' || t, c, m, ts, 'value' FROM (VALUES
  (1.0, '', 'A', 'sad, very'::mood, '2024-01-01 00:00+05'::timestamptz), (1.00, E'back\\slash', 'b', 'it''s "fine"', '2024-01-01'), (2.50, 'q''uote', 'É', 'sad, very', '0001-01-01'),
  (-0.5, 'Zz', '', 'sad, very', '1900-01-01 00:00:00.000001+00'), (-0.5, '_a', ' ', 'sad, very', '1900-01-01 00:00:00.000001+00')) k (n, t, c, m, ts);`

// No type prints differently on the two sides: values that were read, values that were
// streamed, and a row whose large value stayed where it was; and keys that sort and
// print oddly name their rows all the same.
func TestAuditOfEveryType(t *testing.T) {
	t.Parallel()
	rows := func(base int) string { return strings.ReplaceAll(typesRows, "$1", strconv.Itoa(base)) }
	w := harness.New(t, harness.Options{
		Schema: typesDDL + rows(0),
		Tables: "[public.kinds, public.odd_keys]",
		Organizations: `  select: |
    SELECT k.id AS organization_external_id, 'Kind ' || k.id AS organization_name, 'kind-' || k.id AS organization_slug,
           jsonb_build_object('n', length(to_jsonb(k)::text)) AS trusted_metadata
    FROM kinds k`,
		Members: `  select: |
    SELECT 1 AS organization_external_id, 'm' || length(to_jsonb(o)::text)::text AS external_id, 'm@corp.example' AS email_address
    FROM odd_keys o WHERE o.v = 'nobody'`,
	})
	w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	w.Exec(t, rows(100))
	w.Exec(t, "UPDATE kinds SET t = 'changed' WHERE id = 1")
	w.Exec(t, "UPDATE kinds SET id = 301 WHERE id = 101")
	w.CaughtUp(t, 2*time.Minute)
	r := audited(t, w, 0, "--only", "mirror")
	kinds, keys := auditedTable(t, r, "public.kinds"), auditedTable(t, r, "public.odd_keys")
	if kinds.Rows != 8 || len(kinds.Columns) != 38 || keys.Rows != 10 || kinds.Read != 0 || keys.Read != 0 {
		t.Errorf("%+v, %+v", kinds, keys)
	}
	ledgerExec(t, w, "UPDATE kinds SET nn = '{NaN,1.1,Infinity}' WHERE id = 301") // another image of the same value
	ledgerExec(t, w, "UPDATE odd_keys SET v = v || ' '")
	r = audited(t, w, 3, "--only", "mirror")
	kinds, keys = auditedTable(t, r, "public.kinds"), auditedTable(t, r, "public.odd_keys")
	if r.Mirror.Verdict != checksum.Drift || fmt.Sprint(kinds.Different.Samples) != "[{[301] [nn]}]" || kinds.Differ() != 1 || keys.Different.Count != 10 || keys.Differ() != 10 {
		t.Errorf("%+v, %+v", kinds, keys)
	}
}
