package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/producers/capture"
)

// memory measures the peak of the whole process's memory, all three connectors, over
// a backfill and a stream: a transaction that changes every row, and single ones.
// Beside it stands the size of what went through (invariant 9).
func memory(b *bench) {
	rows := b.rows / 2
	w := b.world(rows, 50) // the calls are not what is measured: they wait in the ledger
	p := w.Run(b)
	evaluated := func(what string) {
		conn, err := w.Pool.Acquire(b.ctx)
		b.ok(err)
		defer conn.Release()
		lsn, err := capture.Heartbeat(context.WithoutCancel(b.ctx), conn.Conn())
		b.ok(err)
		b.until(what, func() bool {
			select {
			case <-p.Ended():
				b.Fatalf("backstitch ended: %s", p.Log())
			default:
			}
			progress, err := ledger.CaughtUp(b.ctx, w.LedgerPool, lsn)
			return err == nil && progress.Evaluated
		})
	}
	b.until("the slot", func() bool {
		var n int
		b.ok(w.Pool.QueryRow(b.ctx, "SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND NOT temporary AND confirmed_flush_lsn IS NOT NULL").Scan(&n))
		return n > 0
	})
	evaluated("the backfill")
	w.Exec(b, "UPDATE users SET name = 'Renamed ' || id, logins = logins + 1")
	w.Exec(b, "SET synchronous_commit = off")
	w.Exec(b, fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP UPDATE users SET name = 'Again ' || id WHERE id = i; COMMIT; END LOOP; END $$", rows/10))
	evaluated("the stream")
	peak := peakRSS(b, p.PID())
	var size float64
	b.ok(w.Pool.QueryRow(b.ctx, "SELECT pg_table_size('users')").Scan(&size))
	b.report("memory/peak RSS", peak/1e6, "MB", "size of the table", size/1e6)
	p.Stop(b)
}

// peakRSS is a process's VmHWM in bytes.
func peakRSS(b *bench, pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	b.ok(err)
	for line := range bytes.Lines(status) {
		if value, ok := strings.CutPrefix(string(line), "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			b.ok(err)
			return kb * 1024
		}
	}
	b.Fatal("the kernel does not tell VmHWM")
	return 0
}
