package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline/sandbox/kafka"
	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
	"github.com/backstitch/backstitch/pipeline/sandbox/registry"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

var standIns = []string{"postgres", "kafka", "registry", "stytch"}

// sandboxFlags choose the stand-ins and where they listen.
type sandboxFlags struct {
	only                        []string
	kafkaListen, registryListen string
	stytch                      stytchFlags
}

func (a *app) sandbox() *cobra.Command {
	var f sandboxFlags
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Run stand-ins for PostgreSQL, Kafka, the registry and Stytch, until stopped",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range f.only {
				if !slices.Contains(standIns, name) {
					return usage(fmt.Errorf("--only %s: want some of %s", name, strings.Join(standIns, ",")))
				}
			}
			s := &sandboxed{}
			defer s.stop()
			if err := s.start(cmd.Context(), a, &f); err != nil {
				return err
			}
			fmt.Fprint(a.out, s.yaml.String())
			<-cmd.Context().Done()
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.only, "only", standIns, "which stand-ins to run")
	flags.StringVar(&f.kafkaListen, "kafka-listen", "127.0.0.1:9092", "address of the embedded broker")
	flags.StringVar(&f.registryListen, "registry-listen", "127.0.0.1:8081", "address of the embedded schema registry")
	f.stytch.register(cmd, "stytch-", "127.0.0.1:8711")
	return cmd
}

// sandboxed holds what runs, and the configuration that reaches it.
type sandboxed struct {
	yaml  strings.Builder
	stops []func() error
}

func (s *sandboxed) stop() {
	for _, stop := range slices.Backward(s.stops) {
		_ = stop() // nothing here is for keeping
	}
}

func (s *sandboxed) start(ctx context.Context, a *app, f *sandboxFlags) error {
	var err error
	if slices.Contains(f.only, "postgres") {
		err = s.postgres(ctx, a)
	}
	if err == nil && (slices.Contains(f.only, "kafka") || slices.Contains(f.only, "registry")) {
		err = s.kafka(a, f)
	}
	if err == nil && slices.Contains(f.only, "stytch") {
		err = s.stytch(ctx, f)
	}
	return err
}

func (s *sandboxed) postgres(ctx context.Context, a *app) error {
	binaries, err := postgres.Ensure(ctx, a.errOut)
	if err != nil {
		return err
	}
	server, err := postgres.Start(ctx, postgres.Options{Binaries: binaries})
	if err != nil {
		return err
	}
	s.stops = append(s.stops, server.Stop)
	legacy, err := server.CreateDatabase(ctx, "legacy")
	if err != nil {
		return err
	}
	ledger, err := server.CreateDatabase(ctx, "ledger")
	if err != nil {
		return err
	}
	fmt.Fprintf(&s.yaml, "source:\n  postgres: %s\nledger: %s\n", legacy, ledger)
	return nil
}

func (s *sandboxed) kafka(a *app, f *sandboxFlags) error {
	fmt.Fprintln(&s.yaml, "kafka:")
	if slices.Contains(f.only, "kafka") {
		broker, err := kafka.Start(f.kafkaListen)
		if err != nil {
			return err
		}
		s.stops = append(s.stops, func() error { broker.Stop(); return nil })
		fmt.Fprintf(&s.yaml, "  brokers: [%q]\n  topics: {replication_factor: 1}\n", strings.Join(broker.Addrs(), ","))
		fmt.Fprintln(a.errOut, kafka.Warning)
	}
	if slices.Contains(f.only, "registry") {
		r, err := registry.Start(f.registryListen)
		if err != nil {
			return err
		}
		s.stops = append(s.stops, r.Stop)
		fmt.Fprintf(&s.yaml, "  registry: %s\n", r.URL())
	}
	return nil
}

func (s *sandboxed) stytch(ctx context.Context, f *sandboxFlags) error {
	options, err := f.stytch.options()
	if err != nil {
		return err
	}
	// The simulator must outlive the interrupt that ends its users.
	addr, stop, err := simulator.Serve(context.WithoutCancel(ctx), f.stytch.listen, simulator.New(options))
	if err != nil {
		return err
	}
	s.stops = append(s.stops, func() error { stop(); return nil })
	fmt.Fprintf(&s.yaml, "stytch:\n  base_url: http://%s\n  project_id: %s\n  secret: %s\n", addr, options.ProjectID, options.Secret)
	return nil
}
