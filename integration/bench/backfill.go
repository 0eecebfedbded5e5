package main

import (
	"io"
	"time"
)

// backfill measures a connector's whole first run, from nothing (no slot, no
// topics) to the checkpoint that says that every table was read. Beside it psql
// copies the same table to nowhere.
func backfill(b *bench) {
	l := b.legacy(b.rows)
	var ours, theirs []float64
	for range b.rounds() {
		theirs = append(theirs, rate(b.rows, b.copyOut(l)))
		c := l.connector(usersTable)
		b.servers.profiled(func() { ours = append(ours, rate(b.rows, c.backfilled())) })
		c.release()
	}
	b.report("source/backfill", median(ours), "rows/s", "psql COPY TO /dev/null", median(theirs))
}

func (b *bench) copyOut(l *legacy) time.Duration {
	if psql := b.servers.program("psql"); psql != "" {
		return b.command(psql, "-X", "-q", "-d", l.url, "-c", `\copy users to /dev/null`)
	}
	start := time.Now()
	_, err := l.conn.PgConn().CopyTo(b.ctx, io.Discard, "COPY users TO STDOUT")
	b.ok(err)
	return time.Since(start)
}
