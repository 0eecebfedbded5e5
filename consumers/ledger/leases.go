package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Applier is the apply connector's hand on the ledger: leases, turns, marks,
// claims, outcomes, the budget and the brake. Every write of a turn checks the
// lease of its partition, and locks it, so that a former owner's write and a
// take-over never interleave (invariant 10).
type Applier struct{ pool *pgxpool.Pool }

// NewApplier works on an open ledger.
func NewApplier(pool *pgxpool.Pool) *Applier { return &Applier{pool: pool} }

// Lease is the ownership of an apply partition number, of both lanes.
type Lease struct {
	Partition int32
	Term      int64
}

// TakeLeases takes partitions for owner and returns their new terms. There is no
// expiry: taking a lease bumps its term, and from then on the former owner writes
// nothing (hazard A1). What the former owner had in flight stays marked. A digest
// that is not "" is compared with the accepted one in the same transaction: another
// is a *DigestError, and nothing is taken (hazard C23).
func (a *Applier) TakeLeases(ctx context.Context, owner, digest string, partitions []int32) (leases []Lease, err error) {
	err = pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		leases, err = takeLeases(ctx, tx, owner, digest, partitions)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take apply leases: %w", asDigest(err))
	}
	return leases, nil
}

// leaseLock is the common table expression that every write of a turn joins: the
// leases of partitions $N as they are now, locked against a take-over until the
// write has committed.
func leaseLock(param string) string {
	return `lease AS MATERIALIZED (SELECT partition, term FROM backstitch.leases WHERE partition = ANY(` + param + `) FOR SHARE)`
}

// write runs a batch as one transaction in one round trip, and again when it met
// a concurrent writer: two batches may want rows in different orders.
func (a *Applier) write(ctx context.Context, what string, build func() (*pgx.Batch, func(pgx.BatchResults) error)) error {
	var err error
	for attempt := range 8 {
		batch, read := build()
		results := a.pool.SendBatch(ctx, batch)
		err = read(results)
		if cerr := results.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			return nil
		}
		switch redact.SQLState(err) {
		case "40P01", "40001", "23505": // deadlock, serialisation failure, a claim made by another instance meanwhile
		default:
			return fmt.Errorf("%s: %w", what, redact.SQLError(err))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case <-time.After(time.Duration(1<<attempt) * time.Millisecond):
		}
	}
	return fmt.Errorf("%s: %w", what, redact.SQLError(err))
}
