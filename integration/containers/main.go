// Command containers runs Apache Kafka in a container through testcontainers,
// prints its address, and removes it when standard input closes.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/kafka"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "containers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	broker, err := kafka.Run(ctx, "confluentinc/confluent-local:7.8.0")
	if err != nil {
		return err
	}
	defer func() {
		if err := testcontainers.TerminateContainer(broker); err != nil {
			fmt.Fprintln(os.Stderr, "containers:", err)
		}
	}()
	addrs, err := broker.Brokers(ctx)
	if err != nil {
		return err
	}
	fmt.Println(addrs[0])
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
