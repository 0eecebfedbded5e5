package capture_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/registry"
)

const wide = `CREATE TABLE people (id bigint PRIMARY KEY, email text NOT NULL, name text, given text, family text, locale varchar(10),
	verified boolean NOT NULL DEFAULT false, logins int NOT NULL DEFAULT 0, hash text, created timestamptz NOT NULL, updated timestamptz, meta jsonb)`

const fill = `INSERT INTO people SELECT i, 'user' || i || '@example.com', 'Name ' || i, 'Given' || i, 'Family' || i, 'en-GB', i % 3 = 0, i % 100,
	'$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy', now(), now(), '{"plan": "pro", "seats": 12}' FROM generate_series($1::int, $2::int) i`

// BenchmarkStream measures a backlog through slot, encoder and Kafka transactions,
// and pg_recvlogical on a second slot with the same backlog. Run it with
// -benchtime 1x.
func BenchmarkStream(b *testing.B) {
	for _, rows := range []int{1, 1000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) { benchStream(b, rows, 300_000) })
	}
}

// BenchmarkBackfill measures the first read of a table.
func BenchmarkBackfill(b *testing.B) {
	const n = 300_000
	conn, url := benchDatabase(b)
	if _, err := conn.Exec(b.Context(), fill, 1, n); err != nil {
		b.Fatal(err)
	}
	s := benchSource(b, url)
	for b.Loop() {
		start := time.Now()
		s.Start(context.Background())
		benchWait(b, func() bool { return s.Status().FirstComplete })
		b.ReportMetric(n/time.Since(start).Seconds(), "rows/s")
	}
}

func benchDatabase(b *testing.B) (*pgx.Conn, string) {
	b.Helper()
	url := testenv.Postgres(b)
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(b.Context(), wide); err != nil {
		b.Fatal(err)
	}
	return conn, url
}

func benchSource(b *testing.B, url string) *capture.Source {
	b.Helper()
	reg, err := registry.New(testenv.Registry(b))
	if err != nil {
		b.Fatal(err)
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		b.Fatal(err)
	}
	s := capture.New(capture.Config{
		Prefix: testenv.Name(b), Slot: "bench_" + config.Database, Publication: "bench",
		Tables: []schemas.Table{{Schema: "public", Name: "people"}}, Partitions: 4, CreateTopics: true,
	}, capture.Deps{Source: config, Registry: reg, Kafka: []kgo.Opt{kgo.SeedBrokers(testenv.Kafka(b)...)}})
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = s.Stop(ctx)
	})
	return s
}

func benchWait(b *testing.B, ok func() bool) {
	b.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			b.Fatal("the benchmark did not end")
		}
	}
}

func benchStream(b *testing.B, perTransaction, n int) {
	conn, url := benchDatabase(b)
	first := benchSource(b, url)
	first.Start(context.Background())
	benchWait(b, func() bool { return first.Status().FirstComplete })
	if err := first.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
	other := "peer_" + conn.Config().Database
	if _, err := conn.Exec(b.Context(), "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", other); err != nil {
		b.Fatal(err)
	}
	do := fmt.Sprintf(`DO $$ BEGIN FOR i IN 0..%d LOOP PERFORM fill(i * %d + 1, (i + 1) * %d); COMMIT; END LOOP; END $$`, n/perTransaction-1, perTransaction, perTransaction)
	create := "CREATE FUNCTION fill(int, int) RETURNS void LANGUAGE sql AS $$ " + fill + " $$"
	for _, sql := range []string{create, "SET synchronous_commit = off", do} {
		if _, err := conn.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	var end string
	if err := conn.QueryRow(b.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		b.Fatal(err)
	}
	target, err := schemas.ParseLSN(end)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		peer := receive(b, url, other, end)
		s := capture.Again(first)
		start := time.Now()
		s.Start(context.Background())
		lsn, err := capture.Heartbeat(b.Context(), conn)
		if err != nil {
			b.Fatal(err)
		}
		benchWait(b, func() bool { return s.Status().Position.Version.Commit >= max(lsn, target) })
		ours := time.Since(start)
		if err := s.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n)/ours.Seconds(), "rows/s")
		b.ReportMetric(float64(n)/peer.Seconds(), "pg_recvlogical_rows/s")
		b.ReportMetric(peer.Seconds()/ours.Seconds(), "ratio")
		b.ReportMetric(capture.Commits(s), "commits")
	}
}

func receive(b *testing.B, url, slot, end string) time.Duration {
	b.Helper()
	bin := os.Getenv("PG_RECVLOGICAL")
	if bin == "" {
		bin = "/usr/lib/postgresql/15/bin/pg_recvlogical"
	}
	cmd := exec.Command(bin, "-d", url, "-S", slot, "--start", "-f", "/dev/null", "-E", end, "-o", "proto_version=1", "-o", `publication_names="bench"`)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Skipf("pg_recvlogical: %v: %s", err, out)
	}
	return time.Since(start)
}
