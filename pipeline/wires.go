package pipeline

import (
	"errors"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/preflight"
	"github.com/backstitch/backstitch/schemas/registry"
)

// kafkaOptions are what every Kafka client of the process begins with: where the
// brokers are, how they prove themselves, who we are.
func kafkaOptions(cfg *config.Config) ([]kgo.Opt, error) {
	if cfg.Kafka.Embedded && len(cfg.Kafka.Brokers) == 0 {
		return []kgo.Opt{kgo.SeedBrokers("embedded.invalid:9092"), kgo.Dialer(noBroker), kgo.RequestRetries(0)}, nil
	}
	opts := []kgo.Opt{kgo.SeedBrokers(cfg.Kafka.Brokers...), kgo.ClientID("backstitch-" + cfg.Name)}
	if cfg.Kafka.TLS.Enabled {
		conf, err := cfg.Kafka.TLS.Config()
		if err != nil {
			return nil, fmt.Errorf("%s: kafka.tls: %w", cfg.Where("kafka.tls"), err)
		}
		opts = append(opts, kgo.DialTLSConfig(conf))
	}
	if m := mechanism(cfg.Kafka.SASL); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

// mechanism is nil where the brokers ask for no credentials.
func mechanism(s config.SASL) sasl.Mechanism {
	switch s.Mechanism {
	case config.SASLPlain:
		return plain.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsMechanism()
	case config.SASLScramSHA256:
		return scram.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsSha256Mechanism()
	case config.SASLScramSHA512:
		return scram.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsSha512Mechanism()
	}
	return nil
}

func newRegistry(cfg *config.Config) (*registry.Registry, error) {
	if cfg.Kafka.Embedded && cfg.Kafka.Registry == "" {
		return nil, nil // nobody asks it in other processes than its own
	}
	var opts []sr.ClientOpt
	if a := cfg.Kafka.RegistryAuth; a.Username != "" {
		opts = append(opts, sr.BasicAuth(a.Username, a.Password.Reveal()))
	}
	if cfg.Kafka.RegistryTLS != (config.TLS{}) {
		conf, err := cfg.Kafka.RegistryTLS.Config()
		if err != nil {
			return nil, fmt.Errorf("%s: kafka.registry_tls: %w", cfg.Where("kafka.registry_tls"), err)
		}
		opts = append(opts, sr.DialTLSConfig(conf))
	}
	reg, err := registry.New(cfg.Kafka.Registry, opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Where("kafka.registry"), err)
	}
	return reg, nil
}

// Explain adds to a failed connection which key of the configuration it is about,
// and the fix. wire is one of preflight's. Other errors pass unchanged.
func (c *Clients) Explain(wire string, err error) error {
	if err == nil {
		return nil
	}
	key, fix := preflight.Blame(wire, err)
	var dial *net.OpError
	switch {
	case key != "":
	case errors.As(err, &dial) && dial.Op == "dial":
		key, fix = wire, "Check the address, and that the server runs and can be reached from here"
	default:
		return err
	}
	return fmt.Errorf("%s: %s: %w. %s", c.cfg.Where(key), key, err, fix)
}
