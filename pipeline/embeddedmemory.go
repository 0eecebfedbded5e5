package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// trimEvery is how often the embedded broker is rid of what nobody will read again.
const trimEvery = time.Second

// keepSmall bounds what the embedded broker holds (invariant 9). Records that stand in
// the mirror, with the offsets after them, are of no use to anybody: no reader outlives
// the process, and the transform goes on behind them. Where more than kafka.memory stays,
// the run ends: it would take the process's memory until the system takes the process.
func (p *Pipeline) keepSmall(ctx context.Context, stopping <-chan struct{}) error {
	client, err := kgo.NewClient(p.clients.Kafka...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-stopping:
			return nil
		case <-tick.C:
		}
		held, err := p.trim(ctx, adm)
		if err != nil {
			p.log.DebugContext(ctx, "the embedded broker could not be rid of what was read", "error", err)
			continue
		}
		if most := p.cfg.Kafka.Memory; most > 0 && held > most {
			p.fail(fmt.Errorf("%s: the embedded broker holds %s that the transform has not taken yet, more than kafka.memory (%s): "+
				"what is applied stays applied. Raise it if the machine has more memory, or name kafka.brokers",
				p.cfg.Where("kafka.memory"), size(held), size(most)))
			return nil
		}
	}
}

// trim deletes what the transform has taken, and returns how many bytes are left in all
// topics.
func (p *Pipeline) trim(ctx context.Context, adm *kadm.Client) (held int64, err error) {
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		return 0, fmt.Errorf("look the topics up: %w", err)
	}
	taken, err := p.taken(ctx, topics)
	if err != nil {
		return 0, err
	}
	if len(taken) > 0 {
		if _, err := adm.DeleteRecords(ctx, taken); err != nil {
			return 0, fmt.Errorf("delete records: %w", err)
		}
	}
	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("ask for the topics' sizes: %w", err)
	}
	dirs.Each(func(d kadm.DescribedLogDir) { held += d.Size() })
	return held, nil
}

// taken are the offsets behind what stands in the mirror, of data topics: checkpoints
// are read from the beginning by who takes over. The ledger may still have those of a
// former broker's topics of the same names: it is the id that tells (hazard S22).
func (p *Pipeline) taken(ctx context.Context, topics kadm.TopicDetails) (kadm.Offsets, error) {
	prefix := p.cfg.Kafka.Topics.Prefix
	rows, err := p.pool.Query(ctx, "SELECT topic, partition, next_offset, topic_id FROM backstitch.offsets WHERE prefix = $1 AND topic <> $2 AND next_offset > 0",
		prefix, schemas.CheckpointsTopic(prefix))
	if err != nil {
		return nil, fmt.Errorf("read the offsets: %w", redact.SQLError(err))
	}
	taken := kadm.Offsets{}
	var topic, id string
	var partition int32
	var next int64
	_, err = pgx.ForEachRow(rows, []any{&topic, &partition, &next, &id}, func() error {
		if d, ok := topics[topic]; ok && d.Err == nil && d.ID.String() == id {
			taken.AddOffset(topic, partition, next, -1)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the offsets: %w", redact.SQLError(err))
	}
	return taken, nil
}
