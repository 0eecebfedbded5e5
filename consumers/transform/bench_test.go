package transform

import (
	"fmt"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

const benchDDL = `CREATE TABLE users (id bigint PRIMARY KEY, email text, name text, password text, role text, a text, b text, c int, d boolean,
	created_at timestamptz, updated_at timestamptz, version int); CREATE INDEX ON users (email)`

// benchRows are rows of twelve columns, of which the mapping reads eight.
func benchRows(f *feeder, n int) {
	tx := f.reading()
	for i := range n {
		tx.add("users", tx.version(), schemas.Read, nil, row([]any{
			i, fmt.Sprintf("user%d@example.com", i), "Some Name", "$2a$10$abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabc",
			"member", "aaaaaaaaaa", "bbbbbbbbbb", i, "t", "2026-01-02 03:04:05+00", "2026-01-02 03:04:05+00", 1,
		}))
		if len(tx.records) == 20_000 {
			tx.publish(false)
		}
	}
	tx.end()
}

// BenchmarkLoading measures the way from topics to mirror before the first
// evaluation, in rows/s.
func BenchmarkLoading(b *testing.B) {
	mapping := docsMapping()
	mapping.Select = `SELECT u.id AS organization_external_id, u.name AS organization_name, u.email AS organization_slug,
		jsonb_build_object('r', u.role, 'c', u.c, 'd', u.d, 'x', u.created_at, 'p', u.password) AS trusted_metadata FROM users u`
	mapping.Routes = nil
	for range b.N {
		f := newFeeder(b, benchDDL, public("users"), mapping)
		const n = 300_000
		benchRows(f, n)
		tr := f.start()
		f.until("the first rows are filled", func() bool { return tr.Status().Read > 0 })
		start, from := time.Now(), tr.Status().Read
		f.until("all rows are filled", func() bool { return tr.Status().Read == n })
		b.ReportMetric(float64(n-from)/time.Since(start).Seconds(), "rows/s")
		f.stop(tr)
	}
}

// BenchmarkFollowing measures changes/s from topics to committed desired states:
// one-row source transactions, each of another row, in batches as large as the lag.
func BenchmarkFollowing(b *testing.B) {
	mapping := docsMapping()
	mapping.Select = `SELECT u.id AS organization_external_id, u.name AS organization_name, u.email AS organization_slug FROM users u`
	mapping.Routes = map[schemas.Table]consumers.Route{{Schema: "public", Name: "users"}: {Columns: map[string]string{"organization_external_id": "id"}}}
	for range b.N {
		f := newFeeder(b, benchDDL, public("users"), mapping)
		const all, changed = 100_000, 40_000
		benchRows(f, all)
		tr := f.start()
		f.loaded()
		f.evaluated(tr)
		tx := f.begin()
		for i := range changed {
			f.commit += 0x100
			tx.commit = f.commit
			tx.add("users", tx.version(), schemas.Update, nil, row([]any{
				(i * 7919) % all, fmt.Sprintf("new%d@example.com", i), "Some Name", "h", "member", "a", "b", i, "t",
				"2026-01-02 03:04:05+00", "2026-01-02 03:04:05+00", 2,
			}))
		}
		start := time.Now()
		tx.end()
		f.evaluated(tr)
		b.ReportMetric(changed/time.Since(start).Seconds(), "changes/s")
		f.stop(tr)
	}
}
