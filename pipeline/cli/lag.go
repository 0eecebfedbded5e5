package cli

import (
	"encoding/json"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/backstitch/backstitch/pipeline"
)

// watchEvery is the distance of two looks of `lag --watch`.
const watchEvery = 2 * time.Second

func (a *app) lag() *cobra.Command {
	var path, output string
	var watch bool
	cmd := &cobra.Command{
		Use:   "lag",
		Short: "Show how far the connectors are behind, in records, bytes and seconds",
		Long: "Shows the lag of every group by topic, and by partition where there is any, to the last stable offset; the slot's;\n" +
			"a backfill's progress; and the entities that wait. Everything is the cluster's: it needs no running instance.\n" +
			"With --watch it looks every 2 s until interrupted; with -o json as well, it prints one object a line.",
		Args:    noArgs,
		PreRunE: func(*cobra.Command, []string) error { return oneOf("--output", output, "text", "json") },
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			reader, err := pipeline.NewLagReader(s.cfg, s.clients, s.pool)
			if err != nil {
				return err
			}
			defer reader.Close()
			encoder := json.NewEncoder(a.out)
			if !watch {
				encoder.SetIndent("", "  ")
			}
			tick := time.NewTicker(watchEvery)
			defer tick.Stop()
			for {
				report := reader.Read(cmd.Context())
				if cmd.Context().Err() != nil && watch {
					return nil
				}
				if output == "json" {
					err = encoder.Encode(report)
				} else {
					if watch && a.terminal() {
						_, _ = a.out.Write([]byte("\x1b[H\x1b[2J")) // the next write says what is wrong
					}
					err = printLag(a.out, report)
				}
				if err != nil || !watch {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-tick.C:
				}
			}
		}),
	}
	configFlag(cmd, &path)
	outputFlag(cmd, &output)
	cmd.Flags().BoolVar(&watch, "watch", false, "look every 2 s until interrupted")
	return cmd
}

// terminal tells whether a person looks at the output.
func (a *app) terminal() bool {
	f, ok := a.out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
