package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// An instance that is frozen, or cut off, between two statements of a transaction
// keeps nobody waiting: its session ends and the locks are free (invariant 10,
// hazard A1).
func TestFrozenTransactionsLetGo(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]struct {
		frozen string // the transaction's first statement
		other  func(context.Context, *ledger.Applier) error
	}{
		"while it takes leases": {
			"INSERT INTO backstitch.leases (partition, owner, term) VALUES (3, 'frozen', 1)",
			func(ctx context.Context, a *ledger.Applier) error {
				_, err := a.TakeLeases(ctx, "other", "", []int32{3})
				return err
			},
		},
		"while it asks the brake": {
			ledger.LockBrake,
			func(ctx context.Context, a *ledger.Applier) error {
				_, err := a.Brake(ctx, consumers.Key{Kind: consumers.Member, Organization: "o", Entity: "m"}, 1, 10)
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			frozen := open(t)
			if _, err := frozen.Exec(t.Context(), `INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision) VALUES ('member', 'o', 'm', 3, 'live', 1)`); err != nil {
				t.Fatal(err)
			}
			others, err := ledger.Open(t.Context(), frozen.Config().ConnString(), "others")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(others.Close)
			tx, err := frozen.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func(tx pgx.Tx) { _ = tx.Rollback(context.Background()) }(tx) // its session is gone
			if _, err := tx.Exec(t.Context(), step.frozen); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := step.other(ctx, ledger.NewApplier(others)); err != nil {
				t.Errorf("another instance waits for a frozen one: %v", err)
			}
		})
	}
}

// A server notices within seconds that an instance is out of reach, also where it
// waits for the rest of a message in a transaction that holds locks.
func TestServersNoticeLostInstances(t *testing.T) {
	t.Parallel()
	pool := open(t)
	for setting, most := range map[string]time.Duration{
		"tcp_keepalives_idle": 5 * time.Second, "tcp_keepalives_interval": 5 * time.Second, "tcp_user_timeout": 10 * time.Second,
	} {
		var seconds float64
		err := pool.QueryRow(t.Context(), "SELECT extract(epoch FROM (setting || unit)::interval) FROM pg_settings WHERE name = $1", setting).Scan(&seconds)
		if err != nil || seconds <= 0 || seconds > most.Seconds() {
			t.Errorf("%s is %v s, want at most %s: %v", setting, seconds, most, err)
		}
	}
}
