package cli

import (
	"io"
	"testing"

	"github.com/spf13/cobra"
)

// The flag without a value is what it always was; an id stands behind "=" or alone.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args    []string
		want    acceptance
		refused bool
	}{
		{args: nil},
		{args: []string{"--accept-mapping"}, want: acceptance{given: true}},
		{args: []string{"--accept-mapping=true"}, want: acceptance{given: true}},
		{args: []string{"--accept-mapping=false"}},
		{args: []string{"--accept-mapping", "--other"}, want: acceptance{given: true}},
		{args: []string{"--accept-mapping", "0123456789ab", "--other"}, want: acceptance{given: true, plan: "0123456789ab"}},
		{args: []string{"--other", "--accept-mapping=0123456789ab"}, want: acceptance{given: true, plan: "0123456789ab"}},
		{args: []string{"--accept-mapping="}, refused: true},
		{args: []string{"--accept-mapping=0123456789ab", "again"}, refused: true},
		{args: []string{"--accept-mapping", "0123456789ab", "again"}, refused: true},
		{args: []string{"0123456789ab"}, refused: true},
	} {
		var got acceptance
		cmd := &cobra.Command{Use: "run", Args: got.args, RunE: func(*cobra.Command, []string) error { return nil }, SilenceUsage: true, SilenceErrors: true}
		cmd.Flags().Var(&got, "accept-mapping", "")
		cmd.Flags().Lookup("accept-mapping").NoOptDefVal = "true"
		cmd.Flags().Bool("other", false, "")
		cmd.SetArgs(append([]string{}, tt.args...))
		cmd.SetOut(io.Discard)
		if err := cmd.Execute(); (err != nil) != tt.refused || !tt.refused && got != tt.want {
			t.Errorf("%v: %+v, %v", tt.args, got, err)
		}
	}
}
