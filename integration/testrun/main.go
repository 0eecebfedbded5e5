// Command testrun runs a command with the servers that the tests need: one
// PostgreSQL and one Kafka broker for the whole run, named in its environment.
//
//	go run ./integration/testrun go test ./...
//	go run ./integration/testrun -newest go test ./producers/...
//
// PostgreSQL is the one on this machine, or with -newest the newest version that
// is tested, or with -postgres another one, which is installed beside it.
//
// The broker is KAFKA_BROKERS when set, else a container where an engine is
// healthy, else a real Apache Kafka on the local JVM, else none: then each test
// embeds its own, and a line says so. With BACKSTITCH_REQUIRE_ALL=1 a missing
// real broker is an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
)

func main() {
	newest := flag.Bool("newest", false, "use the newest PostgreSQL that is tested")
	major := flag.Int("postgres", 0, "use this major version of PostgreSQL")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: testrun [-newest | -postgres MAJOR] COMMAND [ARGUMENT…]")
		os.Exit(2)
	}
	ensure := postgres.Ensure
	if *newest {
		ensure = postgres.Newest
	}
	if *major != 0 {
		ensure = func(ctx context.Context, w io.Writer) (postgres.Binaries, error) {
			return postgres.Major(ctx, w, *major)
		}
	}
	os.Exit(code(run(flag.Args(), ensure)))
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

// ensurer finds or installs server binaries.
type ensurer func(context.Context, io.Writer) (postgres.Binaries, error)

func run(command []string, ensure ensurer) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := os.Environ()
	if os.Getenv(testenv.EnvPostgres) == "" {
		server, startErr := startPostgres(ctx, ensure)
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		// Tests that need a server of their own use the same binaries.
		env = append(env, testenv.EnvPostgres+"="+server.URL("postgres"), "BACKSTITCH_POSTGRES_BIN="+server.BinDir())
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

func startPostgres(ctx context.Context, ensure ensurer) (*postgres.Server, error) {
	binaries, err := ensure(ctx, os.Stderr)
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
