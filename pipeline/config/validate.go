package config

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	// identifier is what names and prefixes may be: they go into Avro names, slot
	// names and topic names.
	identifier = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	// pgName is what a slot may be called, with room for the suffix of a temporary one.
	pgName   = regexp.MustCompile(`^[a-z0-9_]{1,55}$`)
	idPrefix = regexp.MustCompile(`^[A-Za-z0-9._-]{0,32}$`)
)

// derive fills the defaults that follow from other keys.
func (c *Config) derive() {
	if c.Kafka.Topics.Prefix == "" {
		c.Kafka.Topics.Prefix = c.Name
	}
	if c.Source.Slot == "" {
		c.Source.Slot = "backstitch_" + c.Kafka.Topics.Prefix
	}
	if c.Source.Publication == "" {
		c.Source.Publication = "backstitch_" + c.Kafka.Topics.Prefix
	}
	if c.lines["kafka.tls"] > 0 && c.lines["kafka.tls.enabled"] == 0 {
		c.Kafka.TLS.Enabled = true // a block that is there is meant
	}
	c.deriveEmbedded()
}

// validate checks what types and tags cannot say.
func (d *decoder) validate() {
	c := d.config
	wrong := func(path, fix, what string, args ...any) { d.problemAt(max(1, c.line(path)), fix, what, args...) }
	if !identifier.MatchString(c.Name) {
		wrong("name", "Use lower-case letters, digits and _, starting with a letter, at most 40", "name cannot be part of topic, slot and schema names")
	}
	if !identifier.MatchString(c.Kafka.Topics.Prefix) {
		wrong("kafka.topics.prefix", "Use lower-case letters, digits and _, starting with a letter, at most 40", "kafka.topics.prefix cannot be part of topic, slot and schema names")
	}
	if _, given := c.lines["source.slot"]; given && !pgName.MatchString(c.Source.Slot) {
		wrong("source.slot", "Use lower-case letters, digits and _, at most 55", "source.slot is no name that PostgreSQL takes for a slot")
	}
	if len(c.Source.Publication) > 63 {
		wrong("source.publication", "Use at most 63 bytes", "source.publication is longer than PostgreSQL's names")
	}
	if len(c.Source.Tables) == 0 {
		wrong("source.tables", "Name the tables that the mappings read", "source.tables is empty")
	}
	if c.Source.SlotMaxRetained == 0 && c.Source.SlotOnExceed == "drop" {
		wrong("source.slot.on_exceed", "Give slot.max_retained a size such as 10GB, or leave on_exceed out", "source.slot.on_exceed is drop, and there is no limit to exceed")
	}
	validatePostgres("source.postgres", c.Source.Postgres, wrong)
	validatePostgres("ledger", c.Ledger, wrong)
	if c.Source.Postgres == c.Ledger {
		wrong("ledger", "Make a database of its own, best on another server", "ledger is the legacy database itself")
	}
	d.validateKafka(wrong)
	d.validateStytch(wrong)
	for path, p := range map[string]string{"organizations": c.ExternalIDPrefix.Organizations, "members": c.ExternalIDPrefix.Members} {
		if !idPrefix.MatchString(p) {
			wrong("external_id_prefix."+path, "Use at most 32 of letters, digits, '.', '_', '-'", "external_id_prefix.%s has characters that Stytch's external ids cannot have, or is too long", path)
		}
	}
	d.validateAdmin(wrong)
	d.validateMapping("organizations", c.Organizations, wrong)
	if c.line("members") > 0 {
		d.validateMapping("members", c.Members.Mapping, wrong)
	}
}

type report func(path, fix, what string, args ...any)

func (d *decoder) validateKafka(wrong report) {
	k := d.config.Kafka
	if k.Embedded {
		d.validateEmbedded(wrong)
		return
	}
	for _, key := range []string{"kafka.registry_listen", "kafka.memory"} {
		if d.config.lines[key] > 0 {
			wrong(key, "Remove it, or write embedded: true", "%s is of the embedded broker and registry, and kafka.embedded is not set", key)
		}
	}
	if len(k.Brokers) == 0 || slices.Contains(k.Brokers, "") {
		wrong("kafka.brokers", "Name at least one as host:port", "kafka.brokers has no broker, or an empty one")
	}
	for _, b := range k.Brokers {
		for _, one := range strings.Split(b, ",") {
			if _, _, err := net.SplitHostPort(strings.TrimSpace(one)); err != nil && b != "" {
				wrong("kafka.brokers", "Write them as [kafka-1:9092, kafka-2:9092]", "a broker of kafka.brokers is not host:port")
			}
		}
	}
	d.validateWires(wrong)
}

func (d *decoder) validateStytch(wrong report) {
	s := d.config.Stytch
	live := strings.HasPrefix(s.ProjectID, "project-live-")
	if s.BaseURL != "" && !isHTTP(s.BaseURL) {
		wrong("stytch.base_url", "Write it as https://host", "stytch.base_url is not an http or https URL")
	}
	if s.BaseURL == "" && !live && !strings.HasPrefix(s.ProjectID, "project-test-") {
		wrong("stytch.project_id", "Copy it from Stytch's dashboard: project-test-… or project-live-…", "stytch.project_id is not a Stytch project id")
	}
	if s.Secret == "" {
		wrong("stytch.secret", "Set the variable that it refers to", "stytch.secret is empty")
	}
	// Stytch answers over https only, on a customer's own domain too: plain http is
	// the simulator, which may be told any project id.
	if live && !s.Live && !strings.HasPrefix(s.BaseURL, "http://") {
		wrong("stytch.project_id", "Rehearse first; then say live: true under stytch", "stytch.project_id is a live project, and live: true is not set")
	}
}

func (d *decoder) validateMapping(path string, m Mapping, wrong report) {
	if strings.TrimSpace(m.Select) == "" {
		wrong(path+".select", "Write the SELECT whose columns are Stytch's fields", "%s.select is empty", path)
	}
	for t, r := range m.Routes {
		at := routePath(path, t)
		if !slices.Contains(d.config.Source.Tables, t) {
			wrong(at, "Add it to source.tables, or remove the route", "%s.routes has a route for %s, which is not captured", path, t)
		}
		if !r.Sweep && r.Columns == nil && strings.TrimSpace(r.Select) == "" {
			wrong(at, "Write {key column: column of the row}, or a SELECT over the relation changed", "%s.routes: the route of %s is empty", path, t)
		}
	}
}

func isHTTP(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
