package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// Target is the state that a person wants of a connector, in Kafka Connect's words.
type Target string

// The targets. A stopped connector has no tasks, and its offsets may be changed.
const (
	TargetRunning Target = "RUNNING"
	TargetPaused  Target = "PAUSED"
	TargetStopped Target = "STOPPED"
)

// ConnectorTarget is what a person wants of a connector. It is the cluster's, and
// outlives every instance.
type ConnectorTarget struct {
	Connector string `json:"connector"`
	State     Target `json:"state"`
	// Restarts counts the restarts that were asked for.
	Restarts int64 `json:"restarts"`
	// FailedOnly: the last of them concerns failed tasks only.
	FailedOnly bool `json:"failed_only,omitempty"`
	// Reason is who or what set the state.
	Reason    string    `json:"reason,omitempty"`
	ChangedAt time.Time `json:"changed_at"`
}

// Targets are the targets that were ever set, by connector. A connector that is not
// among them is to run.
func Targets(ctx context.Context, q Querier) (map[string]ConnectorTarget, error) {
	rows, err := q.Query(ctx, "SELECT connector, state, restarts, failed_only, reason, changed_at FROM backstitch.targets")
	if err != nil {
		return nil, fmt.Errorf("read the connectors' targets: %w", redact.SQLError(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ConnectorTarget])
	if err != nil {
		return nil, fmt.Errorf("read the connectors' targets: %w", redact.SQLError(err))
	}
	targets := make(map[string]ConnectorTarget, len(list))
	for _, t := range list {
		targets[t.Connector] = t
	}
	return targets, nil
}

// SetTarget sets what is wanted of a connector. The instances follow within a
// second; reason stands in the status until the next change.
func SetTarget(ctx context.Context, q Querier, connector string, state Target, reason string) error {
	_, err := q.Exec(ctx, `INSERT INTO backstitch.targets AS t (connector, state, reason) VALUES ($1, $2, $3)
		ON CONFLICT (connector) DO UPDATE SET state = excluded.state, reason = excluded.reason,
			changed_at = CASE WHEN t.state = excluded.state THEN t.changed_at ELSE now() END`, connector, state, reason)
	if err != nil {
		return fmt.Errorf("set the target of %s: %w", connector, redact.SQLError(err))
	}
	return nil
}

// RequestRestart lets every instance that runs the connector start it anew, or only
// those where it has failed. A connector that is paused or stopped stays so.
func RequestRestart(ctx context.Context, q Querier, connector string, failedOnly bool) error {
	_, err := q.Exec(ctx, `INSERT INTO backstitch.targets AS t (connector, restarts, failed_only) VALUES ($1, 1, $2)
		ON CONFLICT (connector) DO UPDATE SET restarts = t.restarts + 1, failed_only = excluded.failed_only`, connector, failedOnly)
	if err != nil {
		return fmt.Errorf("restart %s: %w", connector, redact.SQLError(err))
	}
	return nil
}

// Orders are what an instance must know to do what is wanted: the accepted digest
// of mapping and policies, and the targets.
func Orders(ctx context.Context, q Querier) (digest string, targets map[string]ConnectorTarget, err error) {
	err = q.QueryRow(ctx, "SELECT coalesce((SELECT digest FROM backstitch.identity ORDER BY created_at LIMIT 1), '')").Scan(&digest)
	if err != nil {
		return "", nil, fmt.Errorf("read the accepted digest: %w", redact.SQLError(err))
	}
	targets, err = Targets(ctx, q)
	return digest, targets, err
}
