package transform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/backstitch/backstitch/schemas"
	"github.com/twmb/franz-go/pkg/kgo"
)

// minPartBytes is what a partition may hold at least, however many there are.
const minPartBytes = 256 << 10

// pollRecords is how many records one poll hands over, and so how far a partition
// may go beyond its share.
const pollRecords = 2000

// reader reads the checkpoints and the data topics and hands out what was read: it
// decides nothing. One goroutine polls and decodes (run); the transform's loop
// takes.
type reader struct {
	client      *kgo.Client
	checkpoints string
	from        int64 // the first offset of the checkpoints that is read
	readBytes   int
	decoder     *decoder
	log         *slog.Logger
	wake        chan struct{} // something arrived, or run has ended

	mu struct {
		sync.Mutex
		feed   []feedItem
		newest schemas.Version // up to it the stream is known
		head   int64           // offset after the last delivered record of the checkpoints
		// settled: the loop is done with every checkpoint that it has taken from the feed.
		settled bool
		parts   map[topicPartition]*part
		tables  map[string]*tableFeed // by topic
		ids     map[string]string     // the id of each topic that is read, "" while it is not known
		err     error
	}
}

func newReader(opts []kgo.Opt, prefix string, from int64, readBytes int, schema schemaSource, log *slog.Logger) (*reader, error) {
	r := &reader{
		checkpoints: schemas.CheckpointsTopic(prefix), from: from, readBytes: readBytes,
		decoder: newDecoder(schema), log: log, wake: make(chan struct{}, 1),
	}
	r.mu.head = from
	r.mu.ids = map[string]string{}
	r.mu.parts = map[topicPartition]*part{}
	r.mu.tables = map[string]*tableFeed{}
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, opts...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // arrival counts them (hazard S28)
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(16<<20),
		kgo.FetchMaxPartitionBytes(1<<20),
		kgo.FetchMaxWait(250*time.Millisecond),
		kgo.MetadataMinAge(100*time.Millisecond), // a topic that was just made is known soon, not after 5 s
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.checkpoints: {0: startAt(from)}}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make the reader's Kafka client: %w", err)
	}
	r.client = client
	return r, nil
}

// startAt is the offset to read from; a topic of which nothing was read begins
// where it begins, compacted or not.
func startAt(next int64) kgo.Offset {
	if next == 0 {
		return kgo.NewOffset().AtStart()
	}
	return kgo.NewOffset().At(next)
}

// assign adds a table's topic, known by its id, each partition from its next offset on.
func (r *reader) assign(t *mirrorTable, id string, partitions int, next map[topicPartition]int64) {
	offsets := make(map[int32]kgo.Offset, partitions)
	feed := &tableFeed{table: t}
	r.mu.Lock()
	for p := range int32(partitions) {
		tp := topicPartition{t.topic, p}
		part := &part{topicPartition: tp, delivered: next[tp], filled: next[tp]}
		feed.parts = append(feed.parts, part)
		r.mu.parts[tp] = part
		offsets[p] = startAt(next[tp])
	}
	r.mu.tables[t.topic] = feed
	r.mu.ids[t.topic] = id
	r.mu.Unlock()
	r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{t.topic: offsets})
}

// run polls until ctx ends or something cannot be read.
func (r *reader) run(ctx context.Context) {
	err := r.poll(ctx)
	r.mu.Lock()
	r.mu.err = err
	r.mu.Unlock()
	r.signal()
}

func (r *reader) close() { r.client.Close() }

func (r *reader) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reader) poll(ctx context.Context) error {
	for {
		fetches := r.client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fetches.IsClientClosed() {
			return errors.New("the reader's Kafka client was closed")
		}
		for _, e := range fetches.Errors() {
			if err := r.fetchError(ctx, e); err != nil {
				return err
			}
		}
		var err error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if err == nil && len(p.Records) > 0 {
				err = r.accept(ctx, p)
			}
		})
		if err != nil {
			return err
		}
		r.signal()
	}
}

func (r *reader) accept(ctx context.Context, p kgo.FetchTopicPartition) error {
	end := p.Records[len(p.Records)-1].Offset + 1
	if p.Topic == r.checkpoints {
		return r.acceptCheckpoints(p.Records, end)
	}
	r.mu.Lock()
	feed := r.mu.tables[p.Topic]
	if feed == nil {
		r.mu.Unlock()
		return nil
	}
	part := feed.parts[p.Partition]
	filled := part.filled // what is filled later was delivered before
	r.mu.Unlock()
	events := make([]*event, 0, len(p.Records))
	bytes := 0
	for _, rec := range p.Records {
		if rec.Attrs.IsControl() || rec.Offset < filled {
			continue
		}
		e, err := r.decoder.decode(ctx, feed.table, rec)
		if err != nil {
			return fmt.Errorf("read topic %s partition %d offset %d: %w", p.Topic, p.Partition, rec.Offset, err)
		}
		events = append(events, e)
		bytes += e.size
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	part.queue = append(part.queue, events...)
	part.bytes += bytes
	part.delivered = end
	if !part.paused && part.bytes > r.share() { // invariant 9
		part.paused = true
		r.client.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
	}
	return nil
}

// share is what one partition may hold. The lock is held.
func (r *reader) share() int { return max(minPartBytes, r.readBytes/max(1, len(r.mu.parts))) }

func (r *reader) acceptCheckpoints(records []*kgo.Record, end int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range records {
		if rec.Attrs.IsControl() || rec.Value == nil {
			continue
		}
		item, err := readFeedItem(rec)
		if err != nil {
			return fmt.Errorf("read topic %s offset %d: %w", r.checkpoints, rec.Offset, err)
		}
		switch {
		case item.checkpoint != nil:
			p := item.checkpoint.Position.Version
			r.mu.newest = later(r.mu.newest, schemas.EndOf(p.Epoch, p.Commit))
			r.mu.feed = appendCheckpoint(r.mu.feed, item)
		case item.control != nil:
			r.mu.newest = later(r.mu.newest, item.control.Version)
			r.mu.feed = append(r.mu.feed, item)
		}
	}
	r.mu.head = end
	return nil
}

// take moves into b what may be filled next, up to the ends: it waits until b is
// full, or every partition has arrived (then arrived is true), or nothing came for
// a while and b has something.
func (r *reader) take(ctx context.Context, ends map[topicPartition]int64, rows, bytes int) (b *batch, arrived bool, err error) {
	b = &batch{events: map[*mirrorTable][]*event{}, next: map[topicPartition]int64{}}
	idle := time.NewTimer(takeIdle)
	defer idle.Stop()
	for {
		ready, arrived, err := r.gather(b, ends, rows, bytes)
		if err != nil || ready {
			return b, arrived, err
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-r.wake:
		case <-idle.C:
			if b.rows > 0 && !b.halfOpen() {
				return b, false, nil
			}
			idle.Reset(takeIdle)
		}
	}
}

// takeIdle is how long a batch that is not full waits for partitions that have not
// arrived: the fill's other core has work, too.
const takeIdle = 100 * time.Millisecond

func (b *batch) halfOpen() bool {
	for t := range b.events {
		if b.open(t) {
			return true
		}
	}
	return false
}

func (r *reader) gather(b *batch, ends map[topicPartition]int64, rows, bytes int) (ready, arrived bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.err != nil {
		return false, false, r.mu.err
	}
	defer r.resume()
	arrived = true
	full := false
	for _, feed := range r.mu.tables {
		switch feed.merge(b, ends, rows, bytes) {
		case mergeArrived:
		case mergePending:
			arrived = false
		case mergeFull:
			arrived, full = false, true
		case mergeEmptied:
			arrived = false
			if b.rows == 0 {
				b.emptied, b.table = feed.empty[0], feed.table
				feed.empty = feed.empty[1:]
				return true, false, nil
			}
			full = true
		}
	}
	return arrived || full && !b.halfOpen(), arrived, nil
}

// resume lets partitions be fetched again that have room. The lock is held.
func (r *reader) resume() {
	room := map[string][]int32{}
	for tp, p := range r.mu.parts {
		if p.paused && p.bytes <= r.share()/2 {
			p.paused = false
			room[tp.topic] = append(room[tp.topic], tp.partition)
		}
	}
	if len(room) > 0 {
		r.client.ResumeFetchPartitions(room)
	}
}

// peek calls look with the feed, and reports why reading ended, if it did.
func (r *reader) peek(look func(feed []feedItem, head int64)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	look(r.mu.feed, r.mu.head)
	return r.mu.err
}

// newest is up to where the stream is known: what stands there is committed.
func (r *reader) newest() schemas.Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.newest
}

func later(a, b schemas.Version) schemas.Version {
	if b.Compare(a) > 0 {
		return b
	}
	return a
}

// reached forgets the feed up to an offset.
func (r *reader) reached(offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.mu.feed) > 0 && r.mu.feed[0].offset <= offset {
		r.mu.feed = r.mu.feed[1:]
	}
}

// empties tells a table's merge where control records emptied it.
func (r *reader) empties(topic string, c *control) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if feed := r.mu.tables[topic]; feed != nil {
		feed.empty = append(feed.empty, c)
	}
}

// filled is, by partition, the offset after the last record handed to a fill.
func (r *reader) filled() map[topicPartition]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := make(map[topicPartition]int64, len(r.mu.parts))
	for tp, p := range r.mu.parts {
		at[tp] = p.filled
	}
	return at
}

// partitions is how many partitions of a topic are read.
func (r *reader) partitions(topic string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if feed := r.mu.tables[topic]; feed != nil {
		return len(feed.parts)
	}
	return 0
}
