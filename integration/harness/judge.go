package harness

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/lag"
	"github.com/backstitch/backstitch/pipeline/sandbox/compare"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// Compare judges Stytch by the mapping over the legacy database itself.
func (w *World) Compare(tb testing.TB) *compare.Result {
	tb.Helper()
	ctx := context.Background()
	cfg, err := config.Load(w.Config)
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, w.Legacy)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	r, err := compare.Run(ctx, compare.Subjects{
		Legacy: conn, Ledger: w.LedgerPool, Simulator: w.Simulator, Mappings: cfg.Mappings(),
		OrganizationPrefix: cfg.ExternalIDPrefix.Organizations, MemberPrefix: cfg.ExternalIDPrefix.Members,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// Clean fails the test unless Stytch is what the legacy system says, entities aside
// excepted, and at least one entity matches.
func (w *World) Clean(tb testing.TB) *compare.Result {
	tb.Helper()
	r := w.Compare(tb)
	if !r.Clean() || r.Match == 0 {
		tb.Errorf("%d match, %d missing, %d extra, %d different %v: %v", r.Match, r.Missing, r.Extra, r.Different, r.Fields, r.Samples)
	}
	return r
}

// NothingAside fails the test when something is parked, blocked or awaits consent.
func NothingAside(tb testing.TB, r *compare.Result) {
	tb.Helper()
	for _, aside := range []map[consumers.Key]consumers.Reason{r.Parked, r.Blocked, r.Awaiting} {
		for key, reason := range aside {
			tb.Errorf("a %s is set aside: %s", key.Kind, reason)
		}
	}
}

// Heartbeat writes a transaction of the pipeline's own into the source, and returns
// its position: whoever is caught up to it has everything that was committed before.
func (w *World) Heartbeat(tb testing.TB) schemas.LSN {
	tb.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.Legacy)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	lsn, err := capture.Heartbeat(ctx, conn)
	if err != nil {
		tb.Fatal(err)
	}
	return lsn
}

// CaughtUp waits until a running pipeline has applied everything that is committed
// now, or set it aside for a person.
func (w *World) CaughtUp(tb testing.TB, limit time.Duration) ledger.Progress {
	tb.Helper()
	// a position from before the slot would never be reached
	Eventually(tb, limit, "the slot of a running source", func() bool { return w.slotActive(tb) })
	lsn := w.Heartbeat(tb)
	var p ledger.Progress
	Eventually(tb, limit, "everything is applied", func() bool {
		var err error
		p, err = ledger.CaughtUp(context.Background(), w.LedgerPool, lsn)
		return err == nil && p.Done()
	})
	return p
}

func (w *World) slotActive(tb testing.TB) bool {
	tb.Helper()
	var active bool
	err := w.Pool.QueryRow(context.Background(), `SELECT active AND confirmed_flush_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = $1`,
		"backstitch_"+w.Prefix).Scan(&active)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		tb.Logf("look for the slot: %v", err)
	}
	return active
}

// Phase is the transform's phase as the ledger has it: "", loading or following.
func (w *World) Phase() string {
	var phase string
	// no ledger yet, no row yet: no phase
	_ = w.LedgerPool.QueryRow(context.Background(), `SELECT phase FROM backstitch.transform`).Scan(&phase)
	return phase
}

// Status is what `backstitch status --output json` prints.
func (w *World) Status(tb testing.TB) admin.Status {
	tb.Helper()
	var s admin.Status
	if err := json.Unmarshal([]byte(w.Output(tb, "status", "--output", "json")), &s); err != nil {
		tb.Fatalf("status: %v", err)
	}
	return s
}

// Drained waits until the apply connector has read all its topics: as they are now,
// not as an instance looked at them last.
func (w *World) Drained(tb testing.TB, limit time.Duration) {
	tb.Helper()
	Eventually(tb, limit, "the apply topics are read", func() bool {
		var r lag.Report
		if err := json.Unmarshal([]byte(w.Output(tb, "lag", "-o", "json")), &r); err != nil {
			tb.Fatalf("lag: %v", err)
		}
		seen := 0
		for _, l := range r.Lag {
			if l.Group != w.Prefix+"-apply" {
				continue
			}
			if seen++; l.Records > 0 {
				return false
			}
		}
		return seen == 2
	})
}
