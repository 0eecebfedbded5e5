package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// AliveFor is how long an instance counts as alive after its last report, by the
// ledger's clock. It reports every second.
const AliveFor = 3 * time.Second

// forgetAfter is when an instance that reports no more is no longer shown.
const forgetAfter = time.Hour

// Instance is a process that runs, or stands by for, the connectors.
type Instance struct {
	// ID is hostname:port of its admin address, as Kafka Connect's worker_id.
	ID string `json:"id"`
	// URL is where others reach its admin address.
	URL     string `json:"url"`
	Version string `json:"version"`
	// Digest of its mapping and policies (hazard C23).
	Digest string `json:"digest"`
	// State says what the instance as a whole does: RUNNING, STANDBY_DIGEST, STOPPING.
	State     string    `json:"state"`
	StartedAt time.Time `json:"started_at"`
	SeenAt    time.Time `json:"seen_at"`
	// Alive: it has reported within AliveFor.
	Alive bool `json:"alive"`
}

// Task is what one instance says of one task of a connector.
type Task struct {
	Connector string `json:"connector"`
	// ID is 0 for source and transform, the partition number for apply.
	ID       int    `json:"id"`
	Instance string `json:"worker_id"`
	// State: RUNNING, RESTARTING, FAILED, or UNASSIGNED for a stand-by.
	State string `json:"state"`
	// Trace says why it failed, and the fix where a person must act.
	Trace string    `json:"trace,omitempty"`
	Held  bool      `json:"held,omitempty"`
	Since time.Time `json:"since"`
	// SeenAt is the last report of the instance.
	SeenAt time.Time `json:"seen_at"`
}

// Cluster is what the ledger knows of the instances and their tasks.
type Cluster struct {
	// Now is the ledger's clock, which all times here are of.
	Now time.Time `json:"now"`
	// Digest is the accepted one.
	Digest    string                     `json:"digest"`
	Instances []Instance                 `json:"instances"`
	Targets   map[string]ConnectorTarget `json:"targets"`
	// Tasks of live instances, one per connector and id: who runs it, else who failed
	// last, else a stand-by. A task that nobody alive reports is not among them.
	Tasks []Task `json:"tasks"`
}

// Report records that an instance lives and what its tasks do; what it reported
// before and does no more is removed.
func Report(ctx context.Context, q Querier, i Instance, tasks []Task) error {
	n := len(tasks)
	connectors, ids, states := make([]string, n), make([]int32, n), make([]string, n)
	traces, held := make([]string, n), make([]bool, n)
	for k, t := range tasks {
		connectors[k], ids[k], states[k], traces[k], held[k] = t.Connector, int32(t.ID), t.State, t.Trace, t.Held
	}
	_, err := q.Exec(ctx, `WITH me AS (
			INSERT INTO backstitch.instances (id, url, version, digest, state, started_at, seen_at)
			VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp())
			ON CONFLICT (id) DO UPDATE SET url = excluded.url, version = excluded.version, digest = excluded.digest,
				state = excluded.state, started_at = excluded.started_at, seen_at = excluded.seen_at
			RETURNING id),
		now_reported AS (
			SELECT * FROM unnest($7::text[], $8::int[], $9::text[], $10::text[], $11::bool[]) AS r (connector, id, state, trace, held)),
		gone AS (
			DELETE FROM backstitch.tasks t WHERE t.instance = $1
				AND NOT EXISTS (SELECT FROM now_reported r WHERE r.connector = t.connector AND r.id = t.id))
		INSERT INTO backstitch.tasks AS t (connector, id, instance, state, trace, held, since)
		SELECT r.connector, r.id, me.id, r.state, r.trace, r.held, clock_timestamp() FROM now_reported r, me
		ON CONFLICT (connector, id, instance) DO UPDATE SET state = excluded.state, trace = excluded.trace, held = excluded.held, since = excluded.since
		WHERE t.state <> excluded.state OR t.trace <> excluded.trace OR t.held <> excluded.held`,
		i.ID, i.URL, i.Version, i.Digest, i.State, i.StartedAt, connectors, ids, states, traces, held)
	if err != nil {
		return fmt.Errorf("report this instance: %w", redact.SQLError(err))
	}
	return nil
}

// Leave takes an instance out of the cluster: it has stopped.
func Leave(ctx context.Context, q Querier, id string) error {
	if _, err := q.Exec(ctx, "DELETE FROM backstitch.instances WHERE id = $1", id); err != nil {
		return fmt.Errorf("leave the cluster: %w", redact.SQLError(err))
	}
	return nil
}

// ReadCluster reads the state of every instance, connector and task.
func ReadCluster(ctx context.Context, q Querier) (Cluster, error) {
	var c Cluster
	err := q.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&c.Now)
	if err != nil {
		return Cluster{}, fmt.Errorf("read the cluster: %w", redact.SQLError(err))
	}
	if c.Digest, c.Targets, err = Orders(ctx, q); err != nil {
		return Cluster{}, err
	}
	if c.Instances, err = readInstances(ctx, q); err != nil {
		return Cluster{}, fmt.Errorf("read the instances: %w", redact.SQLError(err))
	}
	if c.Tasks, err = readTasks(ctx, q); err != nil {
		return Cluster{}, fmt.Errorf("read the tasks: %w", redact.SQLError(err))
	}
	return c, nil
}

func readInstances(ctx context.Context, q Querier) ([]Instance, error) {
	rows, err := q.Query(ctx, `SELECT id, url, version, digest, state, started_at, seen_at, seen_at > clock_timestamp() - $1::interval
		FROM backstitch.instances WHERE seen_at > clock_timestamp() - $2::interval ORDER BY id`, AliveFor, forgetAfter)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Instance])
}

func readTasks(ctx context.Context, q Querier) ([]Task, error) {
	rows, err := q.Query(ctx, `SELECT DISTINCT ON (t.connector, t.id)
			t.connector, t.id, t.instance, t.state, t.trace, t.held, t.since, i.seen_at
		FROM backstitch.tasks t JOIN backstitch.instances i ON i.id = t.instance
		WHERE i.seen_at > clock_timestamp() - $1::interval
		ORDER BY t.connector, t.id, array_position(ARRAY['RUNNING', 'RESTARTING', 'FAILED'], t.state) NULLS LAST, t.since DESC`, AliveFor)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Task])
}

// AcceptedAlive reports whether a live instance with the accepted digest is there:
// who has another digest stands by for it (hazard C23).
func AcceptedAlive(ctx context.Context, q Querier) (bool, error) {
	var alive bool
	err := q.QueryRow(ctx, `SELECT true FROM backstitch.instances i, backstitch.identity d
		WHERE i.digest = d.digest AND i.seen_at > clock_timestamp() - $1::interval LIMIT 1`, AliveFor).Scan(&alive)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("look for an owner: %w", redact.SQLError(err))
	}
	return alive, nil
}
