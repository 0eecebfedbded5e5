package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

const retryEvery = 50 * time.Millisecond

// Publisher owns the Kafka client of the source's one active owner. EnsureTopics
// and Table are called by the goroutine that fills batches, Commit by one
// goroutine at a time.
type Publisher struct {
	cfg         Config
	client      *kgo.Client
	adm         *kadm.Client
	checkpoints string
	topics      map[string]*topic // written by EnsureTopics while nothing is in flight, ends by Commit

	tail *tail

	lastCommit time.Time
}

// Open fences the former owner, whatever it still does (invariant 2), and reads
// where it stopped.
func Open(ctx context.Context, cfg Config) (*Publisher, *Recovered, error) {
	cfg = cfg.WithDefaults()
	p := &Publisher{cfg: cfg, checkpoints: schemas.CheckpointsTopic(cfg.Prefix), topics: make(map[string]*topic)}
	opts := append([]kgo.Opt{}, cfg.Kafka...)
	opts = append(opts,
		kgo.TransactionalID(TransactionalID(cfg.Prefix)),
		kgo.TransactionTimeout(max(30*time.Second, 2*cfg.GiveUp)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.ProducerBatchMaxBytesFn(p.batchLimit),
		kgo.MaxBufferedRecords(1<<18),
		kgo.RecordDeliveryTimeout(max(cfg.GiveUp, time.Second)),
		kgo.MetadataMinAge(100*time.Millisecond),
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("make the Kafka client: %w", err)
	}
	p.client, p.adm = client, kadm.NewClient(client)
	recovered, err := p.recover(ctx)
	if err != nil {
		p.Close()
		return nil, nil, err
	}
	return p, recovered, nil
}

// batchLimit is how large a record batch of a topic may be. Large enough for one
// large record where the topic takes it, and 1 MB otherwise: batches of that size
// are the fastest.
func (p *Publisher) batchLimit(name string) int32 {
	if t, ok := p.topics[name]; ok {
		return int32(min(max(t.maxBytes, 512), 1<<30))
	}
	return 1_000_000
}

func (p *Publisher) recover(ctx context.Context) (*Recovered, error) {
	if _, err := ensure(ctx, p.adm, p.cfg, 1, CheckpointTopicConfigs(p.cfg.MaxRecordBytes), p.checkpoints); err != nil {
		return nil, err
	}
	if _, _, err := p.client.ProducerID(ctx); err != nil {
		return nil, fmt.Errorf("take the transactional id %s: %w", TransactionalID(p.cfg.Prefix), classify(err))
	}
	nonce, err := p.barrier(ctx)
	if err != nil {
		return nil, err
	}
	t, recovered, err := openTail(ctx, p.cfg, p.checkpoints, nonce)
	if err != nil {
		return nil, err
	}
	p.tail = t
	return recovered, nil
}

// Requests delivers backfill requests that arrive while the publisher is open.
func (p *Publisher) Requests() <-chan producers.BackfillRequest { return p.tail.requests }

// Close gives the client up. What it had not committed is aborted by the next
// owner, or by the transaction's time-out.
func (p *Publisher) Close() {
	if p.tail != nil {
		p.tail.close()
	}
	p.client.Close()
}

// classify marks the errors that say that another owner is there.
func classify(err error) error {
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return errors.Join(producers.ErrFenced, err)
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
