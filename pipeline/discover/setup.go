package discover

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// Setup writes what the legacy server has to be told, once, by a superuser: a role with
// no more rights than the pipeline needs, and the publication. It holds no password.
// Its shape and reasons are those of deploy/sql/source.sql.
func (p *Proposal) Setup(w io.Writer) error {
	role, publication := schemas.QuoteIdent(p.Role), schemas.QuoteIdent("backstitch_"+p.Name)
	var tables, spaces []string
	var published, hidden []string
	for _, t := range p.Tables {
		tables = append(tables, t.SQL())
		if !slices.ContainsFunc(p.refused, func(r producers.Refusal) bool { return r.Table == t.Table }) {
			published = append(published, t.SQL())
		}
		if s := schemas.QuoteIdent(t.Schema); !slices.Contains(spaces, s) {
			spaces = append(spaces, s)
		}
		if t.RowSecurity {
			hidden = append(hidden, t.SQL())
		}
	}
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("-- What Backstitch needs in database %s, and nothing else. Written by `backstitch init`:", oneLine(schemas.QuoteIdent(p.Database)))
	say("-- read it, then run it once, connected to that database, as a superuser:")
	say("--   psql \"$ADMIN_DATABASE_URL\" -v ON_ERROR_STOP=1 -f setup.sql")
	say("-- The password is set apart, so that it stands in no file, log or history:")
	say("--   \\password %s", p.Role)
	say("")
	say("-- REPLICATION: the slot and the stream. Managed servers grant a role instead, such as")
	say("-- on RDS: GRANT rds_replication TO %s", role)
	say("-- REPLICATION would allow a copy of the whole server too; a line in pg_hba.conf, before all")
	say("-- others, takes that away (logical replication does not match the word replication there):")
	say("--   host  replication  %s  all  reject", role)
	say("CREATE ROLE %s LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE;", role)
	say("")
	say("-- TEMPORARY: which columns a mapping reads is learned from a temporary view over it,")
	say("-- in a transaction that is rolled back.")
	say("GRANT CONNECT, TEMPORARY ON DATABASE %s TO %s;", schemas.QuoteIdent(p.Database), role)
	say("")
	say("-- How long other sessions' transactions are open already: a new slot waits for them.")
	say("GRANT pg_read_all_stats TO %s;", role)
	if len(tables) == 0 {
		say("")
		say("-- No table was recognised: grant SELECT on those that the mapping reads, and publish them.")
		_, err := io.WriteString(w, b.String())
		return err
	}
	say("")
	say("-- Whole tables: backfills read them, and lock them ACCESS SHARE meanwhile.")
	say("GRANT USAGE ON SCHEMA %s TO %s;", strings.Join(spaces, ", "), role)
	say("GRANT SELECT ON TABLE %s TO %s;", strings.Join(tables, ", "), role)
	if len(hidden) > 0 {
		say("")
		say("-- Row-level security on %s would hide rows.", strings.Join(hidden, ", "))
		say("ALTER ROLE %s BYPASSRLS;", role)
	}
	say("")
	say("-- A table that is added later: GRANT SELECT ON it, and ALTER PUBLICATION … ADD TABLE.")
	create := "CREATE PUBLICATION " + publication
	if len(published) > 0 {
		create += " FOR TABLE " + strings.Join(published, ", ")
	}
	say("%s", create)
	say("    WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);")
	for _, r := range p.refused {
		say("")
		say("-- Left out: %s. Published like that, PostgreSQL would refuse the", r.Table.SQL())
		say("-- application's updates and deletes of its rows. Give it a key first, and publish it then:")
		say("--   %s;", r.Fix)
		say("--   ALTER PUBLICATION %s ADD TABLE %s;", publication, r.Table.SQL())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine keeps a name from ending the comment that it stands in.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}
