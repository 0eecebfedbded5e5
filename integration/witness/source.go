package witness

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	kafka "github.com/segmentio/kafka-go"

	"github.com/backstitch/backstitch/schemas"
)

// unavailable is Debezium's placeholder for a large value that a change left alone.
const unavailable = "__debezium_unavailable_value"

// event is one record of a source topic, decoded.
type event struct {
	op      string // r, c, u, d; "" for a tombstone
	xid     int64
	version string
	new     map[string]any
}

// ExactlyOnce compares the topic of a table with its history: every row event of
// every committed transaction once, in commit order per key, but for those that the
// first read of its row already contains; a read holds the row as it was there
// (invariants 2 and 3). It returns the number of events and of reads.
func ExactlyOnce(tb testing.TB, pool *pgxpool.Pool, brokers []string, registry, prefix string, t schemas.Table) (events, reads int) {
	tb.Helper()
	history := changesOf(tb, pool, t)
	topic := topicOf(tb, brokers, registry, schemas.DataTopic(prefix, t))
	early, seen := map[int64]bool{}, map[int64]bool{} // transactions, by where their events were found
	for key, changes := range history {
		e, r := judge(tb, t, key, changes, topic[key], early, seen)
		events, reads = events+e, reads+r
	}
	for key := range topic {
		if history[key] == nil {
			tb.Errorf("%s: a key in the topic never was in the table", t)
		}
	}
	for xid := range early {
		if xid != 0 && seen[xid] { // invariant 11: the snapshot contains a commit, or it does not
			tb.Errorf("%s: transaction %d is partly in the topic and partly in the rows that were read", t, xid)
		}
	}
	return events, reads
}

// judge holds one key's records against its history.
func judge(tb testing.TB, t schemas.Table, key string, history []change, records []event, early, seen map[int64]bool) (events, reads int) {
	tb.Helper()
	var changes []event
	for i, e := range records {
		if i > 0 && e.version < records[i-1].version {
			tb.Errorf("%s %s: versions go back", t, key)
		}
		switch e.op {
		case "r":
			reads++
		case "":
			if i == 0 || records[i-1].op != "d" || records[i-1].version != e.version {
				tb.Errorf("%s %s: a tombstone does not follow its delete with the same version", t, key)
			}
		default:
			changes = append(changes, e)
		}
	}
	cut := len(history) - len(changes)
	if cut < 0 {
		tb.Errorf("%s %s: %d events in the topic, %d in the table's history: some came twice", t, key, len(changes), len(history))
		return len(changes), reads
	}
	for i, h := range history {
		if i < cut {
			early[h.xid] = true
			continue
		}
		seen[h.xid] = true
		if e := changes[i-cut]; e.op != h.op || e.xid != h.xid || !same(h.new, e.new) {
			tb.Errorf("%s %s: event %d of %d is %s of transaction %d in the topic and %s of %d in the table's history",
				t, key, i+1, len(history), e.op, e.xid, h.op, h.xid)
			return len(changes), reads
		}
	}
	judgeReads(tb, t, key, history, cut, records)
	return len(changes), reads
}

// judgeReads: a read holds the row as the events before it left it, and a row that
// existed where the stream begins was read, there or in a later slice of an
// interrupted backfill, unless it was deleted before its turn came.
func judgeReads(tb testing.TB, t schemas.Table, key string, history []change, cut int, records []event) {
	tb.Helper()
	at, known := cut, cut == 0 || history[cut-1].new == nil
	for _, e := range records {
		switch e.op {
		case "":
		case "r":
			known = true
			if at == 0 || !same(history[at-1].new, e.new) {
				tb.Errorf("%s %s: a row was read that was not so at its place", t, key)
			}
		default:
			known = known || e.op == "d"
			at++
		}
	}
	if !known {
		tb.Errorf("%s %s: %d events are missing, and no row that contains them was read", t, key, cut)
	}
}

// same compares the columns whose values look alike in JSON and in Avro: texts,
// numbers, booleans and nulls.
func same(want, got map[string]any) bool {
	if (want == nil) != (got == nil) || len(want) != len(got) {
		return false
	}
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			return false
		}
		g = plain(g)
		if w == nil || g == nil {
			if w != nil || g != nil {
				return false
			}
			continue
		}
		wantText, wanted := w.(string)
		gotText, isText := g.(string)
		if isText != wanted || gotText == unavailable || sameTime(wantText, gotText) {
			continue // a time, which JSON writes as text; a value that is nowhere
		}
		if _, number := w.(float64); number {
			g = fmt.Sprint(g)
			w = fmt.Sprint(int64(w.(float64)))
		}
		if w != g {
			return false
		}
	}
	return true
}

// sameTime: a timestamptz, which JSON and Debezium write in two ways.
func sameTime(a, b string) bool {
	at, errA := time.Parse(time.RFC3339, a)
	bt, errB := time.Parse(time.RFC3339, b)
	return errA == nil && errB == nil && at.Equal(bt)
}

// topicOf decodes a source topic by key.
func topicOf(tb testing.TB, brokers []string, registry, topic string) map[string][]event {
	tb.Helper()
	reader := NewReader(registry)
	records := Committed(tb, brokers, topic)
	partitions := partitionsOf(tb, brokers, topic)
	all := map[string][]event{}
	for _, r := range records {
		if want := (kafka.Murmur2Balancer{Consistent: true}).Balance(kafka.Message{Key: r.Key}, partitions...); want != r.Partition {
			tb.Fatalf("%s: a record stands in partition %d, and its key belongs into %d", topic, r.Partition, want)
		}
		key, err := reader.Decode(r.Key)
		if err != nil {
			tb.Fatalf("%s: decode a key: %v", topic, err)
		}
		e := event{version: r.Headers[schemas.HeaderVersion]}
		if _, err := schemas.ParseVersion(e.version); err != nil {
			tb.Fatalf("%s: the header %s: %v", topic, schemas.HeaderVersion, err) // on tombstones too
		}
		if r.Value != nil {
			if err := e.decode(reader, r.Value); err != nil {
				tb.Fatalf("%s: decode a value: %v", topic, err)
			}
		}
		k := keyText(key)
		all[k] = append(all[k], e)
	}
	return all
}

func (e *event) decode(reader *Reader, value []byte) error {
	envelope, err := reader.Decode(value)
	if err != nil {
		return err
	}
	e.op, _ = envelope["op"].(string)
	if after, ok := plain(envelope["after"]).(map[string]any); ok {
		e.new = maps.Clone(after)
	}
	source, _ := envelope["source"].(map[string]any)
	e.xid, _ = plain(source["txId"]).(int64)
	if e.op == "" || source == nil {
		return fmt.Errorf("an envelope without op or source")
	}
	return nil
}
