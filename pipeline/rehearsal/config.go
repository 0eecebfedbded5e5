package rehearsal

import (
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers/capture"
)

// StandIns are what a rehearsal writes to.
type StandIns struct {
	Brokers  []string
	SASL     config.SASL // as whom
	Registry string      // URL
	Ledger   string      // URL
	Stytch   string      // URL of the simulator
	Secret   string      // that it accepts
}

// Configure is the configuration of a pipeline's rehearsal: it reads the same source,
// and writes to the stand-ins only. Nothing that other processes see has the name of
// the pipeline's own: neither slot nor session, nor lock.
func Configure(cfg *config.Config, to StandIns) *config.Config {
	c := *cfg
	c.Name = cfg.Name + "_rehearsal"
	c.Source.Slot = capture.TemporarySlotName(cfg.Kafka.Topics.Prefix)
	c.Kafka = config.Kafka{Brokers: to.Brokers, SASL: to.SASL, Registry: to.Registry, Topics: cfg.Kafka.Topics}
	// In one partition wake-ups have an order, which every rehearsal has in common.
	c.Kafka.Topics.Partitions, c.Kafka.Topics.ReplicationFactor, c.Kafka.Topics.Create = 1, 1, true
	c.Ledger = config.Secret(to.Ledger)
	c.Stytch.BaseURL, c.Stytch.Secret, c.Stytch.Live = to.Stytch, config.Secret(to.Secret), true
	c.Verify.Every = 0
	c.Admin = config.Admin{Listen: "127.0.0.1:0", Token: cfg.Admin.Token}
	return &c
}
