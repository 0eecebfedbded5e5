package cli

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"
)

// acceptance is the value of --accept-mapping: nothing behind it consents to any
// change, the id of a plan to that one. It stands behind "=", or alone behind the flag.
type acceptance struct {
	given bool
	plan  string
}

// String is of pflag.Value.
func (a *acceptance) String() string {
	if a.plan != "" {
		return a.plan
	}
	return strconv.FormatBool(a.given)
}

// Type is of pflag.Value.
func (a *acceptance) Type() string { return "plan" }

// Set is of pflag.Value. true and false are what a flag without an id took.
func (a *acceptance) Set(value string) error {
	switch value {
	case "true", "false":
		a.given, a.plan = value == "true", ""
	case "":
		return errors.New("want the id of a plan")
	default:
		a.given, a.plan = true, value
	}
	return nil
}

// args takes the plan's id that stands behind the flag as a word of its own, and
// refuses any other word.
func (a *acceptance) args(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && a.given && a.plan == "" {
		a.plan = args[0]
		return nil
	}
	return noArgs(cmd, args)
}
