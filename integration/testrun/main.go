// Command testrun runs a command with the servers that the tests need: one
// PostgreSQL and one Kafka broker for the whole run, named in its environment.
//
//	go run ./integration/testrun go test ./...
//
// The broker is KAFKA_BROKERS when set, else a container where an engine is
// healthy, else a real Apache Kafka on the local JVM, else none: then each test
// embeds its own, and a line says so. With BACKSTITCH_REQUIRE_ALL=1 a missing
// real broker is an error.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: testrun COMMAND [ARGUMENT…]")
		os.Exit(2)
	}
	os.Exit(code(run(os.Args[1:])))
}

// code passes a failed command's exit code on.
func code(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		fmt.Fprintln(os.Stderr, "testrun:", err)
		return 1
	}
}

func run(command []string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := os.Environ()
	if os.Getenv(testenv.EnvPostgres) == "" {
		server, startErr := startPostgres(ctx)
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		env = append(env, testenv.EnvPostgres+"="+server.URL("postgres"))
	}
	broker, stopBroker, err := startBroker(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopBroker()) }()
	if broker != "" {
		env = append(env, testenv.EnvKafka+"="+broker)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.Run()
}

func startPostgres(ctx context.Context) (*postgres.Server, error) {
	binaries, err := postgres.Ensure(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	server, err := postgres.Start(ctx, postgres.Options{Binaries: binaries})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "testrun: PostgreSQL %d\n", binaries.Major)
	return server, nil
}
