package config

import (
	"strings"
	"testing"
)

// small is minimal without any Kafka.
func small(kafka string) string {
	return strings.Replace(minimal, "kafka:\n  brokers: [localhost:9092]\n  registry: http://localhost:8081\n", kafka, 1)
}

func TestEmbeddedInOneWord(t *testing.T) {
	t.Parallel()
	for _, kafka := range []string{"kafka: embedded\n", "kafka: {embedded: true}\n", "kafka:\n  embedded: true\n  topics: {partitions: 12}\n"} {
		c, err := parse(small(kafka))
		if err != nil {
			t.Fatalf("%s: %v", kafka, err)
		}
		want := Kafka{Embedded: true, RegistryListen: "127.0.0.1:0", Topics: Topics{"acme", 12, 1, true}}
		if got := c.Kafka; got.Embedded != want.Embedded || got.RegistryListen != want.RegistryListen || got.Topics != want.Topics || len(got.Brokers) > 0 || got.Registry != "" {
			t.Errorf("%s: got %+v", kafka, got)
		}
		if got := c.Where("kafka.embedded"); !strings.HasPrefix(got, "acme.yaml:") || got == "acme.yaml:0" {
			t.Errorf("%s: kafka.embedded stands at %s", kafka, got)
		}
	}
}

func TestEmbeddedRefusesWhatIsElsewhere(t *testing.T) {
	t.Parallel()
	for kafka, says := range map[string]string{
		"kafka: remote\n":                                                           "kafka wants keys under it",
		"kafka: {embedded: false}\n":                                                "kafka.brokers is missing",
		"kafka: {embedded: true, brokers: ['k:9092']}\n":                            "kafka.brokers is of a Kafka elsewhere",
		"kafka: {embedded: true, registry: 'http://r:8081'}\n":                      "kafka.registry is of a Kafka elsewhere",
		"kafka: {embedded: true, topics: {replication_factor: 3}}\n":                "kafka.topics.replication_factor is not 1",
		"kafka: {embedded: true, topics: {create: false}}\n":                        "kafka.topics.create is false",
		"kafka: {embedded: true, registry_listen: '0.0.0.0:8081'}\n":                "kafka.registry_listen is not host:port on this machine",
		"kafka: {embedded: true, registry_listen: ':8081'}\n":                       "kafka.registry_listen is not host:port on this machine",
		"kafka: {brokers: ['k:1'], registry: 'http://r', registry_listen: 'x:1'}\n": "kafka.registry_listen is of the embedded broker and registry",
	} {
		if _, err := parse(small(kafka)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s got %v, want %q", kafka, err, says)
		}
	}
}
