package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/schemas"
)

// Commit writes a batch and its checkpoint in one Kafka transaction and returns
// the checkpoint once it is committed (invariant 1). After an error the outcome is
// not known and the publisher must be closed.
func (p *Publisher) Commit(ctx context.Context, b *Batch) (*schemas.Checkpoint, error) {
	if err := p.gap(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Patience.Limit()) // hazard S15
	defer cancel()
	start := time.Now()
	p.busy.Store(true)
	defer p.busy.Store(false)
	checkpoint := &schemas.Checkpoint{
		Source: b.Source, Position: b.Position, Backfill: b.Backfill, Creating: b.Creating,
	}
	err := p.transact(ctx, func() error { return p.write(ctx, b, checkpoint) })
	if err == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		p.cfg.Patience.took(time.Since(start))
	}
	if err != nil {
		p.cfg.Metrics.Failures.Inc()
		return nil, fmt.Errorf("commit %d records and their checkpoint: %w", b.records, err)
	}
	p.lastCommit = time.Now()
	p.answered()
	p.cfg.Metrics.Commits.Inc()
	p.cfg.Metrics.Records.Add(float64(b.records))
	p.cfg.Metrics.Bytes.Add(float64(b.bytes))
	p.cfg.Metrics.CommitSeconds.Observe(time.Since(start).Seconds())
	return checkpoint, nil
}

// gap keeps transactions apart: back to back they wait for each other's markers
// (hazard S17).
func (p *Publisher) gap(ctx context.Context) error {
	if wait := p.cfg.MinGap - time.Since(p.lastCommit); wait > 0 {
		return pause(ctx, wait)
	}
	return nil
}

func (p *Publisher) transact(ctx context.Context, write func() error) error {
	if err := p.client.BeginTransaction(); err != nil {
		return classify(err)
	}
	// Every promise and the commit are checked: a fenced client's commit may answer
	// nil (invariant 2; kgo with older brokers).
	if err := write(); err != nil {
		return classify(err)
	}
	if err := p.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return classify(err)
	}
	return nil
}

// write produces the data, then the checkpoint with the ends that the data's
// promises reported (hazard S28).
func (p *Publisher) write(ctx context.Context, b *Batch, checkpoint *schemas.Checkpoint) error {
	if b.records > 0 {
		if err := p.produceData(ctx, b); err != nil {
			return err
		}
	}
	checkpoint.Topics = p.ends()
	checkpoint.WrittenAt = p.cfg.Now().UTC()
	value, err := schemas.Encode(checkpoint)
	if err != nil {
		return fmt.Errorf("encode the checkpoint: %w", err)
	}
	records := make([]*kgo.Record, 0, len(b.control)+1)
	for _, r := range b.control {
		r.Topic = p.checkpoints
		records = append(records, r)
	}
	records = append(records, &kgo.Record{Topic: p.checkpoints, Key: []byte(schemas.KeyCheckpoint), Value: value})
	return p.produce(ctx, records)
}

func (p *Publisher) produceData(ctx context.Context, b *Batch) error {
	var mu sync.Mutex
	var first error
	left := b.records
	done := make(chan struct{})
	promise := func(r *kgo.Record, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			if first == nil {
				first = fmt.Errorf("produce to topic %s partition %d: %w", r.Topic, r.Partition, err)
			}
		} else if t := p.topics[r.Topic]; t.ends[r.Partition] < r.Offset+1 {
			t.ends[r.Partition] = r.Offset + 1
		}
		if left--; left == 0 {
			close(done)
		}
	}
	for _, chunk := range b.chunks {
		for i := range chunk {
			p.client.Produce(ctx, &chunk[i], promise)
		}
	}
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("wait for the broker's answers: %w", ctx.Err())
	}
	mu.Lock()
	defer mu.Unlock()
	return first
}

// produce writes a few records of the checkpoints topic and waits for them.
func (p *Publisher) produce(ctx context.Context, records []*kgo.Record) error {
	var mu sync.Mutex
	var errs []error
	for _, r := range records {
		p.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(errs...)
}
