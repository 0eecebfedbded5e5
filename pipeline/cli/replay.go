package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/figures"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
)

func (a *app) replay() *cobra.Command {
	parent := &cobra.Command{
		Use: "replay", Short: "Go through topics again, safely on a running cluster", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return usage(fmt.Errorf("replay: want apply or transform")) },
	}
	parent.AddCommand(a.replayApply(), a.replayTransform())
	return parent
}

// replayFlags are the words of kafka-consumer-groups that say from where to replay.
type replayFlags struct {
	earliest     bool
	datetime     string
	offset       int64
	topics       []string
	organization string
	force        bool
	dryRun, yes  bool
	output       string
	timeout      time.Duration
}

func (f *replayFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.earliest, "to-earliest", false, "from the beginning of the topics")
	fl.StringVar(&f.datetime, "to-datetime", "", "from the first record at or after this moment: 2006-01-02T15:04:05.000 (UTC), or RFC 3339")
	fl.Int64Var(&f.offset, "to-offset", 0, "from this offset, of the partitions that --topic names")
	fl.StringArrayVar(&f.topics, "topic", nil, "only this topic, or only these partitions of it: T or T:P[,P]; may be given several times")
	fl.StringVar(&f.organization, "organization", "", "only the entities of the organization with this key")
	fl.BoolVar(&f.dryRun, "dry-run", false, "show what it would do, and end")
	fl.BoolVar(&f.yes, "yes", false, "do not ask")
	fl.DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait until the connector is stopped everywhere")
	outputFlag(cmd, &f.output)
}

// from checks the flags and says from where to replay.
func (f *replayFlags) from(cmd *cobra.Command) (from pipeline.ReplayFrom, err error) {
	if err := oneOf("--output", f.output, "text", "json"); err != nil {
		return from, err
	}
	targets := 0
	for _, name := range []string{"to-earliest", "to-datetime", "to-offset"} {
		if cmd.Flags().Changed(name) {
			targets++
		}
	}
	if targets != 1 || f.earliest != cmd.Flags().Changed("to-earliest") {
		return from, usage(fmt.Errorf("%swant one of --to-earliest, --to-datetime and --to-offset", named(cmd)))
	}
	from.Earliest = f.earliest
	if cmd.Flags().Changed("to-datetime") {
		t, err := parseDatetime(f.datetime)
		if err != nil {
			return from, usage(err)
		}
		from.Datetime = &t
	}
	if cmd.Flags().Changed("to-offset") {
		if f.offset < 0 || len(f.topics) == 0 {
			return from, usage(errors.New("--to-offset: want an offset from 0 on, and --topic T:P[,P] to say where it counts"))
		}
		from.Offset = &f.offset
	}
	if from.Topics, err = parseTopics(f.topics); err != nil {
		return from, usage(err)
	}
	return from, nil
}

// parseDatetime reads a moment as kafka-consumer-groups does, for which one without
// a zone is UTC, or as RFC 3339 has it.
func parseDatetime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--to-datetime %q: want 2006-01-02T15:04:05.000, or RFC 3339", s)
}

// parseTopics reads T and T:P[,P].
func parseTopics(list []string) (map[string][]int32, error) {
	topics := map[string][]int32{}
	for _, s := range list {
		topic, numbers, some := strings.Cut(s, ":")
		if topic == "" || some && numbers == "" {
			return nil, fmt.Errorf("--topic %q: want T or T:P[,P]", s)
		}
		if _, twice := topics[topic]; twice {
			return nil, fmt.Errorf("--topic: %s is named twice", topic)
		}
		topics[topic] = nil
		for n := range strings.SplitSeq(numbers, ",") {
			if !some {
				break
			}
			p, err := strconv.ParseInt(n, 10, 32)
			if err != nil || p < 0 {
				return nil, fmt.Errorf("--topic %q: %q is no partition", s, n)
			}
			topics[topic] = append(topics[topic], int32(p))
		}
	}
	return topics, nil
}

func (a *app) replayApply() *cobra.Command {
	var path string
	var f replayFlags
	var from pipeline.ReplayFrom
	cmd := &cobra.Command{
		Use:   "apply --to-earliest | --to-datetime T | --to-offset N --topic T:P[,P]",
		Short: "Go through the apply topics again; what is unchanged costs no API call",
		Long: "Sets the apply connector back in its topics. It shows what that means and asks; then it stops the\n" +
			"connector in all instances, sets the offsets and lets it go on. Unchanged entities cost no API call.\n" +
			"With --force each entity is compared with a fresh read of Stytch, and what was changed behind our back is repaired.",
		Args: noArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			from, err = f.from(cmd)
			return err
		},
		RunE: a.within(&path, onTopics("replay apply", "`backstitch verify --repair` has again what differs in Stytch", func(cmd *cobra.Command, s *session, _ []string) error {
			return a.planned(cmd, s, &f, from, pipeline.PlanReplay)
		})),
	}
	configFlag(cmd, &path)
	f.add(cmd)
	cmd.Flags().BoolVar(&f.force, "force", false, "compare each entity with a fresh read of Stytch, and repair")
	return cmd
}

// planned looks at a replay, and carries it out.
func (a *app) planned(cmd *cobra.Command, s *session, f *replayFlags, from pipeline.ReplayFrom, plan planner) error {
	p, err := plan(cmd.Context(), s.cfg, s.clients, s.pool, pipeline.ReplaySpec{
		ReplayFrom: from, Organization: f.organization, Force: f.force, Patience: f.timeout, By: operator(), Command: given(cmd),
	})
	var bad *pipeline.BadReplay
	if errors.As(err, &bad) {
		return usage(err)
	}
	if err != nil {
		return err
	}
	defer p.Close()
	return a.carryOut(cmd, p, f)
}

// planner is pipeline.PlanReplay or PlanTransformReplay.
type planner func(context.Context, *config.Config, *pipeline.Clients, *pgxpool.Pool, pipeline.ReplaySpec) (*pipeline.ReplayPlan, error)

// given is the command as it is recorded: without what only says how to print or
// which file, and without the organization's key.
func given(cmd *cobra.Command) string {
	words := []string{strings.TrimPrefix(cmd.CommandPath(), "backstitch ")}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "to-datetime", "to-offset", "topic":
			words = append(words, "--"+f.Name, strings.Trim(f.Value.String(), "[]"))
		case "to-earliest", "force", "rebuild", "organization":
			words = append(words, "--"+f.Name)
		}
	})
	return strings.Join(words, " ")
}

// carryOut shows the plan, asks, and does it.
func (a *app) carryOut(cmd *cobra.Command, p *pipeline.ReplayPlan, f *replayFlags) error {
	shown := a.out
	if f.output == "json" {
		shown = io.Discard
		if !f.dryRun && !f.yes {
			shown = a.errOut // the document comes at the end
		}
	}
	if err := printPlan(shown, p); err != nil {
		return err
	}
	if f.dryRun || p.Empty() {
		if p.Empty() {
			fmt.Fprintln(shown, "there is nothing to replay")
		}
		return a.replayed(p, f, false, "")
	}
	if err := a.consent(cmd.Context(), f.yes, "Replay?"); err != nil {
		return err
	}
	target, err := p.Run(cmd.Context())
	if errors.Is(err, ledger.ErrReplaying) {
		return fmt.Errorf("%s: %w; the table backstitch.replays says who asked for it", p.Connector, err)
	}
	if err != nil {
		if target != "" {
			err = fmt.Errorf("%w; the target of %s is %s", err, p.Connector, target)
		}
		return err
	}
	return a.replayed(p, f, true, target)
}

// replayed ends the command.
func (a *app) replayed(p *pipeline.ReplayPlan, f *replayFlags, done bool, target ledger.Target) error {
	if f.output == "json" {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			*pipeline.ReplayPlan
			Replayed bool `json:"replayed"`
		}{p, done})
	}
	switch {
	case !done:
	case p.Changes != nil:
		fmt.Fprintln(a.out, evaluatedAgain(p, target))
	case !p.Stops:
		fmt.Fprintf(a.out, "the entities of organization %s are due; nothing was stopped\n", p.Organization)
	case target == ledger.TargetRunning:
		fmt.Fprintf(a.out, "set back; %s goes on\n", p.Connector)
	default:
		fmt.Fprintf(a.out, "set back; %s is %s, as it was before\n", p.Connector, target)
	}
	return nil
}

// printPlan shows what a replay would do.
func printPlan(out io.Writer, p *pipeline.ReplayPlan) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITION\tCURRENT-OFFSET\tNEW-OFFSET\tLOG-END-OFFSET")
	for _, r := range p.Partitions {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", r.Topic, r.Partition, r.Current, r.New, r.End)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range p.Notices {
		fmt.Fprintf(out, "note: %s\n", n)
	}
	fmt.Fprintln(out)
	line := func(name string, n int64, note string) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", name, grouped(n), note)
	}
	if p.Changes != nil {
		transformLines(line, p)
	} else {
		applyLines(line, p)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if p.Stops {
		fmt.Fprintf(out, "%s is stopped in all instances while this is set, and is %s again after\n", p.Connector, p.Target)
	}
	return nil
}

func applyLines(line func(name string, n int64, note string), p *pipeline.ReplayPlan) {
	what := "gone through again"
	if p.Organization != "" {
		what = "of organization " + p.Organization + "; the group's offsets stay"
	}
	line("records", p.Records, what)
	line("entities", p.Entities, "")
	line("differ", p.Differ, "from what is applied; they are tried")
	if p.Force {
		line("wait for a person", p.Waiting, "parked, blocked, dropped or awaiting consent; fresh reads try the parked ones again")
	} else {
		line("wait for a person", p.Waiting, "parked, blocked, dropped or awaiting consent; a replay leaves them alone")
	}
	if p.Unknown > 0 {
		line("unknown", p.Unknown, "not in the ledger; nothing is done about them")
	}
	if p.Force {
		line("fresh reads", p.Reads, "what they find changed is repaired: one or two calls more for each")
	}
	line("API calls", p.Reads+p.Calls, fmt.Sprintf("about %.1f hours at %g/s", p.Hours, p.Rate))
}

// grouped writes a number with commas between thousands.
func grouped(n int64) string { return figures.Number(n) }
