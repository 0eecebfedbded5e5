package transform

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// Position is a place in the source's history at which the mapping may be
// evaluated: the end of a source transaction (invariant 11).
type Position struct {
	Epoch      uint32
	CommitLSN  schemas.LSN
	EndLSN     schemas.LSN
	CommitTime time.Time
}

// toucher finds the entities that changed rows touch. It is called inside the fill
// transaction, with the name of a temporary table that has exactly the mirror's
// columns: before anything of the batch is in the mirror with the old images, and
// after everything is with the new ones (hazard C1).
type toucher interface {
	touch(ctx context.Context, tx pgx.Tx, table schemas.Table, changed string, at touchInfo) error
}
