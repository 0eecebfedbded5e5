package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// requestTime bounds how long Kafka may take for the request; its client would ask
// for ever.
const requestTime = 15 * time.Second

func (a *app) backfill() *cobra.Command {
	var path string
	var all bool
	var names []string
	cmd := &cobra.Command{
		Use:   "backfill --all | --table T",
		Short: "Read tables again: some beside the stream, or all as a new epoch with a new slot",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(path)
			if err != nil {
				return err
			}
			if err := needBroker(cfg, "backfill", "every `backstitch run --until-caught-up` reads every table"); err != nil {
				return err
			}
			if all == (len(names) > 0) {
				return usage(fmt.Errorf("backfill: want either --all or --table"))
			}
			var tables []schemas.Table
			for _, name := range names {
				t, err := schemas.ParseTable(name)
				if err != nil {
					return usage(err)
				}
				if !slices.Contains(cfg.Source.Tables, t) {
					return usage(fmt.Errorf("%s: source.tables lacks %s", cfg.Where("source.tables"), t))
				}
				tables = append(tables, t)
			}
			clients, err := pipeline.NewClients(cfg)
			if err != nil {
				return usage(err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), requestTime)
			defer cancel()
			err = capture.RequestBackfill(ctx, clients.Kafka, cfg.Kafka.Topics.Prefix, tables)
			switch {
			case cmd.Context().Err() != nil:
				return errors.New("interrupted: it may have been asked for or not; ask again")
			case errors.Is(err, context.DeadlineExceeded):
				return fmt.Errorf("%s: kafka.brokers: no broker took the request within %s. Check the addresses, and that the brokers run", cfg.Where("kafka.brokers"), requestTime)
			case err != nil:
				return err
			}
			if all {
				fmt.Fprintln(a.out, "asked for: a new slot and epoch, every table read again; rows that are gone meanwhile become deletes that wait for `backstitch approve`")
			} else {
				fmt.Fprintf(a.out, "asked for: %d tables read again, beside the stream\n", len(tables))
			}
			fmt.Fprintln(a.out, "the running pipeline, or the next `backstitch run`, does it")
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&all, "all", false, "every table, as a new epoch: the way out of a lost slot or lost topics")
	cmd.Flags().StringArrayVar(&names, "table", nil, "a captured table, written as in SQL; may be given several times")
	return cmd
}
