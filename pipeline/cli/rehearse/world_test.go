package rehearse

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// Topics of a rehearsal hold real hashes: only its own process reads them (invariant 8).
func TestBrokerIsPrivate(t *testing.T) {
	t.Parallel()
	w := &world{}
	if err := w.startKafka(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.stop() })
	ping := func(opts ...kgo.Opt) error {
		client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(w.Brokers...), kgo.RequestRetries(0))...)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		return client.Ping(t.Context())
	}
	if ping() == nil {
		t.Error("a client without the password is served")
	}
	if err := ping(kgo.SASL(plain.Auth{User: w.SASL.Username, Pass: w.SASL.Password.Reveal()}.AsMechanism())); err != nil {
		t.Errorf("with the password: %v", err)
	}
}
