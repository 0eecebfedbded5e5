package testenv

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// EnvKafka names the variable with the brokers of a Kafka that tests may fill
// with topics, separated by commas.
const EnvKafka = "KAFKA_BROKERS"

// Kafka returns the brokers to test on: KAFKA_BROKERS when set, else an embedded
// broker of the test's own. Topics need a prefix of the test's own (Name).
func Kafka(tb testing.TB) []string {
	tb.Helper()
	if brokers := os.Getenv(EnvKafka); brokers != "" {
		return strings.Split(brokers, ",")
	}
	return EmbeddedKafka(tb)
}

// EmbeddedKafka starts an embedded broker, for tests that need one that is fast
// and their own.
func EmbeddedKafka(tb testing.TB) []string {
	tb.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		tb.Fatalf("start the embedded broker: %v", err)
	}
	tb.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

// Registry starts a schema registry in memory and returns its URL.
func Registry(tb testing.TB) string {
	tb.Helper()
	server := httptest.NewServer(srfake.NewRegistry().Handler())
	tb.Cleanup(server.Close)
	return server.URL
}

// EnvRequireAll names the variable that turns every "skipped, because X is
// missing" into a failure; CI sets it.
const EnvRequireAll = "BACKSTITCH_REQUIRE_ALL"

// Missing skips a test because something named is not on this machine, or fails
// it where everything is required.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv(EnvRequireAll) != "" {
		tb.Fatalf("missing: %s", what)
	}
	tb.Skipf("missing: %s", what)
}

// RealKafka is Kafka, for tests that the embedded broker cannot serve.
func RealKafka(tb testing.TB) []string {
	tb.Helper()
	if os.Getenv(EnvKafka) == "" {
		Missing(tb, "a real Kafka ("+EnvKafka+")")
	}
	return Kafka(tb)
}
