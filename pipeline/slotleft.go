package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers/capture"
)

// slotTimeout bounds the last look at the slot: the process is about to end.
const slotTimeout = 5 * time.Second

// SlotLeft says what a run leaves behind at the source: a slot that nobody reads
// keeps the server's log, until its disk is full. "" when there is none, or when
// another instance reads it.
func SlotLeft(ctx context.Context, cfg *config.Config) string {
	if cfg.Kafka.Embedded {
		return "" // it was temporary
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), slotTimeout)
	defer cancel()
	report, err := slotLeft(ctx, cfg)
	switch {
	case err != nil:
		return fmt.Sprintf("whether slot %s is left behind cannot be told (%v): it keeps the source's log until `backstitch run` or `backstitch teardown`", cfg.Source.Slot, err)
	case !report.Exists || report.Active:
		return ""
	}
	said := fmt.Sprintf("slot %s is left behind and retains %s of the source's log, and all that is written from now on, until the next `backstitch run`; `backstitch teardown` drops it",
		report.Name, size(report.RetainedBytes))
	if report.SafeBytes != nil {
		said += fmt.Sprintf("; the server invalidates it after %s more", size(*report.SafeBytes))
	}
	return said
}

func slotLeft(ctx context.Context, cfg *config.Config) (*capture.SlotReport, error) {
	clients, err := NewClients(cfg)
	if err != nil {
		return nil, err
	}
	conn, err := clients.ConnectSource(ctx, cfg.Name+"-slot")
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	report, err := capture.SlotLeft(ctx, conn, cfg.Source.Slot)
	if err == nil && report.Exists && !report.Active {
		report.Active = othersLive(ctx, clients)
	}
	return report, err
}

// othersLive reports whether an instance lives that takes the slot in a moment. This
// one has left the ledger; a ledger that does not answer knows of nobody.
func othersLive(ctx context.Context, c *Clients) bool {
	conn, err := pgx.ConnectConfig(ctx, c.Ledger)
	if err != nil {
		return false
	}
	defer conn.Close(context.WithoutCancel(ctx))
	alive, err := ledger.AcceptedAlive(ctx, conn)
	return err == nil && alive
}

// size is a number of bytes as PostgreSQL prints one.
func size(bytes int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	n := float64(bytes)
	for len(units) > 1 && n >= 10*1024 {
		n, units = n/1024, units[1:]
	}
	return fmt.Sprintf("%.0f %s", n, units[0])
}
