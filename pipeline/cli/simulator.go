package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// stytchFlags are the simulator's settings, under a prefix in `sandbox`.
type stytchFlags struct {
	listen, projectID, secret, rate, roles string
}

func (f *stytchFlags) register(cmd *cobra.Command, prefix, listen string) {
	flags := cmd.Flags()
	flags.StringVar(&f.listen, prefix+"listen", listen, "address to listen on")
	flags.StringVar(&f.projectID, prefix+"project-id", "project-test-00000000-0000-4000-8000-000000000000", "project id to accept")
	flags.StringVar(&f.secret, prefix+"secret", "", "secret to accept (default: $STYTCH_SECRET, else secret-test-sandbox)")
	flags.StringVar(&f.rate, prefix+"rate-limit", "100/s", "requests per second and endpoint, in windows of the clock; 0/s: none")
	flags.StringVar(&f.roles, prefix+"roles", "admin,member", "RBAC roles besides stytch_member and stytch_admin")
}

func (f *stytchFlags) options() (simulator.Options, error) {
	rate, err := parseRate(f.rate)
	if err != nil {
		return simulator.Options{}, err
	}
	secret := f.secret
	if secret == "" {
		secret = os.Getenv("STYTCH_SECRET")
	}
	if secret == "" {
		secret = "secret-test-sandbox"
	}
	f.secret = secret
	var roles []string
	for _, r := range strings.Split(f.roles, ",") {
		if r = strings.TrimSpace(r); r != "" {
			roles = append(roles, r)
		}
	}
	return simulator.Options{ProjectID: f.projectID, Secret: secret, RateLimit: rate, Roles: roles}, nil
}

func parseRate(s string) (int, error) {
	digits, ok := strings.CutSuffix(s, "/s")
	n, err := strconv.Atoi(strings.TrimSpace(digits))
	if !ok || err != nil || n < 0 {
		return 0, usage(fmt.Errorf("rate %q: write it as 100/s", s))
	}
	return n, nil
}

func (a *app) simulator() *cobra.Command {
	var f stytchFlags
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "Run the Stytch simulator alone, until stopped",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := f.options()
			if err != nil {
				return err
			}
			addr, stop, err := simulator.Serve(cmd.Context(), f.listen, simulator.New(options))
			if err != nil {
				return err
			}
			defer stop()
			fmt.Fprintf(a.out, "Stytch simulator: http://%s\n", addr)
			<-cmd.Context().Done()
			return nil
		},
	}
	f.register(cmd, "", "127.0.0.1:8711")
	return cmd
}
