package publisher

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// AwaitRequest follows the checkpoints topic from its start, owning nothing, until it
// holds a backfill request whose key is not among tried, and adds that key. An
// answered one counts: another instance has gone on, and whoever waits should look
// again. It fails when ctx ends.
//
// Requests belong to no transaction, so it reads past the transaction that a session
// which has just ended may have left open.
func AwaitRequest(ctx context.Context, cfg Config, tried map[string]bool) error {
	cfg = cfg.WithDefaults()
	client, err := reader(cfg.Kafka, schemas.CheckpointsTopic(cfg.Prefix), kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	if err != nil {
		return err
	}
	defer client.Close()
	warned := false
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("wait for a backfill request: %w", ctx.Err())
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			key := string(r.Key)
			if strings.HasPrefix(key, producers.KeyRequestPrefix) && !tried[key] {
				tried[key] = true
				return nil
			}
		}
		for _, e := range fetches.Errors() {
			if !warned {
				cfg.Logger.WarnContext(ctx, "the checkpoints topic cannot be read for requests; trying on", "error", e.Err)
			}
			warned = true
			if err := pause(ctx, time.Second); err != nil {
				return fmt.Errorf("wait for a backfill request: %w", err)
			}
		}
	}
}
