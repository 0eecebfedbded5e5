package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/integration/testenv/jvmkafka"
)

func nothing() error { return nil }

// startBroker finds the most real broker that this machine offers. An empty
// address means: each test embeds its own.
func startBroker(ctx context.Context) (addr string, stop func() error, err error) {
	if b := os.Getenv(testenv.EnvKafka); b != "" {
		fmt.Fprintln(os.Stderr, "testrun: Kafka from", testenv.EnvKafka)
		return b, nothing, nil
	}
	if engineHealthy(ctx) {
		addr, stop, err := startContainer(ctx)
		if err == nil {
			fmt.Fprintln(os.Stderr, "testrun: Apache Kafka in a container")
			return addr, stop, nil
		}
		fmt.Fprintln(os.Stderr, "testrun: no Kafka container, trying the JVM:", err)
	}
	broker, err := jvmkafka.Start(ctx)
	if err == nil {
		fmt.Fprintln(os.Stderr, "testrun: Apache Kafka", jvmkafka.Version, "on the local JVM")
		return broker.Addr(), broker.Stop, nil
	}
	if os.Getenv(testenv.EnvRequireAll) != "" {
		return "", nil, fmt.Errorf("a real Kafka broker is required here: %w", err)
	}
	fmt.Fprintln(os.Stderr, "testrun: NO REAL KAFKA: the tests run on the embedded broker, which proves less:", err)
	return "", nothing, nil
}

func engineHealthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "info").Run() == nil
}

// startContainer runs the testcontainers helper, a module of its own: its many
// dependencies stay out of this one. The helper prints the broker's address, and
// removes the container when its input closes.
func startContainer(ctx context.Context) (string, func() error, error) {
	cmd := exec.CommandContext(ctx, "go", "run", ".")
	cmd.Dir = "integration/containers"
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop := func() error { return errors.Join(in.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return strings.TrimSpace(line), stop, nil
}
