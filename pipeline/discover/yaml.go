package discover

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// YAML writes the configuration. It names the variables that hold addresses and
// secrets, and no value of any.
func (p *Proposal) YAML(w io.Writer) error {
	y := &yamlWriter{}
	y.comment("", "Proposed by `backstitch init` from the catalogue of database "+oneLine(p.Database)+".")
	y.comment("", "Read it before you run it: the SELECTs run unchanged in psql, and `backstitch check` says what is missing.")
	if p.TODOs() > 0 {
		y.comment("", "Each TODO is a decision of yours: `backstitch check` refuses the file at its line until it is removed.")
	}
	y.line("name: %s", p.Name)
	y.line("")
	y.line("source:")
	y.todos(p.todos)
	y.line("  postgres: ${LEGACY_DATABASE_URL} # the role that setup.sql makes")
	names := make([]string, len(p.Tables))
	for i, t := range p.Tables {
		names[i] = quote(qualified(t))
	}
	if len(names) == 0 {
		y.line("  tables: 'TODO: the tables that the SELECTs read'")
	} else {
		y.line("  tables: [%s]", strings.Join(names, ", "))
	}
	y.line("  create_publication: false # setup.sql makes backstitch_%s", p.Name)
	y.line("")
	y.line("kafka: # or, for a small base, `kafka: embedded`: neither brokers nor a registry, see docs/small-bases.md")
	y.line(`  brokers: ["${KAFKA_BROKERS}"]`)
	y.line("  registry: ${SCHEMA_REGISTRY_URL} # any Confluent-compatible schema registry")
	y.line("  # topics: {partitions: 12, replication_factor: 3}")
	y.line("")
	y.line("ledger: ${LEDGER_DATABASE_URL} # a database of its own, best on another server")
	y.line("")
	y.line("stytch:")
	y.line("  project_id: ${STYTCH_PROJECT_ID}")
	y.line("  secret: ${STYTCH_SECRET}")
	y.line("  rate_limit: 60/s")
	y.line("")
	y.comment("", "A SELECT's column names are Stytch's field names. Which entities a changed row touches is derived from it: `backstitch check` prints it.")
	y.line("organizations:")
	y.mapping(p.organizations)
	y.line("")
	y.line("members:")
	y.mapping(p.members)
	y.line("")
	y.comment("", "Deletes: apply sends them; hold lets each wait for `backstitch approve`.")
	y.line("deletes: {members: apply, organizations: hold, max_per_hour: 500}")
	_, err := io.WriteString(w, y.b.String())
	return err
}

// TODOs counts the decisions that the configuration leaves to a person.
func (p *Proposal) TODOs() int {
	n := len(p.todos) + len(p.organizations.todos) + len(p.members.todos)
	if len(p.Tables) == 0 {
		n++
	}
	return n
}

type yamlWriter struct{ b strings.Builder }

func (y *yamlWriter) line(format string, args ...any) { fmt.Fprintf(&y.b, format+"\n", args...) }

// comment writes a text in lines of at most 110 characters.
func (y *yamlWriter) comment(indent, text string) {
	line := indent + "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 110 && line != indent+"#" {
			y.line("%s", line)
			line = indent + "#"
		}
		line += " " + word
	}
	y.line("%s", line)
}

func (y *yamlWriter) todos(todos []string) {
	if len(todos) == 0 {
		return
	}
	y.line("  TODO:")
	for _, t := range todos {
		y.line("    - %s", single(t))
	}
}

func (y *yamlWriter) mapping(m *mapping) {
	for _, n := range m.notes {
		y.comment("  ", n)
	}
	if m.sketch != "" {
		y.comment("  ", "To start from:")
		for line := range strings.SplitSeq(m.sketch, "\n") {
			y.line("  #   %s", line)
		}
	}
	todos := m.todos
	if m.sql == "" {
		y.line("  select: %s", single("TODO: "+todos[0]))
		todos = todos[1:]
	}
	y.todos(todos)
	if m.sql == "" {
		return
	}
	for _, line := range m.body() {
		y.line("  %s", line)
	}
	if m.alternative != nil {
		y.comment("  ", "Instead of this select, for two levels:")
		for _, line := range m.alternative.body() {
			y.line("  # %s", line)
		}
	}
}

// body are the lines of the select.
func (m *mapping) body() []string {
	lines := []string{"select: |"}
	for line := range strings.SplitSeq(m.sql, "\n") {
		lines = append(lines, "  "+line)
	}
	return lines
}

// qualified is a table as source.tables has it, schema always named.
func qualified(t *Table) string {
	if t.Schema == "public" {
		return "public." + t.SQLName
	}
	return t.SQLName
}

var simple = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// words that YAML readers may take for something else than text.
var special = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// quote writes a name as YAML, in quotes where they are needed.
func quote(s string) string {
	if simple.MatchString(s) && !slices.Contains(special, strings.ToLower(s)) {
		return s
	}
	return single(s)
}

func single(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
