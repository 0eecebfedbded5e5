package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline/discover"
	"github.com/backstitch/backstitch/pipeline/preflight"
)

// sourceVariable is what the proposed file calls the legacy database's URL.
const sourceVariable = "LEGACY_DATABASE_URL"

var (
	// initName is what config takes for a pipeline's name.
	initName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	initRole = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
)

func (a *app) initialise() *cobra.Command {
	var source, setup string
	o := discover.Options{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Look at a legacy database, read only, and propose a configuration on stdout",
		Long: "Looks at a legacy database in read-only transactions under a statement time-out. Writes a commented configuration on stdout, " +
			"its reasons on stderr, and setup.sql: the role, the grants and the publication that a run needs.",
		Example: "  backstitch init > acme.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Name != "" && !initName.MatchString(o.Name) {
				return usage(fmt.Errorf("--name: use lower-case letters, digits and _, starting with a letter, at most 40"))
			}
			if !initRole.MatchString(o.Role) {
				return usage(fmt.Errorf("--role: use lower-case letters, digits and _, at most 63"))
			}
			if o.Timeout < time.Millisecond {
				return usage(fmt.Errorf("--timeout %s: want 1ms or more", o.Timeout))
			}
			config, err := a.legacy(source)
			if err != nil {
				return err
			}
			return a.propose(cmd.Context(), config, o, setup)
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "the legacy database's URL; default: the environment's "+sourceVariable+", which no other process can read")
	cmd.Flags().StringVar(&o.Name, "name", "", "the pipeline's name; default: made of the database's")
	cmd.Flags().StringVar(&o.Role, "role", "backstitch", "the role that setup.sql makes")
	cmd.Flags().StringVar(&setup, "setup", "setup.sql", "where to write what the legacy server has to be told")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", 10*time.Second, "how long one count may take before it is given up")
	cmd.Flags().BoolVar(&o.CatalogueOnly, "catalogue-only", false, "read no row at all: nothing is counted")
	return cmd
}

// legacy is the database to look at. Its URL is not shown, and neither is an error's
// copy of it.
func (a *app) legacy(source string) (*pgx.ConnConfig, error) {
	from := "--source"
	if source == "" {
		from, source = sourceVariable, os.Getenv(sourceVariable)
	}
	if source == "" {
		return nil, usage(fmt.Errorf("which database? Set %s, or name its URL: --source URL", sourceVariable))
	}
	config, err := pgx.ParseConfig(source)
	if err != nil {
		return nil, usage(fmt.Errorf("%s is not a connection URL: write it as postgres://user@host/database", from))
	}
	if from == "--source" && hasPassword(source) {
		fmt.Fprintf(a.errOut, "backstitch: other processes of this machine can read the password in --source: %s, PGPASSWORD or ~/.pgpass hide it\n", sourceVariable)
	}
	return config, nil
}

// hasPassword says whether a URL, or a connection string, holds one.
func hasPassword(source string) bool {
	if u, err := url.Parse(source); err == nil && u.User != nil {
		if _, there := u.User.Password(); there {
			return true
		}
	}
	return strings.Contains(source, "password=")
}

func (a *app) propose(ctx context.Context, source *pgx.ConnConfig, o discover.Options, setup string) error {
	p, err := discover.Discover(ctx, source, o)
	var connect *discover.ConnectError
	if errors.As(err, &connect) {
		_, fix := preflight.Blame(preflight.WireSource, connect.Unwrap())
		if fix == "" {
			fix = "Check address, credentials and pg_hba.conf"
		}
		return fmt.Errorf("%w. %s", err, fix)
	}
	if err != nil {
		return err
	}
	if err := p.Reasons(a.errOut); err != nil {
		return err
	}
	if err := writeSetup(p, setup); err != nil {
		return err
	}
	if err := p.YAML(a.out); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return p.Next(a.errOut, setup)
}

// writeSetup makes the file, or finds it as it would make it: one that a person may
// have changed is not written over.
func writeSetup(p *discover.Proposal, path string) error {
	var sql bytes.Buffer
	if err := p.Setup(&sql); err != nil {
		return err
	}
	there, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(there, sql.Bytes()):
		return nil
	case err == nil:
		return fmt.Errorf("%s is there already and says something else: it may be yours, so it stays. Remove it, or name another file: --setup FILE", path)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look for %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	_, err = file.Write(sql.Bytes())
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
