package pipeline

import (
	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/schemas"
)

// Topics that a connector writes or reads.
func (c control) Topics(name string) []string {
	prefix := c.cfg.Kafka.Topics.Prefix
	lanes := apply.Topics(prefix)
	if name == c.cfg.Name+"-apply" {
		return lanes
	}
	var topics []string
	for _, t := range c.cfg.Source.Tables {
		topics = append(topics, schemas.DataTopic(prefix, t))
	}
	topics = append(topics, schemas.CheckpointsTopic(prefix))
	if name == c.cfg.Name+"-transform" {
		topics = append(topics, lanes...)
	}
	return topics
}
