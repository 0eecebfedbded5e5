package preflight

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

func (c *check) openLedger(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, c.deps.Patience)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, c.deps.Ledger)
	if err != nil {
		key, fix := orElse(WireLedger, err, "Create the database, and check address, credentials and pg_hba.conf")
		c.find(Error, "ledger.unreachable", key, fix, "no connection to the ledger: %v", redact.SQLError(err))
		return false
	}
	c.ledger = conn
	c.unverified(WireLedger, c.cfg.Ledger)
	return true
}

// database is what decides how a database compares and stores text.
type database struct {
	Encoding, Collate, Type, Provider, System string
	Version                                   int
}

func describeDatabase(ctx context.Context, conn *pgx.Conn) (d database, err error) {
	err = conn.QueryRow(ctx, `
		SELECT pg_encoding_to_char(encoding), coalesce(datcollate, ''), coalesce(datctype, ''), datlocprovider::text
		       || coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale', ''),
		       current_setting('server_version_num')::int
		FROM pg_database d WHERE datname = current_database()`).Scan(&d.Encoding, &d.Collate, &d.Type, &d.Provider, &d.Version)
	if err != nil {
		return d, err
	}
	// Newer or managed servers may keep it from the role: then it stays unknown.
	_ = conn.QueryRow(ctx, `SELECT system_identifier::text FROM pg_control_system()`).Scan(&d.System)
	return d, nil
}

// ledgerDatabase checks that the mapping means the same in the ledger as in the
// source (hazard C19), and that the ledger may be used.
func (c *check) ledgerDatabase(ctx context.Context) {
	theirs, err := describeDatabase(ctx, c.ledger)
	if err != nil {
		c.failed("ledger.database", "ledger", redact.SQLError(err))
		return
	}
	const key = "ledger"
	if theirs.Version < 150000 {
		c.find(Error, "ledger.version", key, "Use PostgreSQL 15 or newer", "the ledger server's version number is %d", theirs.Version)
	}
	var create bool
	if err := c.ledger.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE')`).Scan(&create); err != nil {
		c.failed("ledger.privileges", key, redact.SQLError(err))
	} else if !create {
		c.find(Error, "ledger.privileges", key, "GRANT CREATE ON DATABASE to the role of ledger", "the role may not create schemas: the mirror has the legacy system's, and backstitch is our own")
	}
	if c.source == nil {
		return
	}
	ours, err := describeDatabase(ctx, c.source)
	if err != nil {
		c.failed("ledger.database", key, redact.SQLError(err))
		return
	}
	if ours.Encoding != theirs.Encoding || normal(ours.Collate) != normal(theirs.Collate) || normal(ours.Type) != normal(theirs.Type) || ours.Provider != theirs.Provider {
		c.find(Error, "ledger.collation", key,
			"CREATE DATABASE … TEMPLATE template0 ENCODING '"+ours.Encoding+"' LC_COLLATE '"+ours.Collate+"' LC_CTYPE '"+ours.Type+"'",
			"the ledger's encoding, collation and character type are %s, %s and %s, the source's %s, %s and %s: lower(), ORDER BY and comparisons in the mapping could mean something else",
			theirs.Encoding, theirs.Collate, theirs.Type, ours.Encoding, ours.Collate, ours.Type)
	}
	if system := c.system; system != "" && system == theirs.System { // hazard S20
		c.find(Warning, "ledger.same_server", key, "Put the ledger on a server of its own",
			"the ledger is on the source's server: the slot retains the log of both, and the ledger's transactions delay new slots")
	}
	c.extensions(ctx)
}

// normal is a locale's name without the spelling that differs between systems.
func normal(locale string) string { return strings.ReplaceAll(strings.ToLower(locale), "-", "") }

// extensions checks that the ledger can have the extensions that tables and
// mappings need.
func (c *check) extensions(ctx context.Context) {
	captured, err := producers.DescribeTables(ctx, c.source, c.cfg.Source.Tables)
	if err != nil {
		return // a table is missing, or cannot be captured: found already
	}
	relations := make([]*schemas.Relation, len(captured))
	for i, t := range captured {
		relations[i] = t.Relation
	}
	needed, err := producers.Extensions(ctx, c.source, relations)
	if err != nil {
		c.failed("ledger.extensions", "source", err)
		return
	}
	if c.plan != nil {
		needed = append(needed, c.plan.Extensions...)
	}
	slices.Sort(needed)
	rows, err := c.ledger.Query(ctx, `SELECT n.name FROM unnest($1::text[]) n (name)
		WHERE NOT EXISTS (SELECT 1 FROM pg_available_extensions a WHERE a.name = n.name) ORDER BY 1`, slices.Compact(needed))
	if err != nil {
		c.failed("ledger.extensions", "ledger", redact.SQLError(err))
		return
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		c.failed("ledger.extensions", "ledger", redact.SQLError(err))
	} else if len(missing) > 0 {
		c.find(Error, "ledger.extensions", "ledger", "Install them on the ledger's server", "the captured tables or the mappings need extensions that the ledger's server does not have: %s", strings.Join(missing, ", "))
	}
}

// ledgerIdentity says when the ledger belongs to something else (hazards C22, C23).
func (c *check) ledgerIdentity(ctx context.Context) {
	var exists bool
	err := c.ledger.QueryRow(ctx, `SELECT to_regclass('backstitch.identity') IS NOT NULL`).Scan(&exists)
	if err != nil || !exists {
		return
	}
	id, found, err := ledger.Recorded(ctx, c.ledger)
	if err != nil {
		c.failed("ledger.identity", "ledger", err)
		return
	}
	if !found {
		return
	}
	const another = "Give this pipeline a ledger database of its own, or point the configuration back"
	for _, f := range []struct{ key, what, was, is string }{
		{"name", "pipeline", id.Name, c.cfg.Name},
		{"kafka.topics.prefix", "topic prefix", id.Prefix, c.cfg.Kafka.Topics.Prefix},
		{"stytch.project_id", "Stytch project", id.ProjectID, c.cfg.Stytch.ProjectID},
		{"source.postgres", "source's system identifier", id.SystemID, c.system},
	} {
		if f.was != "" && f.is != "" && f.was != f.is {
			c.find(Error, "ledger.identity", f.key, another, "the ledger was built for another %s: %s, not %s", f.what, f.was, f.is)
		}
	}
	if id.Digest != "" && id.Digest != c.cfg.Digest() {
		c.find(Warning, "ledger.digest", "organizations", "See what that changes with `backstitch plan`, then run with --accept-mapping and the id that it prints; deletes among it wait for `backstitch approve`",
			"mapping or policies are not those that the ledger was built with")
	}
}
