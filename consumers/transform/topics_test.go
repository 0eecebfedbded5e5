package transform_test

import (
	"context"
	"net"
	"strconv"
	"testing"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker answers for a while that it does not know topics that were just made.
func TestApplyTopicsThatTheBrokerHasNotHeardOf(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	host, portText, err := net.SplitHostPort(cluster.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		r := req.(*kmsg.MetadataRequest)
		if len(r.Topics) == 0 || asked == 2 {
			return nil, nil, false
		}
		asked++
		res := r.ResponseKind().(*kmsg.MetadataResponse)
		broker := kmsg.NewMetadataResponseBroker()
		broker.Host, broker.Port = host, int32(port)
		res.Brokers = append(res.Brokers, broker)
		for _, topic := range r.Topics {
			answer := kmsg.NewMetadataResponseTopic()
			answer.Topic, answer.ErrorCode = topic.Topic, kerr.UnknownTopicOrPartition.Code
			res.Topics = append(res.Topics, answer)
		}
		return res, nil, true
	})
	if err := transform.EnsureApplyTopics(context.Background(), client, "late", 3, 1); err != nil {
		t.Fatal(err)
	}
	if asked != 2 {
		t.Errorf("the broker hid the topics %d times, want 2: the test proves nothing", asked)
	}
}
