package witness

import (
	"context"
	"testing"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
)

// Wake is a wake-up with its place.
type Wake struct {
	schemas.Wake
	Lane       schemas.Lane
	Key, Value []byte
}

// Wakes reads both apply topics with kafka-go, which knows nothing of transactions:
// none is needed there. Each record must decode, carry the key of what it says, and
// stand in its organization's partition.
func Wakes(tb testing.TB, brokers []string, prefix string) []Wake {
	tb.Helper()
	var wakes []Wake
	for _, lane := range []schemas.Lane{schemas.LaneLive, schemas.LaneBackfill} {
		topic := schemas.ApplyTopic(prefix, lane)
		partitions := partitionsOf(tb, brokers, topic)
		for _, p := range partitions {
			for _, m := range messages(tb, brokers, topic, p) {
				w := Wake{Lane: lane, Key: m.Key, Value: m.Value}
				var err error
				if len(m.Value) < 5 || m.Value[0] != 0 {
					tb.Fatalf("%s: a value without the wire format's header", topic)
				}
				if w.Wake, err = avro.DecodeWake(m.Value[5:]); err != nil {
					tb.Fatalf("%s: %v", topic, err)
				}
				if string(m.Key) != w.Wake.Key() {
					tb.Errorf("%s: a record's key is not that of its value", topic)
				}
				balancer := kafka.Murmur2Balancer{Consistent: true}
				if want := balancer.Balance(kafka.Message{Key: []byte(w.Organization)}, partitions...); want != p {
					tb.Errorf("%s: a record stands in partition %d, and its organization belongs into %d", topic, p, want)
				}
				wakes = append(wakes, w)
			}
		}
	}
	return wakes
}

// messages reads one partition from its beginning to its end of now.
func messages(tb testing.TB, brokers []string, topic string, partition int) []kafka.Message {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := kafka.DialLeader(ctx, "tcp", brokers[0], topic, partition)
	if err != nil {
		tb.Fatalf("kafka-go: %v", err)
	}
	first, end, err := conn.ReadOffsets()
	if closeErr := conn.Close(); err != nil || closeErr != nil {
		tb.Fatalf("kafka-go: %v %v", err, closeErr)
	}
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, Topic: topic, Partition: partition, MaxWait: 50 * time.Millisecond})
	defer func() {
		if err := reader.Close(); err != nil {
			tb.Errorf("kafka-go: %v", err)
		}
	}()
	if err := reader.SetOffset(first); err != nil {
		tb.Fatalf("kafka-go: %v", err)
	}
	var list []kafka.Message
	for next := first; next < end; {
		m, err := reader.FetchMessage(ctx)
		if err != nil {
			tb.Fatalf("kafka-go reads %s/%d: %v", topic, partition, err)
		}
		list, next = append(list, m), m.Offset+1
	}
	return list
}

// partitionsOf lists a topic's partitions as kafka-go's balancers want them.
func partitionsOf(tb testing.TB, brokers []string, topic string) []int {
	tb.Helper()
	conn, err := kafka.DialContext(context.Background(), "tcp", brokers[0])
	if err != nil {
		tb.Fatalf("kafka-go: %v", err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			tb.Errorf("kafka-go: %v", err)
		}
	}()
	list, err := conn.ReadPartitions(topic)
	if err != nil {
		tb.Fatalf("kafka-go looks up %s: %v", topic, err)
	}
	numbers := make([]int, len(list))
	for _, p := range list {
		numbers[p.ID] = p.ID
	}
	return numbers
}
