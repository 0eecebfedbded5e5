package cli

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline/cli/demo"
	"github.com/backstitch/backstitch/pipeline/telemetry"
)

func (a *app) demo() *cobra.Command {
	o := demo.Options{Size: demo.DefaultSize}
	var logPath string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a legacy system move into Stytch while people keep using it, all on this machine",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Size.Teams < 10 || o.Size.Users < 100 || o.Pace < 1 || o.ChangesPerSecond < 1 {
				return usage(fmt.Errorf("demo: want at least 10 teams, 100 users, 1 call/s and 1 change/s"))
			}
			o.Out = a.out
			file, err := os.Create(logPath)
			if err != nil {
				return err
			}
			defer file.Close()
			o.Logger = telemetry.Logger(file, false, slog.LevelInfo)
			fmt.Fprintf(a.out, "• log: %s\n", logPath)
			return demo.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Size.Teams, "teams", o.Size.Teams, "teams to seed")
	f.IntVar(&o.Size.Users, "users", o.Size.Users, "users to seed")
	f.IntVar(&o.Size.Memberships, "memberships", o.Size.Memberships, "memberships to seed, approximately")
	f.IntVar(&o.Size.Largest, "largest", o.Size.Largest, "members of the largest team")
	f.Uint64Var(&o.Size.Seed, "seed", o.Size.Seed, "seed of everything random")
	f.DurationVar(&o.Duration, "duration", 30*time.Second, "how long people use the legacy system, at least until the backfill is applied")
	f.IntVar(&o.ChangesPerSecond, "changes", 50, "transactions per second that people make")
	f.IntVar(&o.RateLimit, "rate-limit", 1000, "the simulator's limit, requests per second and endpoint")
	f.IntVar(&o.Pace, "pace", 900, "the pipeline's pace, calls per second")
	f.StringVar(&o.Admin, "admin", "127.0.0.1:0", "address of the status page")
	f.StringVar(&logPath, "log", filepath.Join(os.TempDir(), "backstitch-demo.log"), "where the pipeline's log goes")
	return cmd
}
