package replication

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// HeartbeatPrefix marks the logical messages that Backstitch writes.
const HeartbeatPrefix = "backstitch"

// Heartbeat writes a transactional logical message and returns its LSN: a
// transaction like any other, so that an idle database's slot moves too, and so
// that what was committed before it has been seen when it has (hazards S29, A19).
func Heartbeat(ctx context.Context, conn *pgx.Conn) (schemas.LSN, error) {
	var text string
	err := conn.QueryRow(ctx, "SELECT pg_logical_emit_message(true, $1, 'heartbeat')::text", HeartbeatPrefix).Scan(&text)
	if err != nil {
		return 0, fmt.Errorf("write a heartbeat: %w", redact.SQLError(err))
	}
	return schemas.ParseLSN(text)
}
