// Package kafka embeds a Kafka broker (franz-go's kfake) in this process.
//
// It is for trying out, not for keeping data: everything is in memory, and what a
// broker must survive (a kill with an open transaction, a compaction beside one)
// it does not.
package kafka

import (
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Warning is the one line to print wherever the embedded broker is started.
const Warning = "The embedded Kafka broker is for trying out, not for keeping data: its topics are gone when this process ends."

// Broker is a running embedded broker.
type Broker struct{ cluster *kfake.Cluster }

// Start listens on addr (host:port; port 0: any free one).
func Start(addr string) (*Broker, error) { return start(addr) }

// StartPrivate listens on any free port of this machine, and asks clients for SASL PLAIN.
// Its segments are small: what is deleted gives memory back by segments.
func StartPrivate(user, password string) (*Broker, error) {
	return start("127.0.0.1:0", kfake.EnableSASL(), kfake.Superuser("PLAIN", user, password),
		kfake.BrokerConfigs(map[string]string{"log.segment.bytes": strconv.Itoa(4 << 20)}))
}

func start(addr string, more ...kfake.Opt) (*Broker, error) {
	var once sync.Once
	cluster, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(network, any string) (net.Listener, error) {
			listen := any
			once.Do(func() { listen = addr })
			return net.Listen(network, listen)
		}),
		// Compaction would ignore open transactions and could take a checkpoint away.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "9223372036"}),
	}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("start the embedded Kafka broker on %s: %w", addr, err)
	}
	return &Broker{cluster: cluster}, nil
}

// Addrs are the broker's addresses.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Stop ends the broker and forgets its data.
func (b *Broker) Stop() { b.cluster.Close() }
