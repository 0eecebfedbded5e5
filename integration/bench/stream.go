package main

import (
	"fmt"
	"time"

	"github.com/backstitch/backstitch/producers/capture"
)

// stream measures rows/s from a slot with a backlog into Kafka: exactly once, Avro,
// lz4. Beside it pg_recvlogical drains a second slot with the same backlog to
// /dev/null, which does nothing but receive. Both by turns, from start to end of
// their processes' work.
func stream(b *bench, perTransaction int) {
	l := b.legacy(0)
	c := l.connector(usersTable)
	c.backfilled()
	peer := "peer_" + capture.DefaultSlot(c.cfg.Prefix)[len("backstitch_"):]
	l.exec("SELECT pg_create_logical_replication_slot('" + peer + "', 'pgoutput')")
	var ours, theirs []float64
	for i := range b.rounds() {
		l.transactions("add_users(%s, %s)", i*b.rows, b.rows, perTransaction)
		drain := func() { ours = append(ours, rate(b.rows, c.drained())) }
		if i%2 == 0 {
			b.servers.profiled(drain)
		}
		if took := b.receive(l, peer, capture.DefaultSlot(c.cfg.Prefix)); took > 0 {
			theirs = append(theirs, rate(b.rows, took))
		}
		if i%2 == 1 {
			drain()
		}
	}
	b.report(fmt.Sprintf("source/stream/%d-row", perTransaction), median(ours), "rows/s", "pg_recvlogical", median(theirs))
}

// receive drains a slot with pg_recvlogical; 0 where there is none.
func (b *bench) receive(l *legacy, slot, publication string) time.Duration {
	program := b.servers.program("pg_recvlogical")
	if program == "" {
		b.Logf("no pg_recvlogical: install the PostgreSQL server package of a distribution")
		return 0
	}
	var end string
	b.ok(l.conn.QueryRow(b.ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&end))
	return b.command(program, "-d", l.url, "-S", slot, "--start", "-f", "/dev/null", "-E", end,
		"-o", "proto_version=1", "-o", fmt.Sprintf("publication_names=%q", publication))
}
