package preflight

import (
	"strings"
	"testing"
)

// embed has the bundle's pipeline run with the broker in the process.
func (b *bundle) embed(more string) {
	b.replace(`  brokers: ["${BROKERS}"]
  registry: ${REGISTRY}
  topics: {prefix: "${PREFIX}", partitions: 3, replication_factor: 1}
`, "  embedded: true\n"+more+"  topics: {prefix: \"${PREFIX}\"}\n")
}

// With the embedded broker nothing is asked of a Kafka or a registry, and the summary
// says what there is in their place.
func TestEmbeddedBroker(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.environment["BROKERS"], b.environment["REGISTRY"] = "nobody:1", "http://nobody:1"
	b.embed("")
	r := b.check().only(t)
	text := b.normalise(r.Text())
	for _, says := range []string{
		"topics  in the memory of each run, at most SIZE, and gone with it",
		"slot    backstitch_PREFIX, temporary: each run makes one, and it ends with it; a run of an hour retains about SIZE",
		"acme: ready to run (errors: 0, ",
	} {
		if !strings.Contains(text, says) {
			t.Errorf("the report does not say %q:\n%s", says, text)
		}
	}
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Code, "kafka.") || f.Code == "source.max_slot_wal_keep_size" {
			t.Errorf("%s: %s", f.Code, f.What)
		}
	}
	if e := r.Run.Embedded; r.Run.Topics != nil || e == nil || e.MemoryBytes != 512<<20 || e.TableBytes == 0 || !r.Run.Slot.Temporary {
		t.Errorf("the summary has topics %v, %+v and %+v", r.Run.Topics, e, r.Run.Slot)
	}
}

func TestEmbeddedBrokerFindings(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.embed("  memory: 1kB\n")
	b.exec("SELECT pg_create_logical_replication_slot('backstitch_" + b.environment["PREFIX"] + "', 'pgoutput')")
	found := map[string]Severity{}
	for _, f := range b.check().Findings {
		found[f.Code] = f.Severity
		if f.Fix == "" && f.Severity != Note {
			t.Errorf("%s has no fix", f.Code)
		}
	}
	if found["kafka.memory"] != Warning || found["source.slot"] != Error {
		t.Errorf("found %v", found)
	}
}
