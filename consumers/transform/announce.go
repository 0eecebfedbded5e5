package transform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/backstitch/backstitch/schemas/registry"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// announcerConfig is what an announcer needs.
type announcerConfig struct {
	Pool   *pgxpool.Pool
	Prefix string
	// Term of the owner, checked in every transaction (invariant 10).
	Term int64
	// Kafka are the client options: brokers, TLS, SASL.
	Kafka []kgo.Opt
	// Registry registers the wake-ups' schema.
	Registry *registry.Registry
	// Every is how often the ledger is asked for what is not announced, beside the
	// wakes of notify. Default 1 s.
	Every   time.Duration
	Log     *slog.Logger
	Metrics *evaluationMetrics
}

// announcer publishes wake-ups for committed revisions. It publishes first and
// sets announced after: a wake-up may come twice, never not at all (hazard A22).
type announcer struct {
	announcerConfig
	client *kgo.Client
	notice chan struct{}
}

// announceRows is how many wake-ups are published and marked together: about 2 MB.
const announceRows = 10_000

// newAnnouncer makes the announcer and its Kafka client: idempotent, without
// transactions, so that any client reads the apply topics; partitions are the
// ledger's (hazard S22).
func newAnnouncer(c announcerConfig) (*announcer, error) {
	if c.Every <= 0 {
		c.Every = time.Second
	}
	opts := append([]kgo.Opt{}, c.Kafka...)
	client, err := kgo.NewClient(append(opts,
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.MaxBufferedRecords(2*announceRows))...)
	if err != nil {
		return nil, fmt.Errorf("open the announcer's Kafka client: %w", err)
	}
	return &announcer{announcerConfig: c, client: client, notice: make(chan struct{}, 1)}, nil
}

// notify says that revisions were committed. It does not block.
func (a *announcer) notify() {
	select {
	case a.notice <- struct{}{}:
	default:
	}
}

// run announces until it drains: at the start, when notified, and every Every.
func (a *announcer) run(ctx context.Context, stopping <-chan struct{}) error {
	defer a.client.Close()
	ticker := time.NewTicker(a.Every)
	defer ticker.Stop()
	for {
		err := a.announceAll(ctx, stopping)
		if unreachable := (*registry.UnreachableError)(nil); errors.As(err, &unreachable) {
			a.Log.WarnContext(ctx, "wake-ups wait for the schema registry", "error", err)
		} else if err != nil {
			return fmt.Errorf("announce: %w", err)
		}
		select {
		case <-stopping:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-a.notice:
		}
	}
}

// announceAll publishes until nothing is left: live before backfill, in each lane
// organizations before members, each oldest first. Between two batches of the
// backfill lane it looks for live ones again.
func (a *announcer) announceAll(ctx context.Context, stopping <-chan struct{}) error {
	type queue struct {
		lane schemas.Lane
		kind consumers.Kind
	}
	queues := []queue{
		{schemas.LaneLive, consumers.Organization},
		{schemas.LaneLive, consumers.Member},
		{schemas.LaneBackfill, consumers.Organization},
		{schemas.LaneBackfill, consumers.Member},
	}
	after := map[queue]position{}
	for i := 0; i < len(queues); {
		select {
		case <-stopping:
			return nil
		default:
		}
		q := queues[i]
		wakes, last, err := a.batch(ctx, q.lane, q.kind, after[q])
		if err != nil {
			return err
		}
		after[q] = last
		switch {
		case len(wakes) < announceRows:
			i++
		case q.lane == schemas.LaneBackfill:
			i = 0
			delete(after, queues[0])
			delete(after, queues[1])
		}
	}
	return nil
}

// position is where in the announcer's order the last batch ended.
type position struct {
	lsn      int64
	org, key string
}

// wake is a wake-up with its partition.
type wake struct {
	schemas.Wake
	partition int32
}

// batch publishes the next wake-ups of a lane and kind and marks them.
func (a *announcer) batch(ctx context.Context, lane schemas.Lane, kind consumers.Kind, after position) ([]wake, position, error) {
	rows, err := a.Pool.Query(ctx, `SELECT kind, org_key, key, partition, revision, wake_reason, epoch, commit_lsn, end_lsn, coalesce(committed_at, 'epoch')
		FROM backstitch.entities WHERE announced < revision AND lane = $1 AND kind = $2 AND (commit_lsn, org_key, key) > ($3, $4, $5)
		ORDER BY commit_lsn, org_key, key LIMIT $6`, lane, kind, after.lsn, after.org, after.key, announceRows)
	if err != nil {
		return nil, after, redact.SQLError(err)
	}
	wakes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w wake, err error) {
		var commit, end int64
		err = row.Scan(&w.Kind, &w.Organization, &w.Entity, &w.partition, &w.Revision, &w.Reason, &w.Epoch, &commit, &end, &w.CommitTime)
		w.CommitLSN, w.EndLSN = schemas.LSN(commit), schemas.LSN(end)
		return w, err
	})
	if err != nil || len(wakes) == 0 {
		return nil, after, redact.SQLError(err)
	}
	if err := a.publish(ctx, lane, wakes); err != nil {
		return nil, after, err
	}
	if err := a.mark(ctx, kind, wakes); err != nil {
		return nil, after, err
	}
	a.Metrics.announced.WithLabelValues(string(lane)).Add(float64(len(wakes)))
	last := wakes[len(wakes)-1]
	return wakes, position{int64(last.CommitLSN), last.Organization, last.Entity}, nil
}

func (a *announcer) publish(ctx context.Context, lane schemas.Lane, wakes []wake) error {
	topic := schemas.ApplyTopic(a.Prefix, lane)
	id, err := a.Registry.Register(ctx, registry.ValueSubject(topic), avro.WakeSchema())
	if err != nil {
		return fmt.Errorf("register the schema of %s: %w", topic, err)
	}
	records := make([]*kgo.Record, len(wakes))
	for i, w := range wakes {
		records[i] = &kgo.Record{Topic: topic, Partition: w.partition, Key: []byte(w.Key()), Value: avro.AppendWake(nil, id, w.Wake)}
	}
	if err := a.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("publish %d wake-ups to %s: %w", len(wakes), topic, err)
	}
	return nil
}

// mark sets announced. What another transaction holds just now is skipped, and what
// a crash of the ledger takes back is forgotten: both will be announced again, so
// nobody waits for the disk here.
func (a *announcer) mark(ctx context.Context, kind consumers.Kind, wakes []wake) error {
	orgs, keys, revisions := make([]string, len(wakes)), make([]string, len(wakes)), make([]int64, len(wakes))
	for i, w := range wakes {
		orgs[i], keys[i], revisions[i] = w.Organization, w.Entity, w.Revision
	}
	err := pgx.BeginFunc(ctx, a.Pool, func(tx pgx.Tx) error {
		if err := fence(ctx, tx, a.Term); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = off"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE backstitch.entities e SET announced = s.revision
			FROM (SELECT e.kind, e.org_key, e.key, w.revision FROM unnest($2::text[], $3::text[], $4::bigint[]) w (org_key, key, revision)
			      JOIN backstitch.entities e ON e.kind = $1 AND e.org_key = w.org_key AND e.key = w.key
			      WHERE e.announced < w.revision FOR UPDATE OF e SKIP LOCKED) s
			WHERE e.kind = s.kind AND e.org_key = s.org_key AND e.key = s.key`, kind, orgs, keys, revisions)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark %d entities announced: %w", len(wakes), redact.SQLError(err))
	}
	return nil
}

// EnsureApplyTopics creates the apply topics where they are missing, compacted,
// with the recorded number of partitions, and refuses topics with another number:
// a member of the consumer group owns a partition number in both lanes (hazard A1).
func EnsureApplyTopics(ctx context.Context, client *kgo.Client, prefix string, partitions int, replication int) error {
	admin := kadm.NewClient(client)
	topics := []string{schemas.ApplyTopic(prefix, schemas.LaneLive), schemas.ApplyTopic(prefix, schemas.LaneBackfill)}
	policy := "compact"
	answers, err := admin.CreateTopics(ctx, int32(partitions), int16(replication), map[string]*string{"cleanup.policy": &policy}, topics...)
	if err != nil {
		return fmt.Errorf("create the apply topics: %w", err)
	}
	for _, answer := range answers {
		if answer.Err != nil && !errors.Is(answer.Err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", answer.Topic, answer.Err)
		}
	}
	details, err := awaitTopics(ctx, admin, topics)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		d := details[topic]
		if d.Err != nil {
			return fmt.Errorf("describe topic %s: %w", topic, d.Err)
		}
		if len(d.Partitions) != partitions {
			return fmt.Errorf("topic %s has %d partitions, the ledger records %d: entities would be woken where nobody looks for them; create it again with %d partitions",
				topic, len(d.Partitions), partitions, partitions)
		}
	}
	return nil
}

// topicsKnown is how long a broker may take to hear of topics that were just made.
const topicsKnown = 10 * time.Second

// awaitTopics describes topics that exist, as soon as the broker that is asked knows them.
func awaitTopics(ctx context.Context, admin *kadm.Client, topics []string) (kadm.TopicDetails, error) {
	deadline := time.Now().Add(topicsKnown)
	for {
		details, err := admin.ListTopics(ctx, topics...)
		if err != nil {
			return nil, fmt.Errorf("describe the apply topics: %w", err)
		}
		if !errors.Is(details.Error(), kerr.UnknownTopicOrPartition) || time.Now().After(deadline) {
			return details, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(look / 2):
		}
	}
}
