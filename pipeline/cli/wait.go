package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/schemas"
)

func (a *app) wait() *cobra.Command {
	var path, position, organization string
	var timeout time.Duration
	var lsn schemas.LSN
	cmd := &cobra.Command{
		Use:   "wait --lsn LSN [--organization KEY]",
		Short: "Wait until everything committed up to a position is in Stytch, or set aside",
		Long: "Waits until everything that the source committed at or below a position is applied, or waits for a person\n" +
			"only (parked, blocked, awaiting consent). The position is what SELECT pg_current_wal_lsn() says after the COMMIT.\n" +
			"Exit code 0: applied; 3: applied, and something is set aside; 1: the time-out came first.",
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) (err error) {
			if lsn, err = schemas.ParseLSN(position); err != nil {
				err = usage(errors.New("wait: want --lsn as PostgreSQL writes it, such as 16/B374D848"))
			}
			return err
		},
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			p, err := pipeline.AwaitApplied(ctx, s.cfg, s.clients, s.pool, lsn, organization)
			switch {
			case err != nil:
				return err
			case cmd.Context().Err() != nil:
				return pipeline.ErrInterrupted
			case !p.Evaluated:
				return fmt.Errorf("%s was not evaluated within %s: look at `backstitch status`", lsn, timeout)
			case p.Waiting > 0:
				return fmt.Errorf("%d entities with changes up to %s were not applied within %s", p.Waiting, lsn, timeout)
			case !p.Clean():
				fmt.Fprintf(a.out, "applied up to %s; %d parked, %d blocked, %d awaiting consent\n", lsn, p.Parked, p.Blocked, p.Awaiting)
				return &exit{code: ExitParked}
			}
			fmt.Fprintf(a.out, "applied up to %s\n", lsn)
			return nil
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&position, "lsn", "", "a position of the source's log")
	cmd.Flags().StringVar(&organization, "organization", "", "only this organization, by its key in the mapping")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait")
	return cmd
}
