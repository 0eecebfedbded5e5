package pipeline

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/sandbox/kafka"
)

// The embedded broker is rid of records that stand in the mirror, and of no others: what
// the ledger knows of a former broker's topics of the same names is not believed.
func TestEmbeddedBrokerIsTrimmed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := testenv.Postgres(t)
	if err := ledger.Migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	pool, err := ledger.Open(ctx, dsn, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	broker, err := kafka.StartPrivate("us", "secret")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Stop()
	cfg := &config.Config{Name: "acme", Kafka: config.Kafka{
		Brokers: broker.Addrs(), Embedded: true, Topics: config.Topics{Prefix: "p"},
		SASL: config.SASL{Mechanism: config.SASLPlain, Username: "us", Password: "secret"},
	}}
	opts, err := kafkaOptions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	topics := []string{"p.public.users", "p.public.teams", "p.checkpoints"}
	if _, err := adm.CreateTopics(ctx, 1, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		for i := range 10 {
			r := &kgo.Record{Topic: topic, Value: []byte(strings.Repeat(fmt.Sprint(i), 1000))}
			if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	details, err := adm.ListTopics(ctx, topics...)
	if err != nil {
		t.Fatal(err)
	}
	for topic, id := range map[string]string{
		"p.public.users": details["p.public.users"].ID.String(),
		"p.public.teams": "of a broker that is gone",
		"p.checkpoints":  details["p.checkpoints"].ID.String(),
	} {
		if _, err := pool.Exec(ctx, "INSERT INTO backstitch.offsets VALUES ('p', $1, 0, 7, $2)", topic, id); err != nil {
			t.Fatal(err)
		}
	}
	p := &Pipeline{cfg: cfg, clients: &Clients{cfg: cfg, Kafka: opts}, pool: pool}
	if _, err := p.trim(ctx, adm); err != nil {
		t.Fatal(err)
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]int64{"p.public.users": 7, "p.public.teams": 0, "p.checkpoints": 0} {
		if s, ok := starts.Lookup(topic, 0); !ok || s.Offset != want {
			t.Errorf("%s begins at %d, want %d", topic, s.Offset, want)
		}
	}
	held, err := p.trim(context.Background(), adm) // again
	if err != nil || held == 0 {
		t.Errorf("%d bytes are held (%v)", held, err)
	}
	stranger, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := stranger.Ping(ctx); err == nil {
		t.Error("who shows no password may read what the topics hold") // invariant 8
	}
}
