package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers/verify"
)

// signing signs a report, or does not where no key was given.
type signing func(*verify.Report) (*verify.Signed, error)

func signer(path string) (signing, error) {
	text := []byte(os.Getenv(signKeyVariable))
	from := "$" + signKeyVariable
	if path != "" {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, usage(fmt.Errorf("--sign-key: %w", err))
		}
		from = "--sign-key " + path
	}
	if len(text) == 0 {
		return func(r *verify.Report) (*verify.Signed, error) { return verify.Sign(r, nil) }, nil
	}
	key, err := verify.PrivateKey(text)
	if err != nil {
		return nil, usage(fmt.Errorf("%s: %w", from, err))
	}
	return func(r *verify.Report) (*verify.Signed, error) { return verify.Sign(r, key) }, nil
}

// canaryEntry is a member in the file of canaries. Passwords stand in the environment:
// neither in a file nor among the arguments (invariant 8).
type canaryEntry struct {
	Organization string `yaml:"organization"`
	Member       string `yaml:"member"`
	PasswordEnv  string `yaml:"password_env"`
}

func readCanaries(path string) ([]verify.Canary, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, usage(fmt.Errorf("--canaries: %w", err))
	}
	var entries []canaryEntry
	if err := yaml.UnmarshalWithOptions(raw, &entries, yaml.Strict()); err != nil {
		return nil, usage(fmt.Errorf("--canaries %s: want a list of organization, member (their keys) and password_env", path))
	}
	var list []verify.Canary
	for i, e := range entries {
		password := os.Getenv(e.PasswordEnv)
		switch {
		case e.Organization == "" || e.Member == "" || e.PasswordEnv == "":
			return nil, usage(fmt.Errorf("--canaries %s: entry %d lacks organization, member or password_env", path, i+1))
		case password == "":
			return nil, usage(fmt.Errorf("--canaries %s: entry %d: $%s is not set; it holds the canary's password", path, i+1, e.PasswordEnv))
		}
		list = append(list, verify.Canary{Organization: e.Organization, Member: e.Member, Password: password})
	}
	if len(list) == 0 {
		return nil, usage(fmt.Errorf("--canaries %s: it names no canary", path))
	}
	return list, nil
}

func (a *app) verifyCheckReport() *cobra.Command {
	var public string
	cmd := &cobra.Command{
		Use:   "check-report FILE --public-key FILE",
		Short: "Say whether a report is the one that was signed",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || public == "" {
				return usage(errors.New("verify check-report: want the report's file, and --public-key FILE"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := os.ReadFile(public)
			if err != nil {
				return usage(fmt.Errorf("--public-key: %w", err))
			}
			key, err := verify.PublicKey(text)
			if err != nil {
				return usage(fmt.Errorf("--public-key %s: %w", public, err))
			}
			file, err := os.ReadFile(args[0])
			if err != nil {
				return usage(err)
			}
			report, err := verify.Check(file, key)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			fmt.Fprintln(a.out, "the signature fits")
			fmt.Fprintln(a.out)
			return report.Print(a.out)
		},
	}
	cmd.Flags().StringVar(&public, "public-key", "", "the Ed25519 public key, in PEM")
	return cmd
}
