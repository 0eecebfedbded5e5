package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// Recovered is what the checkpoints topic says.
type Recovered struct {
	// Checkpoint is the last committed one, nil before the first.
	Checkpoint *schemas.Checkpoint
	// Shapes are the tables' last known shapes.
	Shapes producers.Shapes
	// Requests are the backfill requests that nobody has taken up, oldest first.
	Requests []producers.BackfillRequest
	// Asked are the keys of all requests that the topic holds, answered or not.
	Asked []string
}

// barrier commits a record under a key of its own (hazard S13): reading up to it
// is reading everything that was committed before it, which no end offset tells
// (hazard S28).
func (p *Publisher) barrier(ctx context.Context) (string, error) {
	nonce := uuid.NewString()
	err := p.transact(ctx, func() error {
		return p.produce(ctx, []*kgo.Record{{Topic: p.checkpoints, Key: []byte(schemas.KeyBarrier), Value: []byte(nonce)}})
	})
	if err != nil {
		return "", fmt.Errorf("write the barrier: %w", err)
	}
	return nonce, nil
}

// tail reads the checkpoints topic, first up to the barrier, then on for requests.
type tail struct {
	client   *kgo.Client
	requests chan producers.BackfillRequest
	stop     context.CancelFunc
	done     chan struct{}
}

func openTail(ctx context.Context, cfg Config, topic, nonce string) (*tail, *Recovered, error) {
	client, err := reader(cfg.Kafka, topic)
	if err != nil {
		return nil, nil, err
	}
	s := &scan{shapes: producers.Shapes{}, requests: map[string]producers.BackfillRequest{}, asked: map[string]bool{}}
	for !s.found {
		fetches := client.PollFetches(ctx)
		if err := fetchError(ctx, fetches); err != nil {
			client.Close()
			return nil, nil, fmt.Errorf("read the checkpoints: %w", err)
		}
		if err := s.take(fetches, nonce); err != nil {
			client.Close()
			return nil, nil, err
		}
	}
	tailCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &tail{client: client, requests: make(chan producers.BackfillRequest, 16), stop: stop, done: make(chan struct{})}
	go t.follow(tailCtx, cfg)
	return t, s.recovered(), nil
}

func reader(kafka []kgo.Opt, topic string, more ...kgo.Opt) (*kgo.Client, error) {
	opts := append([]kgo.Opt{}, kafka...)
	opts = append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.MetadataMinAge(100*time.Millisecond),
	)
	client, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("make the Kafka client that reads the checkpoints: %w", err)
	}
	return client, nil
}

func fetchError(ctx context.Context, fetches kgo.Fetches) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, e := range fetches.Errors() {
		return e.Err
	}
	return nil
}

// scan folds the topic's records into what they say together.
type scan struct {
	checkpoint *schemas.Checkpoint
	raw        []byte
	shapes     producers.Shapes
	requests   map[string]producers.BackfillRequest
	asked      map[string]bool
	found      bool
}

func (s *scan) take(fetches kgo.Fetches, nonce string) error {
	for it := fetches.RecordIter(); !it.Done(); {
		r := it.Next()
		switch key := string(r.Key); {
		case key == schemas.KeyBarrier:
			s.found = s.found || string(r.Value) == nonce
		case key == schemas.KeyCheckpoint:
			s.raw = r.Value
		case key == producers.KeyRelations:
			shapes := producers.Shapes{}
			if err := json.Unmarshal(r.Value, &shapes); err != nil {
				return fmt.Errorf("decode the tables' shapes: %w", err)
			}
			s.shapes = shapes
		case strings.HasPrefix(key, producers.KeyRequestPrefix):
			s.asked[key] = true
			if r.Value == nil {
				delete(s.requests, key)
				continue
			}
			request, err := producers.DecodeBackfillRequest(r.Value)
			if err != nil {
				return err
			}
			s.requests[key] = request
		}
	}
	if s.raw == nil {
		return nil
	}
	c, err := schemas.DecodeCheckpoint(s.raw)
	if err != nil {
		return err
	}
	s.checkpoint, s.raw = c, nil
	return nil
}

func (s *scan) recovered() *Recovered {
	requests := slices.SortedFunc(maps.Values(s.requests), func(a, b producers.BackfillRequest) int { return a.Time.Compare(b.Time) })
	return &Recovered{Checkpoint: s.checkpoint, Shapes: s.shapes, Requests: requests, Asked: slices.Collect(maps.Keys(s.asked))}
}

// follow delivers requests that arrive later.
func (t *tail) follow(ctx context.Context, cfg Config) {
	defer close(t.done)
	for {
		fetches := t.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		for _, e := range fetches.Errors() {
			// The client tries again by itself; requests wait meanwhile.
			cfg.Logger.WarnContext(ctx, "the checkpoints topic cannot be read for requests", "error", e.Err)
			if pause(ctx, time.Second) != nil {
				return
			}
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if !strings.HasPrefix(string(r.Key), producers.KeyRequestPrefix) || r.Value == nil {
				continue
			}
			request, err := producers.DecodeBackfillRequest(r.Value)
			if err != nil {
				cfg.Logger.WarnContext(ctx, "a backfill request cannot be read", "error", err)
				continue
			}
			select {
			case t.requests <- request:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (t *tail) close() {
	t.stop()
	<-t.done
	t.client.Close()
}

// LastCheckpoint reads the last committed checkpoint without taking anything over;
// nil when there is none. It reads to the end that the topic had when it began.
func LastCheckpoint(ctx context.Context, kafka []kgo.Opt, prefix string) (*schemas.Checkpoint, error) {
	topic := schemas.CheckpointsTopic(prefix)
	var last *schemas.Checkpoint
	err := readAll(ctx, kafka, topic, func(r *kgo.Record) error {
		if string(r.Key) != schemas.KeyCheckpoint {
			return nil
		}
		c, err := schemas.DecodeCheckpoint(r.Value)
		last = c
		return err
	})
	if errors.Is(err, errNoTopic) {
		return nil, nil
	}
	return last, err
}
