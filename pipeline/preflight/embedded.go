package preflight

import (
	"fmt"
	"strings"
)

// RunEmbedded is a broker within the process: it makes every topic, and they end with it.
type RunEmbedded struct {
	// MemoryBytes is kafka.memory: how much the topics may hold, 0: no limit.
	MemoryBytes int64 `json:"memory_bytes"`
	// TableBytes is the size of all captured tables, which every run reads.
	TableBytes int64 `json:"table_bytes"`
}

// embedded compares what every run reads with what the broker may hold. What stands in
// the mirror is given up while the run goes on, so that more may fit.
func (c *check) embedded() {
	r := &RunEmbedded{MemoryBytes: c.cfg.Kafka.Memory}
	for _, t := range c.report.Run.Tables {
		r.TableBytes += t.Bytes
	}
	c.report.Run.Embedded = r
	if r.MemoryBytes > 0 && r.TableBytes > r.MemoryBytes {
		c.find(Warning, "kafka.memory", "kafka.memory", "Name kafka.brokers, or raise kafka.memory if the machine has more",
			"every run reads %s of tables, and the embedded broker may hold %s: a run ends where the mirror is filled so much slower than they are read", size(r.TableBytes), size(r.MemoryBytes))
	}
}

func (r *RunEmbedded) text(b *strings.Builder) {
	most := ""
	if r.MemoryBytes > 0 {
		most = ", at most " + size(r.MemoryBytes)
	}
	fmt.Fprintf(b, "  topics  in the memory of each run%s, and gone with it\n", most)
}
