package transform

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A leader that has not heard of a topic answers as it does for one that was recreated:
// only the latter holds (hazard S22).
func TestUnknownTopicID(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MetadataMinAge(10 * time.Millisecond)}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	topic := schemas.CheckpointsTopic("t")
	admin := kadm.NewClient(client)
	create := func() {
		t.Helper()
		if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	create()

	var answers int
	refused := make(chan struct{})
	cluster.ControlKey(kmsg.Fetch.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if answers++; answers == 12 { // the client itself swallows 5
			close(refused)
			return nil, nil, false
		}
		cluster.KeepControl()
		return refuse(request.(*kmsg.FetchRequest)), nil, true
	})
	r, err := newReader(opts, "t", 0, 1, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	ended := make(chan error, 1)
	go func() { ended <- r.poll(t.Context()) }()
	wait := func(what string, done func() bool) {
		t.Helper()
		deadline := time.After(time.Minute)
		for !done() {
			select {
			case err := <-ended:
				t.Fatalf("the reader ended before %s: %v", what, err)
			case <-deadline:
				t.Fatalf("not within a minute: %s", what)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	wait("all refusals", func() bool {
		select {
		case <-refused:
			return true
		default:
			return false
		}
	})
	// a record without a value is skipped: only its offset counts
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	wait("a record", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.mu.head == 1
	})

	if _, err := admin.DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	create()
	select {
	case err := <-ended:
		var held *stage.Held
		if !errors.As(err, &held) {
			t.Errorf("the topic was recreated, the reader ends with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the topic was recreated, the reader goes on")
	}
}

// refuse answers that no topic is known by its id.
func refuse(request *kmsg.FetchRequest) kmsg.Response {
	response := request.ResponseKind().(*kmsg.FetchResponse)
	for _, topic := range request.Topics {
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.ErrorCode = partition.Partition, kerr.UnknownTopicID.Code
			t.Partitions = append(t.Partitions, p)
		}
		response.Topics = append(response.Topics, t)
	}
	return response
}
