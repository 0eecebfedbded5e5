package preflight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch/hash"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// migrateRate is Stytch's limit of passwords/migrate, in calls per second.
const migrateRate = 100

// read runs a query over the legacy tables as the mapping's author wrote it: read
// only, with the mapping's search_path, and not longer than CountFor.
func (c *check) read(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, c.source, pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL search_path = public; SET LOCAL statement_timeout = %d", c.deps.CountFor.Milliseconds()))
		if err != nil {
			return err
		}
		return f(tx)
	})
}

func (c *check) count(ctx context.Context, sql string, into ...any) error {
	return c.read(ctx, func(tx pgx.Tx) error { return tx.QueryRow(ctx, sql).Scan(into...) })
}

// uncounted says why something was not counted. A row that the mapping cannot be
// evaluated on is a finding of its own (hazard C5): the error carries the row's value.
func (c *check) uncounted(key, what string, err error) {
	switch state := redact.SQLState(err); {
	case state == "42501": // insufficient_privilege: found by privileges
	case state == "57014": // query_canceled
		c.find(Note, "mapping.uncounted", key, "Count it in psql, or check again when the server has less to do", "the check did not count %s: it takes longer than %s", what, c.deps.CountFor)
	case strings.HasPrefix(state, "22"): // data exception
		c.find(Warning, "mapping.row_error", key, "Guard the expression in the SELECT, or expect those rows parked as evaluation_error",
			"fails on at least one row (SQLSTATE %s), so the check could not count %s; a run parks such rows one by one", state, what)
	default:
		c.failed("mapping.uncounted", key, redact.SQLError(err))
	}
}

// forecast counts what a first run has to do, and what of the legacy data it
// leaves behind.
func (c *check) forecast(ctx context.Context) {
	f := &Forecast{RateLimit: int(c.cfg.Stytch.RateLimit)}
	complete := true
	for _, m := range c.plan.Mappings {
		n, ok := c.entities(ctx, &m)
		complete = complete && ok
		if m.Kind == consumers.Organization {
			f.Organizations = n
		} else {
			f.Members = n
		}
	}
	hashes, ok := c.hashes(ctx)
	c.unfed(ctx)
	if !complete || !ok {
		c.report.uncounted = true
		return
	}
	f.Calls = f.Organizations + f.Members
	if org := c.plan.Mapping(consumers.Organization); org != nil && returns(org, "organization_id") {
		f.Calls += hashes // adopted: a member is created first, then gets its hash
	}
	seconds := perSecond(f.Calls, f.RateLimit)
	if c.cfg.Stytch.BaseURL == "" { // elsewhere it is a simulator or an arrangement with Stytch
		seconds = max(seconds, perSecond(hashes, migrateRate))
	}
	f.Seconds, f.Hours = seconds, float64(seconds)/3600
	c.report.Backfill = f
	if d := time.Duration(seconds) * time.Second; d > 24*time.Hour {
		c.find(Note, "stytch.duration", "stytch.rate_limit", "Plan for it, or ask Stytch for a higher limit and raise stytch.rate_limit", "a first run takes %s; live changes do not wait for it", d)
	}
}

// from is a mapping as a relation q. The line break ends a comment at the SELECT's end.
func from(m *transform.CompiledMapping) string { return "(" + m.Select + "\n) q" }

// desired is from without the members whose organization the other mapping does not
// return: they are not desired (hazard A25). Organizations are compared as the ledger
// does it, as text.
func (c *check) desired(m *transform.CompiledMapping) string {
	if c.plan.Mapping(consumers.Organization) == nil || m.Kind != consumers.Member {
		return from(m)
	}
	return "(SELECT q.* FROM " + from(m) + " WHERE " + c.inOrganization(m) + ") q"
}

// inOrganization is the condition of a member q that its organization is returned.
func (c *check) inOrganization(m *transform.CompiledMapping) string {
	o := c.plan.Mapping(consumers.Organization)
	return fmt.Sprintf("EXISTS (SELECT 1 FROM (%s\n) o WHERE o.%s::text = q.%s::text)", o.Select, schemas.QuoteIdent(o.Keys[0].Name), schemas.QuoteIdent(m.Keys[0].Name))
}

func perSecond(n int64, rate int) int64 { return (n + int64(rate) - 1) / int64(rate) }

// entities counts a mapping's entities, and names what it cannot become.
func (c *check) entities(ctx context.Context, m *transform.CompiledMapping) (int64, bool) {
	key := string(m.Kind) + "s.select"
	columns := make([]string, len(m.Keys))
	whole := make([]string, len(m.Keys))
	for i, k := range m.Keys {
		columns[i] = "q." + schemas.QuoteIdent(k.Name)
		whole[i] = columns[i] + " IS NOT NULL"
	}
	keys, isWhole := strings.Join(columns, ", "), strings.Join(whole, " AND ")
	var entities, twice, unkeyed int64
	err := c.count(ctx, `SELECT count(*) FILTER (WHERE whole), count(*) FILTER (WHERE whole AND n > 1), coalesce(sum(n) FILTER (WHERE NOT whole), 0)
		FROM (SELECT count(*) AS n, `+isWhole+` AS whole FROM `+from(m)+` GROUP BY `+keys+`) g`, &entities, &twice, &unkeyed)
	if err != nil {
		c.uncounted(key, "what it returns", err)
		return 0, false
	}
	if twice > 0 { // hazard C6
		c.find(Warning, "mapping.duplicate_key", key, "Make the SELECT return one row a key, with DISTINCT ON or GROUP BY",
			"returns more than one row for %s keys: they would be parked as duplicate_key", thousands(twice))
	}
	if unkeyed > 0 {
		c.find(Warning, "mapping.null_key", key, "Leave them out in the SELECT if that is meant", "returns %s rows with a NULL in the key: they become nothing", thousands(unkeyed))
	}
	if m.Kind == consumers.Member {
		entities -= c.homeless(ctx, m, keys, isWhole)
		c.emails(ctx, m)
	} else {
		c.slugs(ctx, m)
	}
	// The counts above need no column but the key: this one evaluates every column
	// of every row, as a run will.
	if err := c.count(ctx, `SELECT count(q::text) FROM `+from(m), new(int64)); err != nil {
		c.uncounted(key, "rows that cannot be evaluated", err)
	}
	return entities, true
}

// homeless counts the members whose organization is not returned.
func (c *check) homeless(ctx context.Context, m *transform.CompiledMapping, keys, isWhole string) (n int64) {
	if c.plan.Mapping(consumers.Organization) == nil {
		return 0
	}
	const key = "members.select"
	err := c.count(ctx, "SELECT count(*) FROM (SELECT DISTINCT "+keys+" FROM "+from(m)+" WHERE "+isWhole+" AND NOT "+c.inOrganization(m)+") g", &n)
	switch {
	case err != nil:
		c.uncounted(key, "members whose organization is not returned", err)
	case n > 0:
		c.find(Note, "mapping.no_organization", key, "Return their organizations too if they are to be created",
			"returns %s members of organizations that organizations.select does not return: they become nothing, until it does", thousands(n))
	}
	return n
}

// emails counts members that Stytch cannot hold: without an address, or with one
// that another member of the organization has.
func (c *check) emails(ctx context.Context, m *transform.CompiledMapping) {
	if !returns(m, "email_address") {
		return
	}
	var missing, shared int64
	err := c.count(ctx, `SELECT coalesce(sum(n) FILTER (WHERE email = ''), 0), coalesce(sum(n - 1) FILTER (WHERE email <> ''), 0)
		FROM (SELECT lower(trim(coalesce(q.email_address::text, ''))) AS email, count(DISTINCT q.external_id) AS n
		      FROM `+c.desired(m)+` WHERE q.organization_external_id IS NOT NULL AND q.external_id IS NOT NULL
		      GROUP BY q.organization_external_id, 1) g`, &missing, &shared)
	if err != nil {
		c.uncounted("members.select", "missing and shared addresses", err)
		return
	}
	if missing > 0 {
		c.find(Warning, "mapping.missing_email", "members.select", "Give them one, or leave them out in the SELECT", "returns %s members without an address: they would be parked as missing_email", thousands(missing))
	}
	if shared > 0 {
		c.find(Warning, "mapping.shared_email", "members.select", "Merge the accounts, or change one of the addresses, in the legacy system",
			"returns %s members whose address another member of the same organization has: Stytch keeps it unique, they would be parked as duplicate_value", thousands(shared))
	}
}

// hashes counts password hashes by class, and returns how many will be sent.
func (c *check) hashes(ctx context.Context) (int64, bool) {
	m := c.plan.Mapping(consumers.Member)
	if m == nil || !returns(m, "password_hash") {
		return 0, true
	}
	verified := "true"
	if returns(m, "email_verified") && !m.AssumeEmailsVerified {
		verified = "coalesce(q.email_verified, false)"
	}
	tally := hashTally{counts: map[hash.Class]int64{}}
	err := c.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT coalesce(q.password_hash::text, ''), `+verified+` FROM `+c.desired(m))
		if err != nil {
			return err
		}
		var legacy string
		var isVerified bool
		_, err = pgx.ForEachRow(rows, []any{&legacy, &isVerified}, func() error {
			tally.add(legacy, isVerified)
			return nil
		})
		return err
	})
	if err != nil {
		c.uncounted("members.select", "password hashes", err)
		return 0, false
	}
	c.reportHashes(tally.counts, tally.unverified)
	return tally.sent, true
}

// hashTally counts hashes without keeping one.
type hashTally struct {
	counts           map[hash.Class]int64
	unverified, sent int64
}

func (t *hashTally) add(legacy string, verified bool) {
	class := hash.ClassOf(legacy, hash.Options{})
	_, cannot := hash.Convert(legacy, hash.Options{})
	if cannot != nil && hash.Supported(class) {
		class += ", damaged"
	}
	t.counts[class]++
	switch {
	case cannot != nil || class == hash.NoPassword:
	case verified:
		t.sent++
	default:
		t.unverified++
	}
}

func (c *check) reportHashes(counts map[hash.Class]int64, unverified int64) {
	var lost int64
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		taken := hash.Supported(class)
		c.report.Hashes = append(c.report.Hashes, HashCount{string(class), counts[class], taken})
		if !taken {
			lost += counts[class]
		}
	}
	if lost > 0 {
		c.find(Warning, "mapping.hashes", "members.select", "Expect them to reset their password, or capture it at their next legacy login",
			"returns %s password hashes that Stytch cannot take: their members are created without a password, and counted as a named loss", thousands(lost))
	}
	if unverified > 0 { // hazard A9
		c.find(Warning, "mapping.unverified", "members.select", "Expect them to reset their password, which verifies the address",
			"returns %s password hashes of unverified addresses: they are not migrated, because Stytch would mark the address verified", thousands(unverified))
	}
}
