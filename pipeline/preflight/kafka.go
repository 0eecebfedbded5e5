package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/schemas"
)

// week is the least compaction lag and delete retention of source topics, in ms
// (hazard C10).
const week = 7 * 24 * 3600 * 1000

// wanted is a topic as the configuration would make it.
type wanted struct {
	name       string
	partitions int
	source     bool // a data topic: its deletes must outlive a week's absence
	apply      bool
}

func (c *check) wantedTopics() []wanted {
	prefix, n := c.cfg.Kafka.Topics.Prefix, c.cfg.Kafka.Topics.Partitions
	topics := []wanted{{name: schemas.CheckpointsTopic(prefix), partitions: 1}}
	for _, t := range c.cfg.Source.Tables {
		topics = append(topics, wanted{name: schemas.DataTopic(prefix, t), partitions: n, source: true})
	}
	return append(topics,
		wanted{name: schemas.ApplyTopic(prefix, schemas.LaneLive), partitions: n, apply: true},
		wanted{name: schemas.ApplyTopic(prefix, schemas.LaneBackfill), partitions: n, apply: true})
}

// command is what creates the topic with Kafka's own tool.
func (w wanted) command(replication int) string {
	s := fmt.Sprintf("kafka-topics.sh --create --topic %s --partitions %d --replication-factor %d --config cleanup.policy=compact", w.name, w.partitions, replication)
	if w.source {
		s += fmt.Sprintf(" --config min.compaction.lag.ms=%d --config delete.retention.ms=%d --config max.message.bytes=%d", week, week, 16<<20)
	}
	return s
}

func (c *check) kafka(ctx context.Context) {
	client, err := kgo.NewClient(c.deps.Kafka...)
	if err != nil {
		c.failed("kafka.client", "kafka.brokers", err)
		return
	}
	defer client.Close()
	c.credentials()
	adm := kadm.NewClient(client)
	meta, cancel := context.WithTimeout(ctx, c.deps.Patience)
	defer cancel()
	brokers, err := adm.BrokerMetadata(meta)
	if err != nil {
		key, fix := orElse(WireKafka, err, "Check the addresses, and that the brokers advertise names that resolve here")
		c.find(Error, "kafka.unreachable", key, fix, "no broker takes the connection: %v", err)
		return
	}
	topics := c.wantedTopics()
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.name
	}
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		c.failed("kafka.topics", "kafka.topics", err)
		return
	}
	missing := slices.DeleteFunc(slices.Clone(topics), func(w wanted) bool {
		return !errors.Is(details[w.name].Err, kerr.UnknownTopicOrPartition) && details.Has(w.name)
	})
	c.topics(topics, missing)
	c.missingTopics(missing, len(brokers.Brokers))
	there := slices.DeleteFunc(topics, func(w wanted) bool { return slices.Contains(missing, w) })
	c.existingTopics(ctx, adm, there, details)
}

func (c *check) missingTopics(missing []wanted, brokers int) {
	replication := c.cfg.Kafka.Topics.ReplicationFactor
	if len(missing) == 0 {
		return
	}
	if !c.cfg.Kafka.Topics.Create {
		commands := make([]string, len(missing))
		for i, w := range missing {
			commands[i] = w.command(replication)
		}
		c.find(Error, "kafka.topics", "kafka.topics.create", "Create them:\n         "+strings.Join(commands, "\n         "), "%d topics do not exist, and kafka.topics.create is false", len(missing))
		return
	}
	if brokers < replication {
		c.find(Error, "kafka.replication_factor", "kafka.topics.replication_factor", fmt.Sprintf("Set it to %d at most", brokers),
			"%d topics are to be created with %d copies, but the cluster has %d brokers", len(missing), replication, brokers)
	}
}

// existingTopics checks counts and settings of what is there.
func (c *check) existingTopics(ctx context.Context, adm *kadm.Client, topics []wanted, details kadm.TopicDetails) {
	if len(topics) == 0 {
		return
	}
	names := make([]string, len(topics))
	for i, w := range topics {
		names[i] = w.name
		d := details[w.name]
		switch {
		case d.Err != nil:
			c.find(Error, "kafka.topics", "kafka.topics", "Allow the client to describe, read and write it", "topic %s: %v", w.name, d.Err)
		case w.partitions == 1 && len(d.Partitions) != 1:
			c.find(Error, "kafka.partitions", "kafka.topics.prefix", "Use another prefix, or delete the topic if nothing needs it",
				"topic %s has %d partitions: checkpoints need one, to have an order", w.name, len(d.Partitions))
		case w.apply && len(d.Partitions) != w.partitions: // hazard A1
			c.find(Error, "kafka.partitions", "kafka.topics.partitions", fmt.Sprintf("Set kafka.topics.partitions to the %d that the pipeline was started with, or use another prefix", len(d.Partitions)),
				"topic %s has %d partitions, the configuration says %d: both lanes need the recorded number, so that one instance owns an organization in both", w.name, len(d.Partitions), w.partitions)
		}
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		c.failed("kafka.configs", "kafka.topics", err)
		return
	}
	for _, w := range topics {
		config, err := configs.On(w.name, nil)
		if err == nil {
			err = config.Err
		}
		if err != nil {
			c.failed("kafka.configs", "kafka.topics", fmt.Errorf("settings of topic %s: %w", w.name, err))
			continue
		}
		c.topicConfig(w, config)
	}
}

func (c *check) topicConfig(w wanted, config kadm.ResourceConfig) {
	get := func(key string) string {
		for _, k := range config.Configs {
			if k.Key == key {
				return k.MaybeValue()
			}
		}
		return ""
	}
	alter := func(setting string) string {
		return "kafka-configs.sh --alter --topic " + w.name + " --add-config " + setting
	}
	if policy := get("cleanup.policy"); policy != "compact" {
		c.find(Error, "kafka.cleanup_policy", "kafka.topics", alter("cleanup.policy=compact"),
			"topic %s has cleanup.policy %s: records that a reader still needs would be deleted by age", w.name, policy)
	}
	if !w.source {
		return
	}
	for _, key := range []string{"min.compaction.lag.ms", "delete.retention.ms"} { // hazard C10
		n, err := strconv.ParseInt(get(key), 10, 64)
		if err == nil && n >= week {
			continue
		}
		c.find(Error, "kafka.retention", "kafka.topics", alter(fmt.Sprintf("%s=%d", key, week)),
			"topic %s has %s %s, less than 7 days: a reader that was away longer than that misses deletes, and people keep their access", w.name, key, get(key))
	}
}

func (c *check) registry(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.deps.Patience)
	defer cancel()
	if err := c.deps.Registry.Ping(ctx); err != nil {
		key, fix := orElse(WireRegistry, err, "Check the address, and that it speaks Confluent's API")
		c.find(Error, "kafka.registry", key, fix, "the schema registry gives no usable answer: %v", err)
	}
}

// credentials warns of passwords that cross the network as they are.
func (c *check) credentials() {
	k := c.cfg.Kafka
	if k.SASL.Mechanism == config.SASLPlain && !k.TLS.Enabled && !loopback(k.Brokers...) {
		c.find(Warning, "kafka.sasl", "kafka.sasl", "Use a listener with TLS and add kafka.tls, or a SCRAM mechanism", "the password goes to the brokers unencrypted")
	}
	u, err := url.Parse(k.Registry)
	if err == nil && k.RegistryAuth.Username != "" && u.Scheme == "http" && !loopback(u.Host) {
		c.find(Warning, "kafka.registry_auth", "kafka.registry_auth", "Write kafka.registry with https://", "the password goes to the registry unencrypted")
	}
}

// loopback tells whether all of the addresses are on this machine.
func loopback(addresses ...string) bool {
	return !slices.ContainsFunc(addresses, func(a string) bool { return !config.Admin{Listen: a}.Loopback() })
}
