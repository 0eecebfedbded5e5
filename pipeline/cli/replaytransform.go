package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline"
)

func (a *app) replayTransform() *cobra.Command {
	var path string
	var f replayFlags
	var from pipeline.ReplayFrom
	var rebuild bool
	cmd := &cobra.Command{
		Use:   "transform --to-earliest | --to-datetime T | --to-offset N --topic T:P[,P] | --rebuild",
		Short: "Evaluate the mapping again for the entities of source records; what is unchanged costs no API call",
		Long: "Finds the entities that records of the source topics touch, and has the transform evaluate them again over\n" +
			"the mirror as it is now. The mirror and its offsets stay. It shows what that changes and asks; then it stops the\n" +
			"connector in all instances, marks the entities and lets it go on.\n" +
			"With --rebuild the source is read again into a new mirror beside the old one, as a new epoch with a new slot. It\n" +
			"shows what that changes, asks, and swaps the mirrors. Deletes among the changes wait for a person's consent.",
		Args: noArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			if rebuild {
				return onlyRebuild(cmd, &f)
			}
			from, err = f.from(cmd)
			return err
		},
		RunE: a.within(&path, onTopics("replay transform", "every `backstitch run --until-caught-up` reads every table and evaluates what differs", func(cmd *cobra.Command, s *session, _ []string) error {
			if rebuild {
				return a.rebuild(cmd, s, &f)
			}
			return a.planned(cmd, s, &f, from, pipeline.PlanTransformReplay)
		})),
	}
	configFlag(cmd, &path)
	f.add(cmd)
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "read the source again beside the old mirror, show the difference, and swap")
	return cmd
}

// onlyRebuild refuses what has no meaning beside --rebuild, which reads everything.
func onlyRebuild(cmd *cobra.Command, f *replayFlags) error {
	for _, name := range []string{"to-earliest", "to-datetime", "to-offset", "topic", "organization", "timeout"} {
		if cmd.Flags().Changed(name) {
			return usage(fmt.Errorf("--rebuild reads everything again: --%s has no meaning beside it", name))
		}
	}
	if !f.dryRun && !f.yes && f.output == "json" {
		return usage(errors.New("--rebuild --output json: want --dry-run or --yes as well, because it asks twice"))
	}
	return oneOf("--output", f.output, "text", "json")
}

func transformLines(line func(name string, n int64, note string), p *pipeline.ReplayPlan) {
	what := "read again; the offsets stay"
	if p.Organization != "" {
		what = "read again for organization " + p.Organization + "; the offsets stay"
	}
	line("records", p.Records, what)
	line("entities", p.Entities, "that they touch, evaluated again")
	line("differ", p.Differ, fmt.Sprintf("from the stored desired state: %s appear, %s vanish, %s cannot be evaluated",
		grouped(p.Changes.Appear), grouped(p.Changes.Vanish), grouped(p.Changes.Failed)))
	note := fmt.Sprintf("about %.1f hours at %g/s", p.Hours, p.Rate)
	if p.Changes.Vanish > 0 {
		note += "; the deletes of those that vanish wait for consent"
	}
	line("API calls", p.Calls, note)
}

// evaluatedAgain says what happens after a replay of the transform.
func evaluatedAgain(p *pipeline.ReplayPlan, target ledger.Target) string {
	switch {
	case !p.Stops:
		return fmt.Sprintf("the entities of organization %s are evaluated at the next checkpoint; nothing was stopped", p.Organization)
	case target == ledger.TargetRunning:
		return p.Connector + " goes on and evaluates them at once"
	default:
		return fmt.Sprintf("%s is %s, as it was before; it evaluates them when it is resumed", p.Connector, target)
	}
}
