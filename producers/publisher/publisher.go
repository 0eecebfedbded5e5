package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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
	busy       atomic.Bool  // a transaction is on its way
	heard      atomic.Int64 // when Kafka answered last, in Unix nanoseconds
}

// Open is Reach and Recover: for whoever owns the slot already, or needs none.
func Open(ctx context.Context, cfg Config) (*Publisher, *Recovered, error) {
	p, err := Reach(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	recovered, err := p.Recover(ctx)
	if err != nil {
		p.Close()
		return nil, nil, err
	}
	return p, recovered, nil
}

// Reach makes the client and waits until Kafka answers, changing nothing there: who
// cannot reach Kafka must not take the slot from somebody who can (hazard S15), and
// who takes it then has its connections open.
func Reach(ctx context.Context, cfg Config) (*Publisher, error) {
	cfg = cfg.WithDefaults()
	p := &Publisher{cfg: cfg, checkpoints: schemas.CheckpointsTopic(cfg.Prefix), topics: make(map[string]*topic)}
	opts := append([]kgo.Opt{}, cfg.Kafka...)
	opts = append(opts,
		kgo.TransactionalID(TransactionalID(cfg.Prefix)),
		kgo.TransactionTimeout(max(30*time.Second, 2*mostPatience*cfg.GiveUp)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.ProducerBatchMaxBytesFn(p.batchLimit),
		kgo.MaxBufferedRecords(1<<18),
		kgo.RecordDeliveryTimeout(max(mostPatience*cfg.GiveUp, time.Second)),
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RetryBackoffFn(backoff),
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make the Kafka client: %w", err)
	}
	p.client, p.adm = client, kadm.NewClient(client)
	if err := p.Probe(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// backoff keeps retries of requests close: a recovery, and a broker that comes back,
// are waited for by milliseconds.
func backoff(fails int) time.Duration {
	return min(50*time.Millisecond<<min(max(fails-1, 0), 5), time.Second)
}

// Probe asks the two brokers that every transaction needs, the coordinator of the
// transactional id and the leader of the checkpoints' partition, for a sign of life.
// It changes nothing. What they answer does not matter, only that they do.
func (p *Publisher) Probe(ctx context.Context) error {
	ends, err := p.adm.ListEndOffsets(ctx, p.checkpoints)
	if err != nil {
		return fmt.Errorf("%w: ask for the end of topic %s: %w", ErrUnreachable, p.checkpoints, err)
	}
	if end, ok := ends.Lookup(p.checkpoints, 0); ok && kerr.IsRetriable(end.Err) && !errors.Is(end.Err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("%w: ask for the end of topic %s: %w", ErrUnreachable, p.checkpoints, end.Err)
	}
	request := kmsg.NewPtrDescribeTransactionsRequest()
	request.TransactionalIDs = []string{TransactionalID(p.cfg.Prefix)}
	if _, err := p.client.Request(ctx, request); err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: ask the coordinator of %s: %w", ErrUnreachable, TransactionalID(p.cfg.Prefix), err)
	}
	p.answered()
	return nil
}

// ErrUnreachable says that the brokers which a transaction needs do not answer.
var ErrUnreachable = errors.New("the brokers of Kafka cannot be reached")

func (p *Publisher) answered() {
	p.heard.Store(time.Now().UnixNano())
	p.cfg.Answered()
}

// Watch probes Kafka whenever no transaction is on its way, so that an owner without
// work notices too that it is cut off. It returns nil when ctx ends, and fails when
// Kafka has not answered for as long as a transaction may take (hazard S15).
func (p *Publisher) Watch(ctx context.Context, every time.Duration) error {
	for pause(ctx, every) == nil {
		if p.busy.Load() { // has a bound of its own
			continue
		}
		since := time.Since(time.Unix(0, p.heard.Load()))
		if since < every {
			continue
		}
		left := p.cfg.Patience.Limit() - since
		probeCtx, cancel := context.WithTimeout(ctx, max(left, every))
		err := p.Probe(probeCtx)
		cancel()
		if err != nil && ctx.Err() == nil && time.Since(time.Unix(0, p.heard.Load())) >= p.cfg.Patience.Limit() {
			return err
		}
	}
	return nil
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

// Recover fences the former owner, whatever it still does (invariant 2), and reads
// where it stopped.
func (p *Publisher) Recover(ctx context.Context) (*Recovered, error) {
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

// SetDatabase names the source database, for the records' source block.
func (p *Publisher) SetDatabase(name string) { p.cfg.Database = name }

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
