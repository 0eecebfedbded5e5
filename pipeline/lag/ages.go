package lag

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// What a look at the ages may cost.
const (
	// maxFetches is how many partitions are looked at, those with the most records
	// first; the age of others is not known.
	maxFetches = 64
	// atOnce is how many of them at a time.
	atOnce = 8
	// maxMarkers is how many transactions' markers are skipped in one partition.
	maxMarkers = 4
)

// age is the first record at or after an offset, as it was read.
type age struct {
	from, next int64     // where it was sought, and where it is: markers lie between
	at         time.Time // zero: it could not be read
}

// readAges fills the seconds of all partitions, 0 where nothing lags, and passes
// markers: they are not lag. What was read is kept until the group moves on.
func (r *Reader) readAges(ctx context.Context, groups []group, now time.Time) error {
	var lagging []*part
	for _, g := range groups {
		for _, p := range g.parts {
			if p.records() == 0 {
				p.seconds = new(float64)
				continue
			}
			lagging = append(lagging, p)
		}
	}
	slices.SortStableFunc(lagging, func(a, b *part) int { return cmp.Compare(b.records(), a.records()) })
	known := make(map[place]age, len(lagging))
	fetched := make([]age, len(lagging))
	var fetches errgroup.Group
	fetches.SetLimit(atOnce)
	left := maxFetches
	for i, p := range lagging {
		fetched[i] = age{from: p.next, next: p.next}
		if before, ok := r.ages[p.place]; ok && before.from == p.next && !before.at.IsZero() {
			fetched[i] = before
			continue
		}
		if left--; left < 0 {
			continue
		}
		fetches.Go(func() (err error) {
			fetched[i], err = r.first(ctx, p)
			return err
		})
	}
	err := fetches.Wait() // what was read counts all the same
	for i, p := range lagging {
		known[p.place], p.next = fetched[i], max(p.next, fetched[i].next)
		switch at := fetched[i].at; {
		case p.records() == 0:
			p.seconds = new(float64)
		case !at.IsZero():
			p.seconds = new(max(0, now.Sub(at).Seconds()))
		}
	}
	r.ages = known
	return err
}

// first is the first record that the group has not processed.
func (r *Reader) first(ctx context.Context, p *part) (age, error) {
	found := age{from: p.next, next: max(p.next, p.start)}
	for range maxMarkers {
		raw, err := r.fetchBatch(ctx, p, found.next)
		if err != nil {
			return found, fmt.Errorf("topic %s partition %d offset %d: %w", p.topic, p.partition, found.next, err)
		}
		b, ok := parseBatch(raw)
		if !ok {
			break
		}
		if !b.control {
			found.at = b.timeAt(found.next)
			break
		}
		if found.next = b.last + 1; found.next >= p.end {
			break
		}
	}
	return found, nil
}

// fetchBatch reads the batch that holds an offset, and no more: a broker answers with
// one batch however large it is, and with bytes up to the limit beyond it.
func (r *Reader) fetchBatch(ctx context.Context, p *part, offset int64) ([]byte, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel = 500, 1, 1, 1
	topic, partition := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	topic.Topic, topic.TopicID = p.topic, p.id
	partition.Partition, partition.FetchOffset, partition.PartitionMaxBytes = p.partition, offset, 1
	topic.Partitions = append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	answer, err := r.client.Broker(int(p.leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	fetched := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
		return nil, err
	}
	for _, t := range fetched.Topics {
		for _, p := range t.Partitions {
			return p.RecordBatches, kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return nil, errors.New("the broker's answer lacks the partition")
}

// batch is the header of a record batch (format 2).
type batch struct {
	first, last   int64 // offsets
	control       bool  // a transaction's marker
	appendTime    bool  // the broker's clock: every record has max
	base, maximum int64 // timestamps, in ms since 1970
}

// Offsets of the fields in a batch, https://kafka.apache.org/documentation/#recordbatch.
const (
	atMagic      = 16
	atAttributes = 21
	atLastDelta  = 23
	atBaseTime   = 27
	atMaxTime    = 35
	headerEnd    = 43
)

func parseBatch(b []byte) (batch, bool) {
	if len(b) < headerEnd || b[atMagic] != 2 {
		return batch{}, false
	}
	attributes := binary.BigEndian.Uint16(b[atAttributes:])
	h := batch{
		first:   int64(binary.BigEndian.Uint64(b)),
		control: attributes&(1<<5) != 0, appendTime: attributes&(1<<3) != 0,
		base: int64(binary.BigEndian.Uint64(b[atBaseTime:])), maximum: int64(binary.BigEndian.Uint64(b[atMaxTime:])),
	}
	h.last = h.first + int64(binary.BigEndian.Uint32(b[atLastDelta:]))
	return h, true
}

// timeAt is the timestamp at an offset, taken as evenly spread over the batch, whose
// records are compressed: a producer fills one in milliseconds.
func (b batch) timeAt(offset int64) time.Time {
	ms := b.base
	switch {
	case b.appendTime:
		ms = b.maximum
	case offset > b.first && b.last > b.first && b.maximum > b.base:
		ms += int64(float64(b.maximum-b.base) * float64(offset-b.first) / float64(b.last-b.first))
	}
	return time.UnixMilli(ms)
}
