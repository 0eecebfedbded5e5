package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/sandbox/kafka"
)

// embedded is a run with the broker in this process. It is the zero value without one.
type embedded struct {
	*pipeline.Embedded
	broker *kafka.Broker
	ctx    context.Context // ends, with the cause, when another process may run the pipeline
	cancel context.CancelCauseFunc
}

// embed starts what a configuration with kafka: embedded needs in this process, and has
// it named in cfg.
func (a *app) embed(ctx context.Context, cfg *config.Config, caughtUp bool, log *slog.Logger) (*embedded, error) {
	e := &embedded{}
	e.ctx, e.cancel = context.WithCancelCause(ctx)
	if !cfg.Kafka.Embedded {
		return e, nil
	}
	if !caughtUp {
		return nil, usage(fmt.Errorf("%s: kafka.embedded keeps topics in memory, more with every change, so a run must end by itself: add --until-caught-up, and run it again as often as you like; or name kafka.brokers", cfg.Where("kafka.embedded")))
	}
	// Nobody else on this machine may read what the topics hold (invariant 8).
	as := pipeline.Broker{User: "backstitch", Password: rand.Text()}
	var err error
	if e.broker, err = kafka.StartPrivate(as.User, as.Password); err != nil {
		return nil, err
	}
	as.Addrs = e.broker.Addrs()
	if e.Embedded, err = pipeline.Embed(ctx, cfg, as, log, e.cancel); err != nil {
		e.broker.Stop()
		return nil, err
	}
	fmt.Fprintf(a.errOut, "embedded broker and registry run until this process ends; registry: %s\n", e.Registry())
	return e, nil
}

// lost is why the run had to end for another process; nil when it did not.
func (e *embedded) lost() error {
	if cause := context.Cause(e.ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (e *embedded) close() {
	e.cancel(nil)
	if e.Embedded != nil {
		e.Close()
		e.broker.Stop()
	}
}

// needBroker refuses, with what to do in its place, a command that works on topics which
// end with the process that made them.
func needBroker(cfg *config.Config, act, instead string) error {
	if !cfg.Kafka.Embedded {
		return nil
	}
	return usage(fmt.Errorf("%s: %s works on topics, and with kafka.embedded they end with the run: %s", cfg.Where("kafka.embedded"), act, instead))
}

// onTopics is run where needBroker lets it.
func onTopics(act, instead string, run func(*cobra.Command, *session, []string) error) func(*cobra.Command, *session, []string) error {
	return func(cmd *cobra.Command, s *session, args []string) error {
		if err := needBroker(s.cfg, act, instead); err != nil {
			return err
		}
		return run(cmd, s, args)
	}
}
