package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Wake-ups held in memory are bounded (invariant 9): a wake-up and its task are
// below 1 KB.
const (
	highWater  = 8000
	lowWater   = 2000
	pollAtOnce = 1000
)

// Group is the consumer group of a pipeline's apply connector.
func Group(name string) string { return name + "-apply" }

// group is the membership in the consumer group.
type group struct {
	*Apply
	client *kgo.Client
	end    context.CancelFunc // of everything that the client still does

	mu       sync.Mutex
	assigned map[schemas.Lane]map[int32]*offsets
	paused   bool
}

// checkTopics demands that both lanes have the recorded number of partitions:
// otherwise one number would not mean the same organizations in both (hazard A1).
func (a *Apply) checkTopics(ctx context.Context) error {
	client, err := kgo.NewClient(a.seeds...)
	if err != nil {
		return fmt.Errorf("apply: open Kafka: %w", err)
	}
	defer client.Close()
	for _, lane := range lanes {
		topic := schemas.ApplyTopic(a.cfg.Prefix, lane)
		n, err := partitions(ctx, kadm.NewClient(client), topic)
		if err != nil {
			return fmt.Errorf("apply: describe topic %s: %w", topic, err)
		}
		if n != a.cfg.Partitions {
			return stage.Hold("Set the partitions back, or use new topics and a new ledger",
				"topic %s has %d partitions and the ledger was built for %d: two instances could call for one entity", topic, n, a.cfg.Partitions)
		}
	}
	return nil
}

// topicWait is how long a topic may be unknown: one that was just created is, to
// the brokers that have not heard of it yet.
const topicWait = 10 * time.Second

func partitions(ctx context.Context, admin *kadm.Client, topic string) (int, error) {
	for end := time.Now().Add(topicWait); ; {
		details, err := admin.ListTopics(ctx, topic)
		if err != nil {
			return 0, err
		}
		d := details[topic]
		if !errors.Is(d.Err, kerr.UnknownTopicOrPartition) || time.Now().After(end) || !sleep(ctx, 100*time.Millisecond) {
			return len(d.Partitions), d.Err
		}
	}
}

// join enters the group. The range balancer gives a partition number of both
// topics to one member (hazard A1).
func (a *Apply) join() (*group, error) {
	g := &group{Apply: a, assigned: map[schemas.Lane]map[int32]*offsets{}}
	var topics []string
	for _, lane := range lanes {
		topics = append(topics, schemas.ApplyTopic(a.cfg.Prefix, lane))
		g.assigned[lane] = map[int32]*offsets{}
	}
	life, end := context.WithCancel(context.Background())
	g.end = end
	opts := append(slices.Clone(a.seeds), kgo.WithContext(life),
		kgo.ConsumerGroup(Group(a.cfg.Name)), kgo.ConsumeTopics(topics...), kgo.Balancers(kgo.RangeBalancer()),
		// the least that brokers take by default (group.min.session.timeout.ms): it is how long a killed instance's partitions stand still;
		// who is thrown out for being slow meets its successor's leases
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(1500*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second),
		kgo.OnPartitionsAssigned(g.onAssigned), kgo.OnPartitionsRevoked(g.onRevoked), kgo.OnPartitionsLost(g.onLost),
		kgo.FetchMaxBytes(8<<20), kgo.FetchMaxWait(250*time.Millisecond))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		end()
		return nil, fmt.Errorf("apply: join the consumer group: %w", err)
	}
	g.client = client
	return g, nil
}

// leaveTime bounds how long an instance takes leave of Kafka.
const leaveTime = 10 * time.Second

// leave commits what has ended and leaves the group.
// What could not be committed costs a second reading, no call (invariant 5).
func (g *group) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	defer g.end()
	// A commit waits for the one before it and closing for an answer, whatever ctx says:
	// only the end of the client's own context bounds them.
	defer context.AfterFunc(ctx, g.end)()
	if err := g.client.CommitMarkedOffsets(ctx); err != nil {
		g.log.Warn("the last offsets were not committed: these wake-ups are read again", "error", err)
	}
	g.client.CloseAllowingRebalance()
}

// poll turns records into wanted turns.
func (g *group) poll(ctx context.Context) error {
	for {
		fetches := g.fetch(ctx)
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.DeadlineExceeded) {
				continue // nothing came
			}
			if !transient(e.Err) {
				return fmt.Errorf("apply: read topic %s: %w", e.Topic, e.Err)
			}
			g.log.Warn("reading wake-ups failed; it is tried again", "topic", e.Topic, "error", e.Err)
		}
		var err error
		fetches.EachRecord(func(r *kgo.Record) { err = errors.Join(err, g.accept(r)) })
		if err != nil {
			return err
		}
		if !g.flow(ctx) {
			return nil
		}
	}
}

// fetch waits for records; while backfill is paused not for long, because nothing
// else may ever come, and the pause must end when the queue has drained.
func (g *group) fetch(ctx context.Context) kgo.Fetches {
	if g.paused {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
	}
	return g.client.PollRecords(ctx, pollAtOnce)
}

// transient errors come with a broker's restart and end by themselves.
func transient(err error) bool {
	var data *kgo.ErrDataLoss
	return !errors.As(err, &data) && !errors.Is(err, kgo.ErrClientClosed)
}

func (g *group) accept(r *kgo.Record) error {
	lane := schemas.LaneBackfill
	if r.Topic == schemas.ApplyTopic(g.cfg.Prefix, schemas.LaneLive) {
		lane = schemas.LaneLive
	}
	g.mu.Lock()
	o := g.assigned[lane][r.Partition]
	g.mu.Unlock()
	if o == nil {
		return nil // revoked since it was fetched
	}
	o.begin(r.Offset, r.LeaderEpoch)
	k := ack{o, r.Offset}
	if r.Value == nil || r.Attrs.IsControl() {
		k.done()
		return nil
	}
	_, body, err := avro.SchemaID(r.Value)
	if err != nil {
		return fmt.Errorf("apply: topic %s partition %d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	w, err := avro.DecodeWake(body)
	if err != nil {
		return fmt.Errorf("apply: topic %s partition %d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	key := consumers.Key{Kind: consumers.Kind(w.Kind), Organization: w.Organization, Entity: w.Entity}
	if want := schemas.Partition([]byte(w.Organization), g.cfg.Partitions); want != r.Partition {
		return stage.Hold("Let only transform write the apply topics, with the recorded number of partitions",
			"topic %s: the wake-up of %s lies in partition %d and belongs into %d, so that its lease would not protect it",
			r.Topic, redact.Key(w.Organization, w.Entity), r.Partition, want)
	}
	g.sched.add(key, r.Partition, lane, &k)
	return nil
}

// flow stops fetching a lane's records while too many wait, so that live ones are
// still read behind a full backfill.
func (g *group) flow(ctx context.Context) bool {
	waiting, _ := g.sched.waiting()
	topic := schemas.ApplyTopic(g.cfg.Prefix, schemas.LaneBackfill)
	switch {
	case waiting > highWater && !g.paused:
		g.client.PauseFetchTopics(topic)
		g.paused = true
	case waiting < lowWater && g.paused:
		g.client.ResumeFetchTopics(topic)
		g.paused = false
	}
	for waiting > 2*highWater { // live ones alone: wait
		if !sleep(ctx, 20*time.Millisecond) {
			return false
		}
		waiting, _ = g.sched.waiting()
	}
	return true
}

// onAssigned takes the leases before the first record is delivered (hazard A1).
func (g *group) onAssigned(ctx context.Context, client *kgo.Client, topics map[string][]int32) {
	var numbers []int32
	g.mu.Lock()
	for _, lane := range lanes {
		for _, p := range topics[schemas.ApplyTopic(g.cfg.Prefix, lane)] {
			g.assigned[lane][p] = newOffsets(schemas.ApplyTopic(g.cfg.Prefix, lane), p, func(topic string, partition int32, next int64, epoch int32) {
				client.MarkCommitOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: epoch, Offset: next}}})
			})
			if !slices.Contains(numbers, p) {
				numbers = append(numbers, p)
			}
		}
	}
	g.mu.Unlock()
	if len(numbers) == 0 {
		return
	}
	leases, err := g.ledger.TakeLeases(ctx, g.cfg.Owner, g.cfg.Digest, numbers)
	if err != nil {
		g.fail(err)
		return
	}
	terms := map[int32]int64{}
	for _, l := range leases {
		terms[l.Partition] = l.Term
	}
	g.sched.own(terms)
	g.nudge()
	g.log.Info("apply partitions assigned", "partitions", len(numbers))
}

// onRevoked ends the turns that run, commits, and gives the partitions up.
func (g *group) onRevoked(ctx context.Context, client *kgo.Client, topics map[string][]int32) {
	numbers := g.drop(topics)
	wait, cancel := context.WithTimeout(ctx, g.settling())
	defer cancel()
	g.sched.settled(wait, numbers)
	if err := client.CommitMarkedOffsets(wait); err != nil {
		g.log.Warn("committing offsets of revoked partitions failed; their wake-ups come again", "error", err)
	}
}

// onLost gives the partitions up: somebody else has them already.
func (g *group) onLost(_ context.Context, _ *kgo.Client, topics map[string][]int32) { g.drop(topics) }

func (g *group) drop(topics map[string][]int32) []int32 {
	var numbers []int32
	for _, partitions := range topics {
		for _, p := range partitions {
			if !slices.Contains(numbers, p) {
				numbers = append(numbers, p)
			}
		}
	}
	g.sched.disown(numbers)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, lane := range lanes {
		for _, p := range numbers {
			delete(g.assigned[lane], p)
		}
	}
	return numbers
}
