package backfill_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/backstitch/backstitch/producers/backfill"
)

// benchRows is the size of the table that the benchmarks read, about 290 bytes a row.
const benchRows = 500_000

// BenchmarkRead reads a table with each number of workers and reports rows/s and
// the ratio to a plain COPY of the same table over one connection.
func BenchmarkRead(b *testing.B) {
	for _, key := range []struct{ name, value string }{{"bigint", "i"}, {"uuid", "md5(i::text)::uuid"}} {
		s := newSource(b, "CREATE UNLOGGED TABLE t (id "+key.name+" PRIMARY KEY, email text, name text, password text, created timestamptz, updated timestamptz, verified timestamptz, role text, locale text, n int, flag bool, meta jsonb)",
			fmt.Sprintf(`INSERT INTO t SELECT %s, 'user' || i || '@example.com', 'Name ' || i, '$2b$10$' || repeat('x', 53), now(), now(), now(), 'MEMBER', 'en', i, true, '{"plan": "free", "seats": 5}' FROM generate_series(1, %d) i`, key.value, benchRows),
			"VACUUM (ANALYZE) t")
		table, snapshot := s.describe(b, "t"), s.snapshot(b)
		copyOnce := func() time.Duration {
			begun := time.Now()
			if _, err := s.PgConn().CopyTo(b.Context(), io.Discard, "COPY t TO STDOUT"); err != nil {
				b.Fatal(err)
			}
			return time.Since(begun)
		}
		copyOnce()
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/workers=%d", key.name, workers), func(b *testing.B) {
				var plain time.Duration
				for b.Loop() {
					b.StopTimer()
					plain += copyOnce()
					b.StartTimer()
					rows := 0
					err := backfill.Read(b.Context(), backfill.Config{Workers: workers}, s.cfg, snapshot, table, nil, nil, func(_ context.Context, batch backfill.Batch) error {
						rows += len(batch.Rows)
						return nil
					})
					if err != nil || rows != benchRows {
						b.Fatal(rows, err)
					}
				}
				b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
				b.ReportMetric(plain.Seconds()/b.Elapsed().Seconds(), "of-COPY")
			})
		}
	}
}
