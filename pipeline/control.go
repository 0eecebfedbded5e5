package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers/capture"
)

const masked = admin.Masked

// supervisorLost is how long the supervisor may take for a step until the process
// counts as stuck.
const supervisorLost = 30 * time.Second

// control is what the REST interface sees of the cluster. It works from the ledger
// and Kafka alone, in whatever instance it is asked.
type control struct{ *Pipeline }

// Names of the connectors, in the order of the data's way.
func (c control) Names() []string {
	names := make([]string, len(c.connectors))
	for i, connector := range c.connectors {
		names[i] = connector.name
	}
	return names
}

// TaskIDs is the number of a connector's tasks.
func (c control) TaskIDs(name string) int {
	return c.connectors[slices.Index(c.Names(), name)].all
}

// Cluster is what the instances report.
func (c control) Cluster(ctx context.Context) (ledger.Cluster, error) {
	return ledger.ReadCluster(ctx, c.pool)
}

// SetTarget says what is wanted of a connector from now on.
func (c control) SetTarget(ctx context.Context, name string, target ledger.Target) error {
	return ledger.SetTarget(ctx, c.pool, name, target, "set through REST")
}

// Restart starts a connector anew where it runs, or only where it has failed.
func (c control) Restart(ctx context.Context, name string, failedOnly bool) error {
	return ledger.RequestRestart(ctx, c.pool, name, failedOnly)
}

// ClusterID is the Kafka cluster's.
func (c control) ClusterID(ctx context.Context) (string, error) { return c.clients.clusterID(ctx) }

// Config is a connector's part of the file, flat and as text, as Kafka Connect
// answers it. Only what is listed here is shown, so that no secret is by mistake
// (invariant 8).
func (c control) Config(name string) map[string]string { return configOf(c.cfg, name) }

func configOf(cfg *config.Config, name string) map[string]string {
	topics := cfg.Kafka.Topics
	m := map[string]string{
		"name": name, "connector.class": "backstitch." + strings.TrimPrefix(name, cfg.Name+"-"), "tasks.max": "1",
		"kafka.brokers": strings.Join(cfg.Kafka.Brokers, ","), "kafka.topics.prefix": topics.Prefix,
		"kafka.topics.partitions": strconv.Itoa(topics.Partitions), "ledger": masked,
	}
	switch name {
	case cfg.Name + "-source":
		var tables []string
		for _, t := range cfg.Source.Tables {
			tables = append(tables, t.SQL())
		}
		m["source.postgres"], m["source.tables"] = masked, strings.Join(tables, ",")
		m["source.slot"], m["source.publication"], m["source.heartbeat"] = cfg.Source.Slot, cfg.Source.Publication, cfg.Source.Heartbeat.String()
	case cfg.Name + "-transform":
		m["organizations.select"], m["members.select"] = cfg.Organizations.Select, cfg.Members.Select
		m["sweep"], m["audit"] = cfg.Sweep.String(), cfg.Audit.String()
	default:
		m["tasks.max"] = strconv.Itoa(topics.Partitions)
		m["stytch.project_id"], m["stytch.secret"] = cfg.Stytch.ProjectID, masked
		m["stytch.rate_limit"] = strconv.FormatFloat(float64(cfg.Stytch.RateLimit), 'f', -1, 64) + "/s"
		m["deletes.members"], m["deletes.organizations"] = string(cfg.Deletes.Members), string(cfg.Deletes.Organizations)
		m["deletes.max_per_hour"] = strconv.Itoa(cfg.Deletes.MaxPerHour)
	}
	return m
}

// Offsets are how far a connector is: the source in the log, the transform in the
// source topics by the ledger, apply in the apply topics by its consumer group.
func (c control) Offsets(ctx context.Context, name string) ([]admin.Offset, error) {
	switch slices.Index(c.Names(), name) {
	case 0:
		return c.sourceOffsets(ctx)
	case 1:
		return c.transformOffsets(ctx)
	default:
		return c.applyOffsets(ctx, name)
	}
}

func (c control) sourceOffsets(ctx context.Context) ([]admin.Offset, error) {
	checkpoint, err := capture.LastCheckpoint(ctx, c.clients.Kafka, c.cfg.Kafka.Topics.Prefix)
	if err != nil || checkpoint == nil {
		return []admin.Offset{}, err
	}
	return []admin.Offset{{
		Partition: map[string]any{"slot": c.cfg.Source.Slot},
		Offset: map[string]any{
			"epoch": checkpoint.Source.Epoch, "commit_lsn": checkpoint.Position.Version.Commit.String(), "end_lsn": checkpoint.Position.EndLSN.String(),
		},
	}}, nil
}

func (c control) transformOffsets(ctx context.Context) ([]admin.Offset, error) {
	rows, err := c.pool.Query(ctx, "SELECT topic, partition, next_offset FROM backstitch.offsets WHERE prefix = $1 ORDER BY 1, 2", c.cfg.Kafka.Topics.Prefix)
	if err != nil {
		return nil, fmt.Errorf("read the transform's offsets: %w", redact.SQLError(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o admin.Offset, err error) {
		var topic string
		var partition int32
		var next int64
		err = row.Scan(&topic, &partition, &next)
		return sinkOffset(topic, partition, next), err
	})
	if err != nil {
		return nil, fmt.Errorf("read the transform's offsets: %w", redact.SQLError(err))
	}
	return list, nil
}

func (c control) applyOffsets(ctx context.Context, group string) ([]admin.Offset, error) {
	committed, err := groupOffsets(ctx, c.clients.Kafka, group)
	if err != nil {
		return nil, err
	}
	list := []admin.Offset{}
	for _, topic := range slices.Sorted(maps.Keys(committed)) {
		for _, partition := range slices.Sorted(maps.Keys(committed[topic])) {
			list = append(list, sinkOffset(topic, partition, committed[topic][partition]))
		}
	}
	return list, nil
}

func sinkOffset(topic string, partition int32, next int64) admin.Offset {
	return admin.Offset{
		Partition: map[string]any{"kafka_topic": topic, "kafka_partition": partition},
		Offset:    map[string]any{"kafka_offset": next},
	}
}

// AlterOffsets sets the apply connector's next offsets, or has the entities of the
// transform's records evaluated again from there. An LSN of the source is not moved:
// what lies between would be lost.
func (c control) AlterOffsets(ctx context.Context, name string, offsets map[string]map[int32]int64) error {
	if err := c.Alterable(name); err != nil {
		return err
	}
	if name == c.connectors[1].name {
		return offsetsError(AlterTransformOffsets(ctx, c.cfg, c.clients, c.pool, offsets))
	}
	return offsetsError(AlterOffsets(ctx, c.cfg, c.clients, c.pool, offsets))
}

// ResetOffsets is AlterOffsets to the beginning of the connector's topics.
func (c control) ResetOffsets(ctx context.Context, name string) error {
	if err := c.Alterable(name); err != nil {
		return err
	}
	if name == c.connectors[1].name {
		return offsetsError(ResetTransformOffsets(ctx, c.cfg, c.clients, c.pool))
	}
	return offsetsError(ResetOffsets(ctx, c.cfg, c.clients, c.pool))
}

// Alterable says what to do instead where offsets are not changed like that.
func (c control) Alterable(name string) error {
	if name == c.connectors[0].name {
		return fmt.Errorf("%w: moving the position of the slot loses data; `backstitch backfill` reads tables again", admin.ErrNotAltered)
	}
	return nil
}

func offsetsError(err error) error {
	var bad *BadReplay
	var busy stillBusy
	switch {
	case errors.As(err, &busy):
		return fmt.Errorf("%w: %w", admin.ErrNotStopped, busy)
	case errors.Is(err, ErrNotStopped):
		return admin.ErrNotStopped
	case errors.As(err, &bad):
		return fmt.Errorf("%w: %w", admin.ErrBadOffsets, err)
	}
	return err
}

// ready says why this instance could not work now if it were the only one. One with
// another mapping could not: a rolling update that would replace every instance with
// such ones stops at the first, and the former ones go on (hazard C23).
func (p *Pipeline) ready() error {
	switch p.state() {
	case "":
		return errors.New("the ledger was not read yet")
	case instanceStandby:
		return errors.New("another mapping or policy is the accepted one: this instance stands by; start it with --accept-mapping to consent to its own")
	}
	return p.fatal()
}

// live says that the supervisor does not move any more.
func (p *Pipeline) live() error {
	if at := p.moved.Load(); at != 0 && time.Since(time.Unix(0, at)) > supervisorLost {
		return errors.New("the supervisor is stuck")
	}
	return nil
}
