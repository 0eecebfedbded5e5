package config

import (
	"net"

	"github.com/goccy/go-yaml/ast"
)

// embeddedWord is what kafka: says in one word, and its key in the block.
const embeddedWord = "embedded"

// inOneWord takes kafka: embedded for kafka: {embedded: true}.
func (d *decoder) inOneWord(n ast.Node, f field) bool {
	k, ok := f.value.Addr().Interface().(*Kafka)
	s, text := n.(*ast.StringNode)
	if !ok || !text || s.Value != embeddedWord {
		return false
	}
	k.Embedded = true
	d.config.lines[join(f.path, embeddedWord)] = n.GetToken().Position.Line
	return true
}

// deriveEmbedded is how topics are on the one broker of this process.
func (c *Config) deriveEmbedded() {
	if c.Kafka.Embedded && c.lines["kafka.topics.replication_factor"] == 0 {
		c.Kafka.Topics.ReplicationFactor = 1
	}
}

// validateEmbedded refuses what speaks of brokers or of a registry elsewhere.
func (d *decoder) validateEmbedded(wrong report) {
	c := d.config
	for _, key := range []string{"kafka.brokers", "kafka.tls", "kafka.sasl", "kafka.registry", "kafka.registry_auth", "kafka.registry_tls"} {
		if c.lines[key] > 0 {
			wrong(key, "Remove it, or remove kafka.embedded", "%s is of a Kafka elsewhere, and kafka.embedded runs broker and registry in this process", key)
		}
	}
	if c.Kafka.Topics.ReplicationFactor != 1 {
		wrong("kafka.topics.replication_factor", "Remove it: the embedded broker is one", "kafka.topics.replication_factor is not 1, and kafka.embedded is a single broker")
	}
	if !c.Kafka.Topics.Create {
		wrong("kafka.topics.create", "Remove it: the topics are gone with every process", "kafka.topics.create is false, and nobody else could create topics in this process")
	}
	host, _, err := net.SplitHostPort(c.Kafka.RegistryListen)
	if err != nil || !isLoopback(host) || host == "" {
		wrong("kafka.registry_listen", "Write it as 127.0.0.1:8081", "kafka.registry_listen is not host:port on this machine: the registry asks nobody for a password")
	}
}
